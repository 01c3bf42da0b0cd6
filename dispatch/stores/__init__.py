"""Opens a store by its URL; each backend is imported only when it is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from dispatch.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from dispatch.clock import Clock
    from dispatch.store import Store


def _memory(rest: str, *, namespace: str, migrate: str | None, clock: Clock | None, **options: Any) -> Store:
    from dispatch.stores.memory import MemoryStore

    if rest:
        raise ConfigError(f"{_shown('memory', rest)} names a place, but a memory store has none; write memory://")
    return MemoryStore(clock=clock, **options)


def _sqlite(rest: str, *, namespace: str, migrate: str | None, clock: Clock | None, **options: Any) -> Store:
    from dispatch.stores.sqlite import SQLiteStore

    path = unquote(rest.removeprefix("/"))
    if not rest.startswith("/") or not path:
        raise ConfigError(
            f"{_shown('sqlite', rest)} names no file; write sqlite:///jobs.db (relative), "
            "sqlite:////var/lib/jobs.db (absolute), or memory:// for a store without a file"
        )
    if "?" in rest:
        raise ConfigError(
            f"{_shown('sqlite', rest)}: a file's URL takes no options; they stand in [sqlite] of the configuration, "
            "and a ? in the file's name is written %3F"
        )
    if path == ":memory:":
        raise ConfigError("sqlite:///:memory: is no store that a second connection could see; write memory://")
    return SQLiteStore(path, migrate=migrate or "auto", clock=clock, **options)


def _postgres(rest: str, *, namespace: str, migrate: str | None, clock: Clock | None, **options: Any) -> Store:
    try:
        from dispatch.stores.postgres import PostgresStore
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise MissingExtra("postgresql:// needs the driver asyncpg: pip install 'dispatch-tasks[postgres]'") from None
    return PostgresStore(
        f"postgresql://{rest}", namespace=namespace, migrate=migrate or "empty", clock=clock, **options
    )


REDIS_SCHEMES = ("redis", "rediss", "valkey", "valkeys", "redis+unix")


def _redis(scheme: str) -> Callable[..., Store]:
    def make(rest: str, *, namespace: str, migrate: str | None, clock: Clock | None, **options: Any) -> Store:
        from dispatch.stores.redis import RedisStore

        url = f"{scheme}://{rest}"
        return RedisStore(url, namespace=namespace, migrate=migrate or "empty", clock=clock, **options)

    return make


def _sqlalchemy(driver: str, extra: str, *, prefix: str = "sqlalchemy+") -> Callable[..., Store]:
    def make(rest: str, *, namespace: str, migrate: str | None, clock: Clock | None, **options: Any) -> Store:
        try:
            from dispatch.stores.sqlalchemy import SQLAlchemyStore
        except ModuleNotFoundError as error:
            if error.name not in ("sqlalchemy", "greenlet"):
                raise
            raise MissingExtra(f"{prefix}{driver}:// needs SQLAlchemy: pip install 'dispatch-tasks[{extra}]'") from None
        url = f"sqlalchemy+{driver}://{rest}"
        return SQLAlchemyStore(url, namespace=namespace, migrate=migrate, clock=clock, **options)

    return make


def _shown(scheme: str, rest: str) -> str:
    """The URL without the secrets that it may hold although it should not."""
    from dispatch.masking import mask_url

    return mask_url(f"{scheme}://{rest}")


_SCHEMES: dict[str, Callable[..., Store]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "postgresql": _postgres,
    "postgres": _postgres,
    **{scheme: _redis(scheme) for scheme in REDIS_SCHEMES},
    "mysql+asyncmy": _sqlalchemy("mysql+asyncmy", "mysql", prefix=""),
    "sqlalchemy+sqlite+aiosqlite": _sqlalchemy("sqlite+aiosqlite", "sqlalchemy"),
    "sqlalchemy+postgresql+asyncpg": _sqlalchemy("postgresql+asyncpg", "sqlalchemy,postgres"),
    "sqlalchemy+mysql+asyncmy": _sqlalchemy("mysql+asyncmy", "mysql"),
}


def schemes() -> tuple[str, ...]:
    """The URL schemes that `open_store` knows."""
    return tuple(_SCHEMES)


def kind(url: str) -> str:
    """What keeps the data at `url`: "sqlite" for sqlite:// and for sqlalchemy+sqlite+aiosqlite://, say."""
    scheme = url.partition(":")[0].removeprefix("sqlalchemy+").partition("+")[0]
    return "postgresql" if scheme == "postgres" else scheme


def is_known(url: str) -> bool:
    """Whether the URL's scheme is one of Dispatch's own."""
    return url.partition("://")[0] in _SCHEMES


def open_store(
    url: str,
    *,
    namespace: str = "dispatch",
    migrate: str | None = None,
    clock: Clock | None = None,
    schemes: Mapping[str, Callable[..., Store]] | None = None,
    **options: Any,
) -> Store:
    """The store at `url`, not yet opened: `memory://`, `sqlite:///relative.db`, `sqlite:////absolute.db` or
    `postgresql://user:password@host/database`, or `redis://:password@host:6379/0` (`rediss://` with TLS).
    `mysql+asyncmy://user:password@host/database` for MySQL and MariaDB. Through SQLAlchemy too:
    `sqlalchemy+sqlite+aiosqlite:///…` or `sqlalchemy+postgresql+asyncpg://…`.

    Args:
        url: where the data is.
        namespace: separates applications on one server; a file or a process's memory is a namespace by itself.
        migrate: "auto" brings an empty or older store to this library's schema when it is opened, "empty" an empty one
            only, "never" none. None: "auto" for a file, "empty" for a server.
        clock: what the store takes for now; the wall clock unless a test says otherwise.
        schemes: makers for other schemes, as a plugin's `register_stores` answers them.
        options: what only that backend knows, such as `synchronous` or `busy_timeout` (seconds) for SQLite,
            `pool_size` for PostgreSQL.

    Raises:
        ConfigError: the scheme is unknown, or the URL or an option makes no sense to it.
        MissingExtra: the driver for it is not installed.
    """
    scheme, separator, rest = url.partition("://")
    makers = {**(schemes or {}), **_SCHEMES}
    maker = makers.get(scheme) if separator else None
    if maker is None:
        near = difflib.get_close_matches(scheme, makers, n=1) or [name for name in makers if scheme and scheme in name]
        hint = f"did you mean {near[0]}://? " if near else ""
        known = ", ".join(f"{name}://" for name in makers)
        raise ConfigError(f"store {scheme + separator!r}…: no such kind of store; {hint}known are {known}")
    try:
        return maker(rest, namespace=namespace, migrate=migrate, clock=clock, **options)
    except TypeError as error:
        raise ConfigError(f"store {scheme}://: an option does not fit: {error}") from error
