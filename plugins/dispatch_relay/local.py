"""The verbs on a store, in documents; see `dispatch_relay.documents`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from dispatch.ids import JobID
from dispatch.jobs.model import JobState
from dispatch_relay.delivery import DeliveryDocument, delivery_document
from dispatch_relay.documents import AddedDocument, List, RotatedDocument, TestDocument
from dispatch_relay.endpoint import EndpointDocument
from dispatch_relay.service import WebhookService


class LocalWebhooks:
    """What the service answers, as documents.

    Args:
        service: does it.
    """

    def __init__(self, service: WebhookService) -> None:
        self._service = service

    async def list(self) -> List[EndpointDocument]:
        return [endpoint.document() for endpoint in await self._service.list()]

    async def get(self, name: str) -> EndpointDocument:
        return (await self._service.get(name)).document()

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
    ) -> AddedDocument:
        endpoint, key = await self._service.add(
            name,
            url,
            events=events,
            secret=secret,
            tenant=tenant,
            headers=headers,
            rate=rate,
            concurrency=concurrency,
            dry_run=dry_run,
        )
        unserved = not (dry_run or await self._service.served())
        return {**endpoint.document(), "secret": None if dry_run else key, "unserved": unserved}

    async def rotate(self, name: str, *, secret: str | None, overlap: timedelta, reason: str) -> RotatedDocument:
        endpoint, key = await self._service.rotate(name, secret=secret, overlap=overlap, reason=reason)
        return {**endpoint.document(), "secret": key}

    async def remove(self, name: str, *, reason: str) -> EndpointDocument:
        endpoint = await self._service.get(name)
        await self._service.remove(name, reason=reason)
        return endpoint.document()

    async def disable(self, name: str, *, reason: str) -> EndpointDocument:
        return (await self._service.disable(name, reason=reason)).document()

    async def enable(self, name: str, *, reason: str) -> EndpointDocument:
        return (await self._service.enable(name, reason=reason)).document()

    async def test(self, name: str) -> TestDocument:
        tried = await self._service.test(name)
        return {
            "endpoint": tried.endpoint,
            "arrived": tried.arrived,
            "status": tried.status,
            "elapsed_ms": tried.elapsed_ms,
            "message": tried.message,
        }

    async def deliveries(
        self, *, endpoint: str | None, states: Sequence[JobState], limit: int
    ) -> List[DeliveryDocument]:
        page = await self._service.deliveries(endpoint=endpoint, states=states, limit=limit)
        return [delivery_document(job) for job in page.items]

    async def redeliver(self, job_id: JobID, *, dry_run: bool, reason: str) -> str:
        return str(await self._service.redeliver(job_id, dry_run=dry_run, reason=reason))
