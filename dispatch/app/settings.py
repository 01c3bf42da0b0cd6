"""Translates the configuration into the numbers an engine runs by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from dispatch.app.stores import retention_of
from dispatch.backoff import Strategy, default_strategy
from dispatch.config import Config
from dispatch.engine.outcome import Policy
from dispatch.engine.settings import Settings


def engine_settings(
    config: Config,
    *,
    queues: Mapping[str, int],
    concurrency: int | None,
    max_jobs: int | None,
    backoff: Strategy | None,
    name: str,
    labels: Mapping[str, str],
    cron: bool = True,
) -> Settings:
    """The numbers an engine runs by."""
    return Settings(
        queues=queues,
        concurrency=concurrency or config.concurrency,
        max_jobs=max_jobs,
        poll_interval=_s(config.poll_interval),
        heartbeat_interval=_s(config.heartbeat_interval),
        lease=_s(config.lease),
        leader_lease=_s(config.leader_lease),
        misfire_window=_s(config.cron.misfire_window),
        cron=cron,
        stall_limit=_s(config.stall_limit),
        grace=_s(config.grace),
        max_crashes=config.max_crashes,
        unserved_after=_s(config.unserved_after),
        unknown_grace=None if config.unknown_grace is None else _s(config.unknown_grace),
        park_after=_s(config.park_after),
        idempotency_ttl=_s(config.idempotency_ttl),
        result_limit=config.limits.result,
        policy=Policy(
            max_retries=config.max_retries,
            backoff=backoff or default_strategy(),
            traceback_limit=config.limits.traceback,
        ),
        retention=retention_of(config),
        name=name,
        labels=labels,
    )


def _s(delta: timedelta) -> float:
    return delta.total_seconds()
