"""What commands ask of a store that they have opened themselves; see `dispatch_cli.admin`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dispatch import Dispatch
    from dispatch.documents.overview import StatusDocument
    from dispatch.documents.runs import DifferenceDocument
    from dispatch.ids import RunID
    from dispatch.services import (
        APIKeyService,
        AuditService,
        ClusterService,
        CronService,
        DLQService,
        EventService,
        JobService,
        QueueService,
        Status,
        WorkflowService,
    )


class LocalAdmin:
    """The services of an open app.

    Args:
        app: whose they are. place: its store's URL as it may be shown.
    """

    def __init__(self, app: Dispatch, place: str) -> None:
        self._app = app
        self._store = app.store
        self._place = place

    @property
    def jobs(self) -> JobService:
        return self._app.jobs

    @property
    def dlq(self) -> DLQService:
        return self._app.dlq

    @property
    def queues(self) -> QueueService:
        return self._app.queues

    @property
    def workers(self) -> ClusterService:
        return self._app.workers

    @property
    def crons(self) -> CronService:
        return self._app.crons

    @property
    def workflows(self) -> WorkflowService:
        return self._app.workflows

    @property
    def events(self) -> EventService:
        return self._app.events

    @property
    def audit(self) -> AuditService:
        return self._app.audit

    @property
    def keys(self) -> APIKeyService:
        return self._app.keys

    async def status(self, *, now: datetime) -> Status:
        from dispatch.services import read_status

        return await read_status(self._store, now=now)

    async def overview(self, *, now: datetime) -> StatusDocument:
        from dispatch.documents.overview import status_document
        from dispatch.services import missed_ticks
        from dispatch.text import iso

        found = await self.status(now=now)
        missed = await missed_ticks(self._store, found.crons, since=now - timedelta(days=1))
        return status_document(found, missed, store=self._place, at=iso(now))

    async def differences(self, left: RunID, right: RunID) -> Sequence[DifferenceDocument]:
        from dispatch.documents.runs import difference_documents

        return difference_documents(await self.workflows.timeline(left), await self.workflows.timeline(right))

    @property
    def version(self) -> int:
        return self._store.wakeups.version

    async def changed(self, since: int, timeout: float) -> None:
        await self._store.wakeups.wait(since, timeout)
