"""The services of one app over a store, one a noun, each imported and made when it is first asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from dispatch.lazily import lazily

if TYPE_CHECKING:
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


class Parts:
    """The services over that store, as configured."""

    def __init__(
        self,
        store: Store,
        config: Config,
        *,
        registry: Registry,
        plugins: PluginManager,
        telemetry: Telemetry,
        elector: Callable[[], LeaderElector | None],
        logger: logging.Logger,
    ) -> None:
        self._store = store
        self._config = config
        self._registry = registry
        self._plugins = plugins
        self._telemetry = telemetry
        self._elector = elector
        self._logger = logger

    @lazily
    def audit(self) -> AuditService:
        from dispatch.services import AuditService

        return AuditService(self._store, logger=self._logger.getChild("audit"))

    @lazily
    def jobs(self) -> JobService:
        from dispatch.app.stores import limits_of
        from dispatch.services import JobService

        return JobService(
            self._store,
            registry=self._registry,
            plugins=self._plugins,
            limits=limits_of(self._config),
            idempotency_ttl=self._config.idempotency_ttl.total_seconds(),
            audit=self.audit,
            telemetry=self._telemetry,
        )

    @lazily
    def dlq(self) -> DLQService:
        from dispatch.app.stores import limits_of
        from dispatch.services import DLQService

        largest = limits_of(self._config).payload
        return DLQService(self._store, audit=self.audit, plugins=self._plugins, largest=largest)

    @lazily
    def queues(self) -> QueueService:
        from dispatch.services import QueueService

        return QueueService(self._store, audit=self.audit)

    @lazily
    def workers(self) -> ClusterService:
        from dispatch.services import ClusterService

        return ClusterService(self._store, audit=self.audit, elector=self._elector)

    @lazily
    def crons(self) -> CronService:
        from dispatch.app.stores import cron_defaults
        from dispatch.services import CronService

        return CronService(
            self._store,
            audit=self.audit,
            defaults=cron_defaults(self._config),
            telemetry=self._telemetry,
            plugins=self._plugins,
        )

    @lazily
    def events(self) -> EventService:
        from dispatch.app.stores import limits_of
        from dispatch.services import EventService

        largest = limits_of(self._config).payload
        return EventService(self._store, plugins=self._plugins, largest=largest, telemetry=self._telemetry)

    @lazily
    def workflows(self) -> WorkflowService:
        from dispatch.services import WorkflowService

        return WorkflowService(
            self._store,
            registry=self._registry,
            jobs=self.jobs,
            events=self.events,
            idempotency_ttl=self._config.idempotency_ttl.total_seconds(),
            audit=self.audit,
        )

    @lazily
    def retention(self) -> RetentionService:
        from dispatch.app.stores import retention_of
        from dispatch.services import RetentionService

        return RetentionService(self._store, retention_of(self._config), audit=self.audit)
