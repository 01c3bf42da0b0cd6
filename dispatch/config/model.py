"""Every configuration key, with its default and its limits; a key stands here only when something obeys it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails

from dispatch.config.units import Duration, Interval, MaybeInterval, Size, format_duration
from dispatch.crons.schedule import zone_of
from dispatch.entity import MOST
from dispatch.errors import ConfigError
from dispatch.masking import mask_value, masked
from dispatch.queues import QueueConfig
from dispatch.queues.model import SLOWEST

NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}", re.ASCII)
BEATS_A_LEASE = 5
SpelledAs = Mapping[tuple[str, ...], str]
"""Where a key's value comes from, for error messages: ("limits", "payload") → "file /app/dispatch.toml (limits)"."""


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError("a name is 1 to 128 of A-Z a-z 0-9 _ . : -")
    return value


def _zone(value: str) -> str:
    zone_of(value)
    return value


Name = Annotated[str, AfterValidator(_name)]
Lower = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
Upper = BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value)
Count = Annotated[int, Field(ge=1)]
Places = Annotated[int, Field(ge=1, le=MOST)]


class Table(BaseModel):
    """What all tables share: no unknown keys, values that cannot be changed, a repr without secrets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return masked(self).items()


class QueueTable(Table):
    """`[queue.NAME]`: limits kept by the store for the whole fleet; None = unlimited."""

    max_concurrency: Places | None = None
    rate_limit: Annotated[float, Field(ge=SLOWEST, le=MOST, allow_inf_nan=False)] | None = None
    rate_burst: Places | None = None
    fair: bool = False

    @model_validator(mode="after")
    def _burst_needs_a_rate(self) -> QueueTable:
        if self.rate_burst is not None and self.rate_limit is None:
            raise ValueError("rate_burst does nothing without rate_limit: set rate_limit (starts a second) too")
        return self


class Limits(Table):
    """`[limits]`: the largest that is accepted, in bytes of JSON."""

    payload: Size = 256 * 1024
    result: Size = 1024 * 1024
    metadata: Size = 16 * 1024
    traceback: Size = 16 * 1024
    body: Size = 1024 * 1024
    frame: Size = 1024 * 1024
    depth: Annotated[int, Field(ge=1, le=128)] = 64
    page: Annotated[int, Field(ge=1, le=500)] = 500


class Server(Table):
    """`[server]`: where the HTTP API listens, what it answers to, and how it shows itself."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8484
    allowed_hosts: list[Annotated[str, Field(min_length=1)]] = []
    read_only: bool = False
    environment: Annotated[str, Field(max_length=40)] = ""
    disable_dashboard: bool = False


class Log(Table):
    """`[log]`: what `dispatch run` logs, and how; "auto" is text on a terminal and JSON elsewhere."""

    level: Annotated[Literal["debug", "info", "warning", "error", "critical"], Lower] = "info"
    format: Annotated[Literal["auto", "text", "json"], Lower] = "auto"


class Retention(Table):
    """`[retention]`: how long ended jobs are kept, by outcome, and events; None, written "never": for ever."""

    completed: MaybeInterval = timedelta(days=1)
    failed: MaybeInterval = timedelta(days=30)
    cancelled: MaybeInterval = timedelta(days=30)
    events: MaybeInterval = timedelta(days=7)
    ticks: MaybeInterval = timedelta(days=30)


class Cron(Table):
    """`[cron]`: what applies to entries that do not say."""

    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    misfire: Annotated[Literal["skip", "once", "all"], Lower] = "once"
    jitter: Duration = timedelta(0)
    misfire_window: Interval = timedelta(hours=1)


class Telemetry(Table):
    """`[telemetry]`: whether work goes on in the trace of what asked for it ("continue"), or in its own ("link")."""

    trace: Annotated[Literal["continue", "link"], Lower] = "continue"


class SQLite(Table):
    """`[sqlite]`: how hard a commit is pressed to disk, and how long a write waits for its turn."""

    synchronous: Annotated[Literal["FULL", "NORMAL"], Upper] = "FULL"
    busy_timeout: Interval = timedelta(seconds=5)


class Postgres(Table):
    """`[postgres]`: how many connections, what stands in between, and how long a call may take."""

    pool_size: Count = 5
    pooler: bool = False
    listen: bool = True
    statement_cache_size: Annotated[int, Field(ge=0)] = 256
    connect_timeout: Interval = timedelta(seconds=5)
    command_timeout: Interval = timedelta(seconds=8)


class MySQL(Table):
    """`[mysql]`: how many connections, and how long connecting and a call may take."""

    pool_size: Count = 5
    connect_timeout: Interval = timedelta(seconds=5)
    command_timeout: Interval = timedelta(seconds=8)


class Redis(Table):
    """`[redis]`: how many connections, how long a call may take, and what is accepted of the server."""

    connections: Count = 10
    timeout: Interval = timedelta(seconds=5)
    protocol: Literal[2, 3] = 3
    allow_eviction: bool = False


