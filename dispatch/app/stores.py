"""Translates the configuration into what store and services take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial
from typing import Any

from dispatch.app.plugged import plugins_of, schemes_of
from dispatch.config import Config
from dispatch.services import Limits, Retention
from dispatch.services.cron_specs import CronDefaults
from dispatch.store import Store
from dispatch.stores import REDIS_SCHEMES, is_known, kind, open_store
from dispatch.stores.outbox import with_outbox
from dispatch.stores.scratch import MakeScratch, scratch


def store_of(
    config: Config,
    url: str,
    *,
    migrate: str | None = None,
    schemes: Callable[[], Mapping[str, Callable[..., Store]]] | None = None,
) -> Store:
    """The store at `url`, not yet opened; `migrate` instead of what the configuration says.

    schemes: asked for the makers of other schemes when `url` has none of Dispatch's own; by default the plugins that
    the configuration names.
    """
    others = {} if is_known(url) else (schemes or partial(_of_plugins, config))()
    how = migrate or config.migrate
    return open_store(url, namespace=config.namespace, migrate=how, schemes=others, **_options(config, url))


def app_store_of(
    config: Config, url: str, *, schemes: Callable[[], Mapping[str, Callable[..., Store]]] | None = None
) -> Store:
    """The store of an app at `url`, with the outbox that the configuration names."""
    store = store_of(config, url, schemes=schemes)
    return store if config.outbox is None else with_outbox(store, store_of(config, config.outbox, schemes=schemes))


def _of_plugins(config: Config) -> Mapping[str, Callable[..., Store]]:
    return schemes_of(plugins_of(config))


def scratch_of(config: Config, url: str) -> AbstractAsyncContextManager[MakeScratch]:
    """A maker of empty stores beside the one at `url`."""
    return scratch(url, **_options(config, url))


def _options(config: Config, url: str) -> dict[str, Any]:
    if kind(url) == "sqlite":
        return {"synchronous": config.sqlite.synchronous, "busy_timeout": config.sqlite.busy_timeout.total_seconds()}
    if kind(url) == "postgresql":
        postgres = config.postgres
        return {
            "pool_size": postgres.pool_size,
            "pooler": postgres.pooler,
            "listen": postgres.listen,
            "statement_cache_size": postgres.statement_cache_size,
            "connect_timeout": postgres.connect_timeout.total_seconds(),
            # the rest of the engine counts on an answer within a third of a lease
            "command_timeout": min(postgres.command_timeout, config.lease / 3.5).total_seconds(),
        }
    if kind(url) == "mysql":
        mysql = config.mysql
        return {
            "pool_size": mysql.pool_size,
            "connect_timeout": mysql.connect_timeout.total_seconds(),
            "command_timeout": min(mysql.command_timeout, config.lease / 3.5).total_seconds(),
        }
    if url.partition("://")[0] in REDIS_SCHEMES:
        redis = config.redis
        return {
            "connections": redis.connections,
            # the rest of the engine counts on an answer within a third of a lease
            "timeout": min(redis.timeout, config.lease / 3.5).total_seconds(),
            "protocol": redis.protocol,
            "allow_eviction": redis.allow_eviction,
        }
    return {}


def limits_of(config: Config) -> Limits:
    """The sizes that services enforce."""
    limits = config.limits
    return Limits(payload=limits.payload, metadata=limits.metadata, result=limits.result, traceback=limits.traceback)


def cron_defaults(config: Config) -> CronDefaults:
    """What holds for cron entries that do not say."""
    table = config.cron
    return CronDefaults(timezone=table.timezone, misfire=table.misfire, jitter=table.jitter.total_seconds())


def retention_of(config: Config) -> Retention:
    """How long things are kept after their end."""
    table = config.retention
    return Retention(
        completed=_maybe(table.completed),
        failed=_maybe(table.failed),
        cancelled=_maybe(table.cancelled),
        events=_maybe(table.events),
        ticks=_maybe(table.ticks),
    )


def _maybe(delta: timedelta | None) -> float | None:
    return None if delta is None else delta.total_seconds()
