"""The PostgreSQL store: a schema of a database, shared by any number of processes on any number of machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dispatch.clock import Clock
from dispatch.errors import ConfigError
from dispatch.store import SchemaStatus
from dispatch.stores import postgres_schema
from dispatch.stores.postgres_executor import PostgresExecutor
from dispatch.stores.postgres_jobs import PostgresJobs
from dispatch.stores.postgres_url import place
from dispatch.stores.postgres_wakeups import PostgresWakeups
from dispatch.stores.server_executor import Pool
from dispatch.stores.sql.parts import SQLParts, part

if TYPE_CHECKING:
    from dispatch.stores.postgres_stream import PostgresStream

_MIGRATE = ("auto", "empty", "never")


class PostgresStore(SQLParts[PostgresExecutor]):
    """A store in one schema of the database at `url`.

    Args:
        url: postgresql://user:password@host:port/database; sslmode and sslrootcert may follow as ?key=value. A URL that
            asks for TLS (sslmode=require and above) gets the server's certificate verified.
        namespace: the schema that holds the tables; made when the store is empty.
        clock: what the store takes for now; the server's clock unless a test says otherwise.
        migrate: "auto" creates and migrates on open; "empty" creates but refuses an older schema; "never" leaves both
            to `migrate()`.
        pool_size: connections at most; listening takes one more.
        statement_cache_size: prepared statements kept by each connection.
        pooler: whether a pooler that hands out connections by transaction (such as PgBouncer) stands in between:
            nothing is prepared or set for a session then.
        listen: whether waiting uses LISTEN; without, workers find new jobs by polling. Behind a pooler it is off.
        connect_timeout: seconds that connecting may take.
        command_timeout: seconds that one call may take.
    """

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "dispatch",
        clock: Clock | None = None,
        migrate: str = "empty",
        pool_size: int = 5,
        statement_cache_size: int = 256,
        pooler: bool = False,
        listen: bool = True,
        connect_timeout: float = 5.0,
        command_timeout: float = 8.0,
        _make_pool: Callable[[], Pool] | None = None,
    ) -> None:
        if migrate not in _MIGRATE:
            raise ConfigError(f"migrate = {migrate!r}: choose one of {', '.join(map(repr, _MIGRATE))}")
        if pool_size < 1:
            raise ConfigError(f"pool_size = {pool_size!r}: a store needs one connection at least")
        self._place = place(url, namespace)
        self._migrate = migrate
        self._options: dict[str, Any] = {
            "clock": clock,
            "pool_size": pool_size,
            "statement_cache_size": statement_cache_size,
            "pooler": pooler,
            "connect_timeout": connect_timeout,
            "command_timeout": command_timeout,
        }
        self._listen = listen
        self._url = url
        self._opened = False
        self.wakeups = PostgresWakeups(self._place.channel, listen=listen and not pooler)
        super().__init__(PostgresExecutor(self._place, **self._options, wakeups=self.wakeups, make_pool=_make_pool))
        self.jobs = PostgresJobs(self._executor)

    @part
    def stream(self) -> PostgresStream:
        from dispatch.stores.postgres_stream import PostgresStream

        return PostgresStream(self._executor)

    @property
    def url(self) -> str:
        """Where the data is, with any password masked."""
        return self._place.shown

    async def open(self) -> None:
        """Connects; creates an empty store unless `migrate` is "never"; "empty" refuses an older one."""
        if self._opened:
            return
        await self._executor.open()
        try:
            found = await self._executor.schema()
            postgres_schema.refuse_newer(found, self._place)
            if found.pending and (self._migrate == "auto" or (self._migrate == "empty" and not found.current)):
                await self._executor.migrate()
            elif self._migrate == "empty":
                postgres_schema.refuse_older(found, self._place)
            self.wakeups.open(connect=self._executor.connect, notify=self._executor.notify)
        except BaseException:
            await self._executor.close()
            raise
        self._opened = True

    async def close(self) -> None:
        """Disconnects; idempotent."""
        self._opened = False
        await self.wakeups.close()
        await self._executor.close()

    async def ping(self) -> None:
        """Answers when the server does; raises a StoreError otherwise."""
        await self._executor.schema()

    async def server_facts(self) -> dict[str, str]:
        """What the server says of itself."""
        return await self._executor.facts()

    async def migrate(self) -> list[str]:
        """Applies what is pending; answers the names applied."""
        return await self._executor.migrate()

    async def schema(self) -> SchemaStatus:
        """The state of the schema."""
        return await self._executor.schema()

    def sibling(self) -> PostgresStore:
        """A second, unopened store on the same schema, with connections of its own."""
        options = {**self._options, "pool_size": min(2, self._options["pool_size"])}
        return PostgresStore(
            self._url, namespace=self._place.namespace, migrate="never", listen=self._listen, **options
        )