class Config(Table):
    """The whole configuration; `Config.default()` is what an empty file means. A wrong value raises ConfigError."""

    store: Annotated[str, Field(min_length=1)] = "sqlite:///dispatch.db"
    namespace: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,47}$")] = "dispatch"
    migrate: Annotated[Literal["auto", "empty", "never"], Lower] | None = None
    outbox: Annotated[str, Field(min_length=1)] | None = None
    url: Annotated[str, Field(min_length=1)] | None = None
    api_key: Annotated[str, Field(min_length=1)] | None = None
    api_key_file: Annotated[str, Field(min_length=1)] | None = None
    app: str | None = None
    auto_open: bool = True
    queues: list[Name] = []
    concurrency: Count = 10
    processes: Count = 1
    poll_interval: Interval = timedelta(seconds=1)
    heartbeat_interval: Interval = timedelta(seconds=5)
    lease: Interval = timedelta(seconds=30)
    leader_lease: Interval = timedelta(seconds=15)
    stall_limit: Interval = timedelta(seconds=60)
    grace: Duration = timedelta(seconds=25)
    max_retries: Annotated[int, Field(ge=0, le=1_000_000)] = 3
    max_crashes: Annotated[int, Field(ge=0)] = 3
    unserved_after: Interval = timedelta(seconds=60)
    unknown_grace: MaybeInterval = None
    idempotency_ttl: Interval = timedelta(hours=24)
    park_after: Interval = timedelta(seconds=1)
    plugins: list[Annotated[str, Field(min_length=1)]] = []
    disabled_plugins: list[Annotated[str, Field(min_length=1)]] = []
    queue: dict[Name, QueueTable] = {}
    limits: Limits = Limits()
    retention: Retention = Retention()
    cron: Cron = Cron()
    server: Server = Server()
    log: Log = Log()
    telemetry: Telemetry = Telemetry()
    sqlite: SQLite = SQLite()
    postgres: Postgres = Postgres()
    mysql: MySQL = MySQL()
    redis: Redis = Redis()
    plugin: dict[str, dict[str, Any]] = {}

    @classmethod
    def default(cls) -> Config:
        """The configuration that nobody has touched."""
        return cls()

    def queue_configs(self) -> list[QueueConfig]:
        """The `[queue.NAME]` tables as the store takes them."""
        return [QueueConfig(name, **table.model_dump()) for name, table in self.queue.items()]

    @model_validator(mode="wrap")
    @classmethod
    def _explained(cls, value: Any, handler: ModelWrapValidatorHandler[Config], info: ValidationInfo) -> Config:
        origins: SpelledAs = info.context or {}
        try:
            config = handler(value)
        except ValidationError as error:
            raise ConfigError(explain(error.errors(), origins)) from None
        _lease_outlives_lost_beats(config, origins)
        return config


def _lease_outlives_lost_beats(config: Config, origins: SpelledAs) -> None:
    least = BEATS_A_LEASE * config.heartbeat_interval
    if config.lease < least:
        raise ConfigError(
            f"lease = {format_duration(config.lease)} ({origins.get(('lease',), 'default')}) must be at least "
            f"{BEATS_A_LEASE} × heartbeat_interval = {format_duration(least)} "
            f"({origins.get(('heartbeat_interval',), 'default')}), or a few late beats would hand running jobs to "
            "another worker: raise lease or lower heartbeat_interval"
        )


def explain(errors: list[ErrorDetails], origins: SpelledAs) -> str:
    """One line for each thing that is wrong: the key, its value, where it stands, and what would be right."""
    return "\n".join(_explain(error, origins) for error in errors)


def _explain(error: ErrorDetails, origins: SpelledAs) -> str:
    path = tuple(str(part) for part in error["loc"] if part != "[key]")
    where = next((f" ({origins[path[:n]]})" for n in range(len(path), 0, -1) if path[:n] in origins), "")
    key = ".".join(path)
    if error["type"] == "extra_forbidden":
        return unknown_key(path, where)
    message = error["msg"].removeprefix("Value error, ")
    if not path:
        return message
    hint = "; the settings of one queue stand in [queue.NAME]" if path[0] == "queues" else ""
    return f"{key} = {mask_value(path[-1], error['input'])!r}{where}: {message}{hint}"


def nearest(wrong: str, valid: list[str]) -> str:
    """What to say about a name that is none of the valid ones."""
    folded = {name.lower(): name for name in valid}
    close = get_close_matches(wrong.lower(), folded, n=1, cutoff=0.5)
    if close:
        return f"did you mean {folded[close[0]]!r}?"
    return f"it may be one of {', '.join(valid)}" if valid else "there is no such table"


def unknown_key(path: tuple[str, ...], where: str) -> str:
    """The message for a path that `is_key` refuses; `where` is ready to be shown, with its leading blank."""
    return f"unknown key {'.'.join(path)!r}{where}: {nearest(path[-1], keys_of(path[:-1]))}"


def is_key(path: tuple[str, ...]) -> bool:
    """Whether something may be set there: a key, a whole table, or anything below [plugin.NAME]."""
    match path:
        case ("plugin", *_) | ("queue", _):
            return True
        case ("queue", _, key) | (_, key):
            return key in keys_of(path[:-1])
        case (key,):
            return key in Config.model_fields
        case _:
            return False


def keys_of(path: tuple[str, ...]) -> list[str]:
    """The keys of the table at that path; none where there is no table."""
    match path:
        case ():
            return list(Config.model_fields)
        case ("queue", _):
            return list(QueueTable.model_fields)
        case (name,) if name in TABLES:
            return list(TABLES[name].model_fields)
        case _:
            return []


TABLES: dict[str, type[Table]] = {
    "limits": Limits,
    "retention": Retention,
    "cron": Cron,
    "server": Server,
    "log": Log,
    "telemetry": Telemetry,
    "sqlite": SQLite,
    "postgres": Postgres,
    "mysql": MySQL,
    "redis": Redis,
}
LISTS = frozenset(name for name, field in Config.model_fields.items() if get_origin(field.annotation) is list)
