"""The SQLAlchemy store: the stores of SQLite, PostgreSQL and MySQL over an AsyncEngine, yours or its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, InvalidRequestError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from dispatch.clock import Clock
from dispatch.errors import ConfigError, MissingExtra
from dispatch.jobs.store import JobStore
from dispatch.masking import mask_url
from dispatch.store import SchemaStatus, Wakeups
from dispatch.stores.facts import ChecksWrites, TellsOfItsServer
from dispatch.stores.sqlalchemy_engine import ASYNCMY, ASYNCPG, EnginePool, HeldConnection, twin
from dispatch.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from dispatch.stores.mysql import MySQLStore
    from dispatch.stores.postgres import PostgresStore
    from dispatch.stores.sql.cluster import SQLCluster
    from dispatch.stores.sql.crons import SQLCrons
    from dispatch.stores.sql.dlq import SQLDeadLetters
    from dispatch.stores.sql.events import SQLEvents
    from dispatch.stores.sql.queues import SQLQueues
    from dispatch.stores.sql.records import SQLRecords
    from dispatch.stores.sql.stream import SQLStream
    from dispatch.stores.sql.transfer import SQLTransfer
    from dispatch.stores.sql.workflows import SQLWorkflows

PREFIX = "sqlalchemy+"
DRIVERS = ("sqlite+aiosqlite", "postgresql+asyncpg", "mysql+asyncmy")
_POOLED = ("pool_size", "connect_timeout", "statement_cache_size")


class SQLAlchemyStore:
    """A store on a database that SQLAlchemy connects to: on SQLite and PostgreSQL, tables, promises and statements are
    those of the stores for them, so that both kinds of URL may be used side by side on one database; on MySQL and
    MariaDB this is the store.

    Args:
        url: sqlalchemy+sqlite+aiosqlite:///file.db, sqlalchemy+postgresql+asyncpg://user:password@host/database or
            mysql+asyncmy://user:password@host/database, with what SQLAlchemy's URLs may hold else; or `engine` instead.
        engine: an AsyncEngine over one of these drivers, used on the loop that the store is opened on. The store never
            disposes of it. On SQLite it keeps two of its connections while it is open, on a server it takes one for
            each transaction. The heartbeat, on a loop of its own, and LISTEN use other engines made like it.
        namespace: on PostgreSQL the schema that holds the tables, on MySQL what their names begin with.
        clock: what the store takes for now, unless it is the default.
        migrate: "auto", "empty" or "never"; by default "auto" for a file and "empty" for a server.
        options: what the SQLite store takes (synchronous, busy_timeout), or the PostgreSQL store (pool_size, pooler,
            listen, statement_cache_size, connect_timeout, command_timeout), or on MySQL pool_size, connect_timeout and
            command_timeout; an engine brings its pool itself.

    Raises:
        ConfigError: another driver, or no file or database. MissingExtra: the driver is not installed.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        engine: AsyncEngine | None = None,
        namespace: str = "dispatch",
        clock: Clock | None = None,
        migrate: str | None = None,
        _sibling: bool = False,
        **options: Any,
    ) -> None:
        if (url is None) == (engine is None):
            raise ConfigError("SQLAlchemyStore takes a URL or engine=…, one of the two")
        pooled = {name: options.pop(name) for name in _POOLED if name in options}
        if pooled and url is None:
            raise ConfigError(f"{', '.join(sorted(pooled))}: the engine that was given decides about its connections")
        self._engine = engine if engine is not None else _engine(url or "", **pooled)
        self._own = engine is None or _sibling
        self._options: dict[str, Any] = {"namespace": namespace, "clock": clock, **options}
        dialect = self._engine.dialect
        driver = f"{dialect.name}+{dialect.driver}"
        store: SQLiteStore | PostgresStore | MySQLStore
        if driver == "sqlite+aiosqlite":
            store = _sqlite(self._engine, clock=clock, migrate=migrate or "auto", beats=_sibling, **options)
        elif driver == "postgresql+asyncpg":
            store = _postgres(self._engine, namespace=namespace, clock=clock, migrate=migrate or "empty", **options)
        elif driver == "mysql+asyncmy":
            store = _mysql(self._engine, namespace=namespace, clock=clock, migrate=migrate or "empty", **options)
        else:
            raise ConfigError(f"the driver is {driver}; what there is: {', '.join(DRIVERS)}")
        self._store = store
        self.wakeups: Wakeups = store.wakeups
        self.jobs: JobStore = store.jobs

    @property
    def queues(self) -> SQLQueues:
        return self._store.queues

    @property
    def dlq(self) -> SQLDeadLetters:
        return self._store.dlq

    @property
    def events(self) -> SQLEvents:
        return self._store.events

    @property
    def crons(self) -> SQLCrons:
        return self._store.crons

    @property
    def workflows(self) -> SQLWorkflows:
        return self._store.workflows

    @property
    def cluster(self) -> SQLCluster:
        return self._store.cluster

    @property
    def records(self) -> SQLRecords:
        return self._store.records

    @property
    def stream(self) -> SQLStream:
        return self._store.stream

    @property
    def transfer(self) -> SQLTransfer:
        return self._store.transfer

    @property
    def url(self) -> str:
        """Where the data is, with any password masked."""
        return mask_url(PREFIX + self._engine.url.render_as_string(hide_password=True))

    async def open(self) -> None:
        """Connects; creates or migrates as `migrate` says."""
        try:
            await self._store.open()
        except BaseException:
            await self._dispose()
            raise

    async def close(self) -> None:
        """Gives the connections back; idempotent."""
        await self._store.close()
        await self._dispose()

    async def ping(self) -> None:
        """Answers when the database does; raises a StoreError otherwise."""
        await self._store.ping()

    async def server_facts(self) -> Mapping[str, str]:
        """What the server says of itself; nothing where a file is all there is."""
        return await self._store.server_facts() if isinstance(self._store, TellsOfItsServer) else {}

    async def check_writes(self) -> None:
        """StoreFull or StoreReadOnly where the store inside can tell."""
        if isinstance(self._store, ChecksWrites):
            await self._store.check_writes()

    async def migrate(self) -> list[str]:
        """Applies what is pending; answers the names applied."""
        return await self._store.migrate()

    async def schema(self) -> SchemaStatus:
        """The state of the schema."""
        return await self._store.schema()

    def sibling(self) -> SQLAlchemyStore:
        """A second, unopened store on the same data, with an engine of its own."""
        return SQLAlchemyStore(engine=twin(self._engine), migrate="never", _sibling=True, **self._options)

    async def _dispose(self) -> None:
        if self._own:
            await self._engine.dispose()


