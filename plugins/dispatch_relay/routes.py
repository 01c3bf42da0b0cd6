"""/v1/webhooks and /v1/deliveries: the verbs over HTTP, each within the tenant of the key that asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from dispatch.access import ADMIN
from dispatch.hookspecs import Routes
from dispatch.ids import JobID
from dispatch.jobs.model import JobState
from dispatch_relay.delivery import DeliveryDocument, delivery_document
from dispatch_relay.endpoint import CONCURRENCY, NAME, EndpointDocument
from dispatch_relay.service import WebhookService

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


class Why(BaseModel):
    """Why something is done, for the audit record."""

    model_config = ConfigDict(extra="forbid")

    reason: Text = ""


class WithSecret(EndpointDocument):
    """An endpoint with its new secret, which is shown nowhere else."""

    secret: str


class EndpointList(TypedDict):
    """Endpoints."""

    items: list[EndpointDocument]


class DeliveryList(TypedDict):
    """Deliveries, newest first."""

    items: list[DeliveryDocument]
    next_cursor: str | None


class TestDocument(TypedDict):
    """What became of a test."""

    endpoint: str
    arrived: bool
    status: int | None
    elapsed_ms: int | None
    message: str


class Queued(TypedDict):
    """The delivery that sends a webhook again."""

    id: str


def webhook_routes(webhooks: Callable[[], WebhookService]) -> Routes:
    """The routes; `webhooks` answers the verbs as the key of the present request may use them."""
    router = APIRouter(tags=["webhooks"])

    @router.get("/webhooks")
    async def list_endpoints() -> EndpointList:
        """List the endpoints; their secrets are shown nowhere."""
        return {"items": [endpoint.document() for endpoint in await webhooks().list()]}

    @router.post("/webhooks", status_code=201)
    async def add(body: NewEndpoint) -> WithSecret:
        """Add an endpoint, which gets what happens from now on; the answer has its secret, this once."""
        endpoint, key = await webhooks().add(**body.model_dump())
        return {**endpoint.document(), "secret": key}

    @router.get("/webhooks/{name}")
    async def show(name: Name) -> EndpointDocument:
        """Show an endpoint."""
        return (await webhooks().get(name)).document()

    @router.delete("/webhooks/{name}")
    async def remove(name: Name, reason: Annotated[Text, Query()] = "") -> EndpointDocument:
        """Remove an endpoint; deliveries that still wait for it fail."""
        service = webhooks()
        endpoint = await service.get(name)
        await service.remove(name, reason=reason)
        return endpoint.document()

    @router.post("/webhooks/{name}/rotate")
    async def rotate(name: Name) -> WithSecret:
        """Give an endpoint a new secret; the present one signs beside it for a day."""
        endpoint, key = await webhooks().rotate(name)
        return {**endpoint.document(), "secret": key}

    @router.post("/webhooks/{name}/disable")
    async def disable(name: Name, body: Why | None = None) -> EndpointDocument:
        """Send nothing to an endpoint any more; what happens meanwhile is not sent later."""
        return (await webhooks().disable(name, reason=body.reason if body else "")).document()

    @router.post("/webhooks/{name}/enable")
    async def enable(name: Name) -> EndpointDocument:
        """Send an endpoint what happens from now on."""
        return (await webhooks().enable(name)).document()

    @router.post("/webhooks/{name}/test")
    async def test(name: Name) -> TestDocument:
        """Send an event of type dispatch.test to an endpoint now, and tell what came back."""
        tried = await webhooks().test(name)
        return {
            "endpoint": tried.endpoint,
            "arrived": tried.arrived,
            "status": tried.status,
            "elapsed_ms": tried.elapsed_ms,
            "message": tried.message,
        }

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
    async def redeliver(id: Annotated[str, Path(pattern=_ID)]) -> Queued:
        """Send a webhook again, under its first webhook-id."""
        return {"id": str(await webhooks().redeliver(JobID(id)))}

    found: list[Any] = list(router.routes)
    return Routes(router, scopes={(method, route.path): ADMIN for route in found for method in route.methods})
