"""A store with two tenants' things in it, an API before it, and keys for whoever asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from dispatch import Dispatch
from dispatch.access import EVERYTHING, SCOPES
from dispatch.api import API
from dispatch.clock import ManualClock
from dispatch.cluster.model import Announcement, NewWorker
from dispatch.config import Config
from dispatch.crons.model import CronSpec
from dispatch.events.model import Event
from dispatch.ids import CronID, JobID, RunID, WorkerID
from dispatch.jobs.model import Failure, NewJob, Transition, Verdict
from dispatch.registry import Registry
from dispatch.scope import NO_SCOPE, Scope
from dispatch.services.attempts import Failures
from dispatch.stores.memory import MemoryStore
from dispatch.workflows.model import NewRun, driver_id

OURS, THEIRS = Scope("shop", "ours"), Scope("shop", "theirs")
BASE = "http://localhost"


@dataclass
class World:
    """What the tests speak to."""

    app: Dispatch
    api: API
    client: httpx2.AsyncClient
    ids: dict[str, str] = field(default_factory=dict)
    """Path parameter → the id of our thing."""

    async def key(self, *scopes: str, scope: Scope = NO_SCOPE, **more: Any) -> str:
        """The token of a new key."""
        return (await self.app.keys.create("tester", scopes=scopes or (EVERYTHING,), scope=scope, **more)).token

    async def ask(
        self, method: str, path: str, token: str | None = None, headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx2.Response:
        """A request with that token."""
        shown = {} if token is None else {"Authorization": f"Bearer {token}"}
        return await self.client.request(method, path, headers={**shown, **(headers or {})}, **more)

    def path(self, template: str) -> str:
        """The path with the ids of our things."""
        return template.format(**self.ids)


@asynccontextmanager
async def world(
    clock: ManualClock | None = None,
    config: Config | None = None,
    *,
    failures: Failures | None = None,
    **options: Any,
) -> AsyncIterator[World]:
    """An open app with two tenants' things, and a client for its API."""
    store = MemoryStore(clock=clock) if clock else MemoryStore()
    async with Dispatch(store, config=config or Config(), registry=Registry()) as app:
        api = API(app, **options)
        if failures is not None:
            api.guard.failures = failures
        transport = httpx2.ASGITransport(api.asgi(), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
            found = World(app, api, client)
            found.ids = await seed(app)
            yield found


async def seed(app: Dispatch) -> dict[str, str]:
    """Things of ours and of theirs; the ids of ours by the names of path parameters."""
    store = app.store
    worker = WorkerID.new()
    await store.cluster.register(
        NewWorker(worker, "here", 1, queues=("default",), names=("add",), concurrency=1, lease=3600)
    )
    await store.cluster.acquire_leadership(worker, lease=3600)
    checkout = {"properties": {"order": {"type": "integer"}}, "required": ["order"], "additionalProperties": False}
    await store.cluster.announce([Announcement("checkout", "workflow", queue="shop", schema=checkout, version=2)])
    ids: dict[str, str] = {"worker_id": worker, "queue": "default", "key_id": "0" * 16}
    for scope in (THEIRS, OURS):
        waiting, doomed, run_id = JobID.new(), JobID.new(), RunID.new()
        own = f"{scope.org_id}-{doomed[-8:]}"
        await store.jobs.enqueue([NewJob(doomed, "doomed", b'{"x": 1}', queue=own, scope=scope)])
        claimed = await store.jobs.claim(
            worker, queues={own: 1}, names=["doomed"], limit=1, lease=3600
        )  # fmt: skip
        fail = Transition(
            doomed,
            claimed.jobs[0].epoch,
            Verdict.FAIL,
            failure=Failure("ValueError", "no"),
            reason="failed",
            dead_letter=True,
        )
        (ended,) = await store.jobs.finish(worker, [fail])
        await store.jobs.enqueue([NewJob(waiting, "add", b'{"x": 1}', scope=scope)])
        driver = NewJob(
            driver_id(run_id), "checkout@2", b'{"order": 1}', kind="workflow", run_id=run_id, queue="shop", scope=scope
        )
        await store.workflows.create([NewRun(run_id, "checkout", 2, driver)])
        event = await store.events.publish(Event("stock.arrived", b"{}", scope=scope))
        spec = CronSpec(name=f"nightly-{scope.org_id}-{waiting[-8:]}", schedule="@daily", target="add", scope=scope)
        entry = await store.crons.create(spec, entry_id=CronID.new(), next_fire_at=None)
        assert ended.dead_letter is not None
        assert entry is not None
        ids |= {
            "job_id": waiting,
            "run_id": run_id,
            "event_id": event.id,
            "cron": entry.id,
            "entry_id": ended.dead_letter,
        }
    return ids


LESSER = [scope for scope in SCOPES if scope != EVERYTHING]
"""All scopes that stand for themselves."""
BODIES: dict[str, Any] = {
    "POST /v1/jobs": {"name": "add", "payload": {"x": 1}},
    "POST /v1/jobs/cancel": {"ids": ["{job_id}"]},
    "POST /v1/jobs/retry": {"ids": ["{job_id}"]},
    "POST /v1/jobs/delete": {"ids": ["{job_id}"]},
    "POST /v1/workflows/runs": {"name": "checkout", "input": {"order": 1}},
    "POST /v1/workflows/runs/cancel": {"ids": ["{run_id}"]},
    "POST /v1/workflows/runs/retry": {"ids": ["{run_id}"]},
    "POST /v1/workflows/runs/{run_id}/signal": {"name": "go"},
    "POST /v1/workflows/runs/{run_id}/migrate": {"version": 2},
    "POST /v1/workflows/runs/{run_id}/fork": {"before": "ship"},
    "POST /v1/events": {"name": "stock.arrived"},
    "POST /v1/crons": {"name": "weekly", "schedule": "@weekly", "target": "add"},
    "PATCH /v1/crons/{cron}": {"schedule": "@weekly"},
    "POST /v1/dlq/replay": {"ids": ["{entry_id}"]},
    "POST /v1/dlq/discard": {"ids": ["{entry_id}"]},
    "POST /v1/dlq/purge": {"older_than": 1e6},
    "PATCH /v1/queues/{queue}/limits": {"max_concurrency": 3},
    "POST /v1/apikeys": {"name": "other", "scopes": ["admin"]},
}
"""Route → a body that makes sense."""
QUERIES = {"GET /v1/workflows/runs/{run_id}/diff": {"other": "{run_id}"}}


def body_of(route: str, ids: Mapping[str, str]) -> Any:
    """The body for that route with our ids, or None."""
    found = BODIES.get(route)
    if found is None:
        return None
    return {
        name: [one.format(**ids) for one in value] if name == "ids" else value for name, value in found.items()
    }  # fmt: skip
