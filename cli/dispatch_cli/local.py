"""What commands ask of a store that they have opened themselves; see `dispatch_cli.admin`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dispatch.services import missed_ticks, read_status

if TYPE_CHECKING:
    from dispatch import Dispatch
    from dispatch.documents.overview import StatusDocument
    from dispatch.documents.runs import DifferenceDocument
    from dispatch.ids import RunID
    from dispatch.services import Status


class LocalAdmin:
    """The services of an open app.

    Args:
        app: whose they are. place: its store's URL as it may be shown.
    """

    def __init__(self, app: Dispatch, place: str) -> None:
        self.jobs, self.dlq, self.queues, self.workers = app.jobs, app.dlq, app.queues, app.workers
        self.crons, self.workflows, self.events = app.crons, app.workflows, app.events
        self.audit, self.keys = app.audit, app.keys
        self._store = app.store
        self._place = place

    async def status(self, *, now: datetime) -> Status:
        return await read_status(self._store, now=now)

    async def overview(self, *, now: datetime) -> StatusDocument:
        from dispatch.documents.overview import status_document
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
