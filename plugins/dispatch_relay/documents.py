"""What commands and routes answer, and the verbs as commands ask for them: of a store, or of a server elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from typing_extensions import TypedDict

from dispatch.ids import JobID
from dispatch.jobs.model import JobState
from dispatch_relay.delivery import DeliveryDocument
from dispatch_relay.endpoint import EndpointDocument

List = list
"""Inside a class with a method `list`, that name is taken."""


class RotatedDocument(EndpointDocument):
    """An endpoint with its new secret, which is shown nowhere else."""

    secret: str


class AddedDocument(EndpointDocument):
    """An endpoint that is new, with its secret, which is shown nowhere else."""

    secret: str | None
    """None: it was not added, only looked at."""
    unserved: bool
    """It was added, and no live worker sends webhooks."""


class TestDocument(TypedDict):
    """What became of a test."""

    endpoint: str
    arrived: bool
    status: int | None
    elapsed_ms: int | None
    message: str


class Webhooks(Protocol):
    """The verbs, in documents: `dispatch_relay.local` on a store, `dispatch_relay.remote` through a server."""

    async def list(self) -> List[EndpointDocument]: ...
    async def get(self, name: str) -> EndpointDocument: ...
    async def add(
        self,
        name: str,
        url: str,
        *,
        events: Sequence[str],
        secret: str | None,
        tenant: str | None,
        headers: Mapping[str, str],
        rate: float | str | None,
        concurrency: int,
        dry_run: bool,
    ) -> AddedDocument: ...
    async def rotate(self, name: str, *, secret: str | None, overlap: timedelta, reason: str) -> RotatedDocument: ...
    async def remove(self, name: str, *, reason: str) -> EndpointDocument: ...
    async def disable(self, name: str, *, reason: str) -> EndpointDocument: ...
    async def enable(self, name: str, *, reason: str) -> EndpointDocument: ...
    async def test(self, name: str) -> TestDocument: ...
    async def deliveries(
        self, *, endpoint: str | None, states: Sequence[JobState], limit: int
    ) -> List[DeliveryDocument]: ...
    async def redeliver(self, job_id: JobID, *, dry_run: bool, reason: str) -> str: ...
