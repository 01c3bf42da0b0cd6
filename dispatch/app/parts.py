"""The services of one app, put together over a store."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from dispatch.app.stores import cron_defaults, limits_of, retention_of
from dispatch.cluster.elector import LeaderElector
from dispatch.config import Config
from dispatch.plugins import PluginManager
from dispatch.registry import Registry
from dispatch.services import (
    AuditService,
    ClusterService,
    CronService,
    DLQService,
    EventService,
    JobService,
    QueueService,
    RetentionService,
    WorkflowService,
)
from dispatch.store import Store
from dispatch.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Parts:
    """One service a noun."""

    audit: AuditService
    jobs: JobService
    dlq: DLQService
    queues: QueueService
    workers: ClusterService
    crons: CronService
    events: EventService
    workflows: WorkflowService
    retention: RetentionService

    @classmethod
    def over(
        cls,
        store: Store,
        config: Config,
        *,
        registry: Registry,
        plugins: PluginManager,
        telemetry: Telemetry,
        elector: Callable[[], LeaderElector | None],
        logger: logging.Logger,
    ) -> Self:
        """The services over that store, as configured."""
        limits, ttl = limits_of(config), config.idempotency_ttl.total_seconds()
        audit = AuditService(store, logger=logger.getChild("audit"))
        jobs = JobService(
            store,
            registry=registry,
            plugins=plugins,
            limits=limits,
            idempotency_ttl=ttl,
            audit=audit,
            telemetry=telemetry,
        )
        defaults = cron_defaults(config)
        events = EventService(store, plugins=plugins, largest=limits.payload, telemetry=telemetry)
        return cls(
            audit=audit,
            jobs=jobs,
            dlq=DLQService(store, audit=audit, plugins=plugins, largest=limits.payload),
            queues=QueueService(store, audit=audit),
            workers=ClusterService(store, audit=audit, elector=elector),
            crons=CronService(store, audit=audit, defaults=defaults, telemetry=telemetry, plugins=plugins),
            events=events,
            workflows=WorkflowService(
                store, registry=registry, jobs=jobs, events=events, idempotency_ttl=ttl, audit=audit
            ),
            retention=RetentionService(store, retention_of(config), audit=audit),
        )
