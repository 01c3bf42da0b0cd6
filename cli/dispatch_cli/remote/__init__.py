"""What commands ask of a server elsewhere, by its HTTP API; see `dispatch_cli.admin`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from dispatch.client.http import HTTPClient
from dispatch.crons.model import ListOptions as CronOptions
from dispatch.documents.overview import StatusDocument
from dispatch.documents.runs import DifferenceDocument
from dispatch.entity import LARGEST_PAGE
from dispatch.ids import RunID
from dispatch.services import Status
from dispatch.services.status import status_of
from dispatch.workflows.model import RunState
from dispatch_cli.remote.access import RemoteAudit, RemoteKeys
from dispatch_cli.remote.crons import RemoteCrons
from dispatch_cli.remote.fleet import RemoteQueues, RemoteWorkers
from dispatch_cli.remote.jobs import RemoteJobs
from dispatch_cli.remote.letters import RemoteLetters
from dispatch_cli.remote.link import Link
from dispatch_cli.remote.workflows import RemoteEvents, RemoteWorkflows


class RemoteAdmin:
    """The services of a server.

    Args:
        client: asks it.
    """

    def __init__(self, client: HTTPClient) -> None:
        self._link = link = Link(client)
        self.jobs, self.dlq, self.queues, self.workers = (
            RemoteJobs(link),
            RemoteLetters(link),
            RemoteQueues(link),
            RemoteWorkers(link),
        )
        self.cluster = self.workers
        """As stores call it, for those who complete words."""
        self.crons = RemoteCrons(link, definitions=self.workers.definitions)
        self.workflows = RemoteWorkflows(link, definitions=self.workers.definitions)
        self.events, self.audit, self.keys = RemoteEvents(link), RemoteAudit(link), RemoteKeys(link)

    async def status(self, *, now: datetime) -> Status:
        def counts(found: Any) -> dict[RunState, int]:
            return {state: found[state] for state in RunState}

        queues, workers, groups, runs, crons = await asyncio.gather(
            self.queues.list(),
            self.workers.list(),
            self.dlq.groups(),
            self._link.get("/v1/workflows/runs/counts", counts),
            self.crons.list(CronOptions(limit=LARGEST_PAGE)),
        )
        return status_of(queues, workers, groups, runs, crons=crons.items, now=now)

    async def overview(self, *, now: datetime) -> StatusDocument:
        def read(found: Any) -> StatusDocument:
            return cast("StatusDocument", {name: found[name] for name in StatusDocument.__annotations__})

        return await self._link.get("/v1/status", read)

    async def differences(self, left: RunID, right: RunID) -> Sequence[DifferenceDocument]:
        return await self.workflows.differences(left, right)

    @property
    def version(self) -> int:
        return 0

    async def changed(self, since: int, timeout: float) -> None:
        await asyncio.sleep(timeout)
