"""RedisStore: the facade that composes the parts and opens, closes and doubles itself."""

from __future__ import annotations

import re
from typing import Any

from dispatch.clock import Clock
from dispatch.errors import ConfigError, SchemaMismatch, StoreError, StoreUnreachable
from dispatch.store import SchemaStatus
from dispatch.stores.facts import offset
from dispatch.stores.redis import address, server
from dispatch.stores.redis.client import RedisClient
from dispatch.stores.redis.cluster import RedisCluster
from dispatch.stores.redis.crons import RedisCrons
from dispatch.stores.redis.dlq import RedisDLQ
from dispatch.stores.redis.events import RedisEvents
from dispatch.stores.redis.jobs import RedisJobs
from dispatch.stores.redis.queues import RedisQueues
from dispatch.stores.redis.records import RedisRecords
from dispatch.stores.redis.stream import RedisStream
from dispatch.stores.redis.transfer import RedisTransfer
from dispatch.stores.redis.wakeups import RedisWakeups
from dispatch.stores.redis.workflows import RedisWorkflows

SCHEMA = 3
_NAMES = {3: "0003_start"}
_MIGRATE = ("auto", "empty", "never")
_NAMESPACE = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)


class RedisStore:
    """A store on a Redis 7 or Valkey server, shared by any number of processes.

    Args:
        url: `redis://[user[:password]@]host[:port][/database]`, `rediss://` with TLS, `valkey://` and `valkeys://`
            alike, or `redis+unix:///path/to.sock?db=0`.
        namespace: separates applications on one server: every key begins with `{namespace}:`.
        clock: a test's clock; None: the server's.
        migrate: "auto" and "empty" make an empty database a store, and "auto" brings an older one up to date; "never"
            leaves both to `migrate()`.
        timeout: seconds that one call may take, and making a connection.
        connections: how many connections may be open at once.
        protocol: 2 or 3: RESP as the server speaks it.
        allow_eviction: accept a server that throws jobs away when its memory is full.
    """

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "dispatch",
        clock: Clock | None = None,
        migrate: str = "auto",
        timeout: float = 5.0,
        connections: int = 10,
        protocol: int = 3,
        allow_eviction: bool = False,
    ) -> None:
        if migrate not in _MIGRATE:
            raise ConfigError(f"migrate = {migrate!r}: a Redis store takes one of {', '.join(map(repr, _MIGRATE))}")
        if protocol not in (2, 3):
            raise ConfigError(f"protocol = {protocol!r}: Redis speaks 2 or 3")
        if not _NAMESPACE.fullmatch(namespace):
            raise ConfigError(f"namespace = {namespace!r}: a namespace is 1 to 64 of A-Z a-z 0-9 _ . : -")
        self._given = url
        self._namespace = namespace
        self._clock = clock
        self._migrate = migrate
        self._options: dict[str, Any] = {"timeout": timeout, "connections": connections, "protocol": protocol}
        self._allow_eviction = allow_eviction
        self._address = address.parse(url)
        self.wakeups = RedisWakeups()
        self._client = RedisClient(
            self._address,
            namespace=namespace,
            clock=clock,
            timeout=timeout,
            connections=connections,
            protocol=protocol,
            wakeups=self.wakeups,
            check_schema=self._check_schema,
        )
        self.jobs = RedisJobs(self._client)
        self.queues = RedisQueues(self._client)
        self.dlq = RedisDLQ(self._client)
        self.events = RedisEvents(self._client)
        self.crons = RedisCrons(self._client)
        self.cluster = RedisCluster(self._client)
        self.records = RedisRecords(self._client)
        self.stream = RedisStream(self._client)
        self.transfer = RedisTransfer(self._client)
        self.workflows = RedisWorkflows(self._client)

    @property
    def namespace(self) -> str:
        """What separates this application from others on the server."""
        return self._namespace

    @property
    def url(self) -> str:
        """Where the data is, with any password masked."""
        return self._address.url

    async def open(self) -> None:
        """Connects, looks at the server, and makes an empty namespace a store unless `migrate` is "never"."""
        if self._client.opened:
            return
        await self._client.open()
        try:
            facts = server.facts_of(await self._client.command("INFO"))
            server.check(facts, self.url, allow_eviction=self._allow_eviction)
            found = await self.schema()
            self._refuse_others(found)
            if found.pending and (self._migrate == "auto" or (self._migrate == "empty" and not found.current)):
                await self.migrate()
            elif found.pending and self._migrate == "empty":
                raise self._behind(found)
            self._client.ready = not found.pending or self._client.ready
            self.wakeups.open(
                connect=self._client.connect,
                channel=f"{self._client.prefix}wake",
                own=self._client.name,
            )
        except BaseException:
            await self._client.close()
            raise

    async def close(self) -> None:
        """Disconnects; idempotent."""
        await self.wakeups.close()
        await self._client.close()

    async def ping(self) -> None:
        """Answers when the server does; raises a StoreError otherwise."""
        await self._client.command("PING")

    async def check_writes(self) -> None:
        """StoreFull at the server's maxmemory, StoreReadOnly where it is a replica or cannot save."""
        await self._client.run("check_writes")

    async def server_facts(self) -> dict[str, str]:
        """What the server says of itself."""
        facts = server.facts_of(await self._client.command("INFO"))
        seconds, fraction = await self._client.command("TIME")
        now = int(seconds) * 1_000_000 + int(fraction)
        return {**server.told(facts), **await self._appendfsync(), "clock_offset": offset(now)}

    async def _appendfsync(self) -> dict[str, str]:
        try:
            found = await self._client.command("CONFIG", "GET", "appendfsync")
        except StoreError:
            return {}  # the user may not ask, or the command has another name there
        pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
        return {_text(name): _text(value) for name, value in pairs}

    async def migrate(self) -> list[str]:
        """Applies what is pending; answers the names applied."""
        before = await self._client.run("migrate", SCHEMA)
        self._client.ready = True
        return [name for number, name in _NAMES.items() if number > before]

    async def erase(self, at_once: int) -> None:
        """Deletes every key of the namespace, about `at_once` at a time."""
        cursor: bytes | int = 0
        while True:
            # a namespace holds none of the characters that a pattern gives a meaning to
            found = await self._client.command("SCAN", cursor, "MATCH", f"{self._client.prefix}*", "COUNT", at_once)
            cursor, keys = found
            if keys:
                await self._client.command("UNLINK", *keys)
            if int(cursor) == 0:
                return

    async def schema(self) -> SchemaStatus:
        """The state of the schema."""
        if not self._client.opened:
            raise StoreUnreachable(f"{self.url}: this store is not open; call `await store.open()` first")
        current = int(await self._client.command("GET", f"{self._client.prefix}schema") or 0)
        return SchemaStatus(current, SCHEMA, tuple(name for number, name in _NAMES.items() if number > current))

    async def _check_schema(self) -> None:
        """Before the first verb on a store whose schema was not as wanted when it was opened."""
        found = await self.schema()
        if found.pending:
            raise self._behind(found)
        self._client.ready = True

    def _refuse_others(self, found: SchemaStatus) -> None:
        """SchemaMismatch when a newer library has been here, or one from before the first release."""
        if found.current > SCHEMA:
            raise SchemaMismatch(
                f"{self.url}: the namespace {self._namespace!r} has schema {found.current}, this library knows "
                f"{SCHEMA} at most; upgrade dispatch-tasks"
            )
        if 0 < found.current < min(_NAMES):
            raise SchemaMismatch(
                f"{self.url}: the namespace {self._namespace!r} has schema {found.current} of a version before the "
                "first release, which this one cannot read. Copy it with the version that wrote it (`dispatch store "
                "copy` into a SQLite file) and that file into a new namespace with this one"
            )

    def _behind(self, found: SchemaStatus) -> SchemaMismatch:
        return SchemaMismatch(
            f"{self.url}: the namespace {self._namespace!r} "
            + (f"has schema {found.current}, this library wants {SCHEMA}" if found.current else "is no store yet")
            + "; run `dispatch store migrate`"
        )

    def sibling(self) -> RedisStore:
        """A second, unopened store on the same data, with connections of its own."""
        return RedisStore(
            self._given,
            namespace=self._namespace,
            clock=self._clock,
            migrate="never",
            allow_eviction=self._allow_eviction,
            **self._options,
        )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