def _engine(url: str, **pooled: Any) -> AsyncEngine:
    shown = mask_url(url)
    try:
        place = make_url(url.removeprefix(PREFIX))
        backend = place.get_backend_name()
        if backend == "sqlite":
            return create_async_engine(place.set(database=unquote(place.database or "")))
        options = _mysql_options if backend == "mysql" else _postgres_options
        return create_async_engine(place, **options(**pooled))
    except (ArgumentError, NoSuchModuleError, InvalidRequestError) as error:
        raise ConfigError(
            f"{shown} is no URL for this store ({error}); write {PREFIX}DRIVER://…, where DRIVER is one of "
            f"{', '.join(DRIVERS)}"
        ) from None
    except ModuleNotFoundError as error:
        extra = "mysql" if error.name == "asyncmy" else "postgres"
        raise MissingExtra(
            f"{shown} needs the driver {error.name}: pip install 'dispatch-tasks[sqlalchemy,{extra}]'"
        ) from None


def _postgres_options(
    *, pool_size: int = 5, connect_timeout: float = 5.0, statement_cache_size: int = 256
) -> dict[str, Any]:
    arguments = {"timeout": connect_timeout, "statement_cache_size": statement_cache_size}
    return {"pool_size": pool_size, "max_overflow": 0, "connect_args": arguments}


def _mysql_options(*, pool_size: int = 5, connect_timeout: float = 5.0) -> dict[str, Any]:
    # nobody waits longer for a lock than a call takes; where the server can tell, no process that stands still between
    # two statements makes others wait for longer either
    session = (
        "SET SESSION innodb_lock_wait_timeout = 3, "
        "sql_mode = CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'STRICT_TRANS_TABLES') "
        "/*M!100600 , idle_transaction_timeout = 3 */"
    )
    arguments = {"connect_timeout": connect_timeout, "init_command": session}
    return {"pool_size": pool_size, "max_overflow": 0, "pool_recycle": 3600, "connect_args": arguments}


def _sqlite(engine: AsyncEngine, *, beats: bool, **options: Any) -> SQLiteStore:
    path = engine.url.database
    if not path or path == ":memory:" or path.startswith("file:"):
        raise ConfigError(f"{engine.url} names no file that several connections could open; write …:///jobs.db")
    return SQLiteStore(path, **options, _beats=beats, _connection=partial(HeldConnection, engine=engine))


def _postgres(engine: AsyncEngine, **options: Any) -> PostgresStore:
    from dispatch.stores.postgres import PostgresStore

    url = engine.url.set(drivername="postgresql", query={}, database=engine.url.database or "postgres")
    shown = mask_url(url.render_as_string(hide_password=True))
    return PostgresStore(
        url.render_as_string(hide_password=False),
        **options,
        _make_pool=lambda: EnginePool(engine, shown=shown, ways=ASYNCPG),
    )


def _mysql(engine: AsyncEngine, *, namespace: str, **options: Any) -> MySQLStore:
    from dispatch.stores.mysql import MySQLStore
    from dispatch.stores.mysql_place import place

    shown = mask_url(engine.url.render_as_string(hide_password=True))
    where = place(shown, engine.url.database, namespace)
    return MySQLStore(where, **options, make_pool=lambda: EnginePool(engine, shown=shown, ways=ASYNCMY))


async def drop(url: str, namespace: str) -> None:
    """Removes the tables of a namespace on MySQL; none is no error. Only for what was made to be thrown away."""
    from dispatch.stores.mysql_errors import store_error
    from dispatch.stores.mysql_place import place
    from dispatch.stores.mysql_schema import drop as drop_tables

    engine = _engine(url, pool_size=1)
    where = place(mask_url(url), engine.url.database, namespace)
    try:
        async with EnginePool(engine, shown=where.shown, ways=ASYNCMY).connection() as raw:
            await drop_tables(raw, where)
    except Exception as error:
        raise store_error(error, where.shown) or error from error
    finally:
        await engine.dispose()
