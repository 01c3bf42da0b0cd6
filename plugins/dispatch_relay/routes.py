"""/v1/webhooks and /v1/deliveries: the verbs over HTTP, each within the tenant of the key that asks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from dispatch.access import ADMIN
from dispatch.hookspecs import Routes
from dispatch.ids import JobID
from dispatch.jobs.model import JobState
from dispatch_relay.configured import OVERLAP
from dispatch_relay.delivery import DeliveryDocument, delivery_document
from dispatch_relay.documents import AddedDocument, RotatedDocument, TestDocument
from dispatch_relay.endpoint import CONCURRENCY, NAME, EndpointDocument
from dispatch_relay.local import LocalWebhooks
from dispatch_relay.service import LONGEST_OVERLAP, WebhookService

_ID = "^job_[0-7][0-9a-hjkmnp-tv-z]{25}$"
Name = Annotated[str, Path(pattern=f"^{NAME.pattern}$", description="The endpoint's name.")]
Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]


class NewEndpoint(BaseModel):
    """An endpoint to be added."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    url: Annotated[str, Field(max_length=2048)]
    events: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=50)] = ["*"]
    secret: Annotated[str | None, Field(max_length=200, description='"whsec_…"; left out: a fresh one.')] = None
    tenant: Annotated[str | None, Field(max_length=300, description="Only events of this tenant.")] = None
    headers: Annotated[dict[str, str], Field(max_length=50)] = {}
    rate: Annotated[float | None, Field(gt=0, allow_inf_nan=False, description="Webhooks a second.")] = None
    concurrency: Annotated[int, Field(ge=1, le=1000)] = CONCURRENCY
    dry_run: Annotated[bool, Field(description="Answer it as it would be, and write nothing.")] = False


class Why(BaseModel):
    """Why something is done, for the audit record."""

    model_config = ConfigDict(extra="forbid")

    reason: Text = ""


class Rotation(Why):
    """A new secret."""

    secret: Annotated[str | None, Field(max_length=200, description='"whsec_…"; left out: a fresh one.')] = None
    overlap_seconds: Annotated[
        float,
        Field(ge=0, le=LONGEST_OVERLAP.total_seconds(), description="How long the present one signs beside it."),
    ] = OVERLAP.total_seconds()


class Again(Why):
    """How a webhook is sent again."""

    dry_run: Annotated[bool, Field(description="Only look whether it may be; send nothing.")] = False


class EndpointList(TypedDict):
    """Endpoints."""

    items: list[EndpointDocument]


class DeliveryList(TypedDict):
    """Deliveries, newest first."""

    items: list[DeliveryDocument]
    next_cursor: str | None


class Queued(TypedDict):
    """The delivery that sends a webhook again; with `dry_run` the one that was asked about."""

    id: str


def webhook_routes(webhooks: Callable[[], WebhookService]) -> Routes:
    """The routes; `webhooks` answers the verbs as the key of the present request may use them."""
    router = APIRouter(tags=["webhooks"])

    def local() -> LocalWebhooks:
        return LocalWebhooks(webhooks())

    @router.get("/webhooks")
    async def list_endpoints() -> EndpointList:
        """List the endpoints; their secrets are shown nowhere."""
        return {"items": await local().list()}

    @router.post(
        "/webhooks",
        status_code=201,
        responses={200: {"model": AddedDocument, "description": "With dry_run: as it would be"}},
    )
    async def add(body: NewEndpoint, response: Response) -> AddedDocument:
        """Add an endpoint, which gets what happens from now on; the answer has its secret, this once."""
        if body.dry_run:
            response.status_code = 200
        return await local().add(**body.model_dump())

    @router.get("/webhooks/{name}")
    async def show(name: Name) -> EndpointDocument:
        """Show an endpoint."""
        return await local().get(name)

    @router.delete("/webhooks/{name}")
    async def remove(name: Name, reason: Annotated[Text, Query()] = "") -> EndpointDocument:
        """Remove an endpoint; deliveries that still wait for it fail."""
        return await local().remove(name, reason=reason)

    @router.post("/webhooks/{name}/rotate")
    async def rotate(name: Name, body: Rotation | None = None) -> RotatedDocument:
        """Give an endpoint a new secret; the present one signs beside it, for a day unless said otherwise."""
        asked = body or Rotation()
        overlap = timedelta(seconds=asked.overlap_seconds)
        return await local().rotate(name, secret=asked.secret, overlap=overlap, reason=asked.reason)

    @router.post("/webhooks/{name}/disable")
    async def disable(name: Name, body: Why | None = None) -> EndpointDocument:
        """Send nothing to an endpoint any more; what happens meanwhile is not sent later."""
        return await local().disable(name, reason=body.reason if body else "")

    @router.post("/webhooks/{name}/enable")
    async def enable(name: Name, body: Why | None = None) -> EndpointDocument:
        """Send an endpoint what happens from now on."""
        return await local().enable(name, reason=body.reason if body else "")

    @router.post("/webhooks/{name}/test")
    async def test(name: Name) -> TestDocument:
        """Send an event of type dispatch.test to an endpoint now, and tell what came back."""
        return await local().test(name)

    @router.get("/deliveries")
    async def deliveries(
        endpoint: Annotated[str | None, Query(pattern=f"^{NAME.pattern}$")] = None,
        state: Annotated[list[JobState] | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: Annotated[str | None, Query(pattern=_ID)] = None,
    ) -> DeliveryList:
        """List deliveries, newest first: each is one event on its way to one endpoint."""
        page = await webhooks().deliveries(endpoint=endpoint, states=state or (), limit=limit, cursor=cursor)
        return {"items": [delivery_document(job) for job in page.items], "next_cursor": page.next_cursor}

    @router.post("/deliveries/{id}/redeliver")
    async def redeliver(id: Annotated[str, Path(pattern=_ID)], body: Again | None = None) -> Queued:
        """Send a webhook again, under its first webhook-id."""
        asked = body or Again()
        return {"id": await local().redeliver(JobID(id), dry_run=asked.dry_run, reason=asked.reason)}

    found: list[Any] = list(router.routes)
    return Routes(router, scopes={(method, route.path): ADMIN for route in found for method in route.methods})
