"""The verbs at a server elsewhere, by its HTTP API, in documents; see `dispatch_relay.documents`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar, cast

from dispatch.client.errors import ServerFailed
from dispatch.client.http import HTTPClient
from dispatch.ids import JobID
from dispatch.jobs.model import JobState
from dispatch_relay.delivery import DeliveryDocument
from dispatch_relay.documents import AddedDocument, List, RotatedDocument, TestDocument
from dispatch_relay.endpoint import NAME, EndpointDocument, checked_name, parsed_rate
from dispatch_relay.endpoints import no_endpoint
from dispatch_relay.sender import TIMEOUT
from dispatch_relay.service import checked_overlap
from dispatch_relay.signing import checked_secret

D = TypeVar("D")


class RemoteWebhooks:
    """What a server's routes answer. What is plainly wrong is refused here, with the words of the service.

    Args:
        client: asks it.
    """

    def __init__(self, client: HTTPClient) -> None:
        self._client = client

    async def list(self) -> List[EndpointDocument]:
        return self._all(EndpointDocument, await self._client.ask("GET", "/v1/webhooks"))

    async def get(self, name: str) -> EndpointDocument:
        return self._one(EndpointDocument, await self._client.ask("GET", _path(name)))

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
        body = {
            "name": checked_name(name),
            "url": url,
            "events": [*events],
            "secret": None if secret is None else checked_secret(secret),
            "tenant": tenant,
            "headers": {**headers},
            "rate": parsed_rate(rate),
            "concurrency": concurrency,
            "dry_run": dry_run,
        }
        return self._one(AddedDocument, await self._client.ask("POST", "/v1/webhooks", body=body))

    async def rotate(self, name: str, *, secret: str | None, overlap: timedelta, reason: str) -> RotatedDocument:
        body = {
            "secret": None if secret is None else checked_secret(secret),
            "overlap_seconds": checked_overlap(overlap).total_seconds(),
            "reason": reason,
        }
        return self._one(RotatedDocument, await self._client.ask("POST", f"{_path(name)}/rotate", body=body))

    async def remove(self, name: str, *, reason: str) -> EndpointDocument:
        return self._one(
            EndpointDocument, await self._client.ask("DELETE", _path(name), query={"reason": reason or None})
        )

    async def disable(self, name: str, *, reason: str) -> EndpointDocument:
        body = {"reason": reason}
        return self._one(EndpointDocument, await self._client.ask("POST", f"{_path(name)}/disable", body=body))

    async def enable(self, name: str, *, reason: str) -> EndpointDocument:
        body = {"reason": reason}
        return self._one(EndpointDocument, await self._client.ask("POST", f"{_path(name)}/enable", body=body))

    async def test(self, name: str) -> TestDocument:
        return self._one(TestDocument, await self._client.ask("POST", f"{_path(name)}/test", wait=TIMEOUT))

    async def deliveries(
        self, *, endpoint: str | None, states: Sequence[JobState], limit: int
    ) -> List[DeliveryDocument]:
        query = {
            "endpoint": None if endpoint is None else _known(endpoint),
            "state": [str(state) for state in states],
            "limit": limit,
        }
        return self._all(DeliveryDocument, await self._client.ask("GET", "/v1/deliveries", query=query))

    async def redeliver(self, job_id: JobID, *, dry_run: bool, reason: str) -> str:
        path = f"/v1/deliveries/{job_id}/redeliver"
        body = {"dry_run": dry_run, "reason": reason}
        try:
            return str((await self._client.ask("POST", path, body=body))["id"])
        except (KeyError, TypeError) as error:
            raise self._strange(error) from None

    def _one(self, kind: type[D], found: Any) -> D:
        """The document, of the fields that it has here."""
        try:
            return cast("D", {field: found[field] for field in kind.__annotations__})
        except (KeyError, TypeError) as error:
            raise self._strange(error) from None

    def _all(self, kind: type[D], found: Any) -> List[D]:
        try:
            return [self._one(kind, one) for one in found["items"]]
        except (KeyError, TypeError) as error:
            raise self._strange(error) from None

    def _strange(self, error: Exception) -> ServerFailed:
        return ServerFailed(
            f"{self._client.url} answers with what this version does not understand ({error!r}): "
            "it runs another version of Dispatch"
        )


def _known(name: str) -> str:
    """A name that an endpoint may have. Raises EndpointNotFound."""
    if not NAME.fullmatch(name):
        raise no_endpoint(name)
    return name


def _path(name: str) -> str:
    """Where an endpoint is; "." and ".." are names too. Raises EndpointNotFound."""
    return f"/v1/webhooks/{_known(name).replace('.', '%2E')}"
