"""Translates the configuration into what store and engine take."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from dispatch.backoff import Strategy, default_strategy
from dispatch.config import Config
from dispatch.engine.outcome import Policy
from dispatch.engine.settings import Settings
from dispatch.services import Limits
from dispatch.store import Store
from dispatch.stores import open_store


def store_of(config: Config, url: str | None = None) -> Store:
    """The store at `url` (None: the configured one), not yet opened."""
    chosen = url or config.store
    options: dict[str, Any] = {}
    if chosen.startswith("sqlite:"):
        options = {"synchronous": config.sqlite.synchronous, "busy_timeout": _s(config.sqlite.busy_timeout)}
    return open_store(chosen, migrate=config.migrate, **options)


def limits_of(config: Config) -> Limits:
    """The sizes that services enforce."""
    limits = config.limits
    return Limits(payload=limits.payload, metadata=limits.metadata, result=limits.result, traceback=limits.traceback)


def engine_settings(
    config: Config,
    *,
    queues: Mapping[str, int],
    concurrency: int | None,
    backoff: Strategy | None,
    name: str,
    labels: Mapping[str, str],
) -> Settings:
    """The numbers an engine runs by."""
    unknown = config.unknown_grace
    return Settings(
        queues=queues,
        concurrency=concurrency or config.concurrency,
        poll_interval=_s(config.poll_interval),
        heartbeat_interval=_s(config.heartbeat_interval),
        lease=_s(config.lease),
        stall_limit=_s(config.stall_limit),
        grace=_s(config.grace),
        max_crashes=config.max_crashes,
        unserved_after=_s(config.unserved_after),
        unknown_grace=None if unknown is None else _s(unknown),
        result_limit=config.limits.result,
        policy=Policy(
            max_retries=config.max_retries,
            backoff=backoff or default_strategy(),
            traceback_limit=config.limits.traceback,
        ),
        name=name,
        labels=labels,
    )


def _s(delta: timedelta) -> float:
    return delta.total_seconds()
