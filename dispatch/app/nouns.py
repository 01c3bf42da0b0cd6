"""The services of an app by the noun they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dispatch.app.parts import Parts
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


class Nouns:
    """The part of Dispatch that people and doors administer it by."""

    _parts: Parts

    @property
    def audit(self) -> AuditService:
        """Who did what."""
        return self._parts.audit

    @property
    def jobs(self) -> JobService:
        """Enqueue by name, look at, watch, explain, retry and cancel jobs."""
        return self._parts.jobs

    @property
    def dlq(self) -> DLQService:
        """Look at, replay, discard and purge dead letters."""
        return self._parts.dlq

    @property
    def queues(self) -> QueueService:
        """Look at, pause, resume, limit and empty queues."""
        return self._parts.queues

    @property
    def workers(self) -> ClusterService:
        """Look at workers, ask them to drain, and see who leads."""
        return self._parts.workers

    @property
    def crons(self) -> CronService:
        """Look at, make, change, switch and trigger cron entries."""
        return self._parts.crons

    @property
    def events(self) -> EventService:
        """Publish events, and look at them."""
        return self._parts.events

    @property
    def workflows(self) -> WorkflowService:
        """Start by name, look at, signal, cancel, retry and fork runs."""
        return self._parts.workflows

    @property
    def retention(self) -> RetentionService:
        """Remove what is old."""
        return self._parts.retention
