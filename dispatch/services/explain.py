"""Why a job does or does not run: the gates a claim looks at, in order, each with its evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from dispatch.clock import utc_now
from dispatch.ids import JobID, RunID
from dispatch.jobs.model import WAITING, Job, JobKind, JobState, ListOptions
from dispatch.queues import QueueInfo
from dispatch.scope import Scope
from dispatch.services.gates import GATES, Facts, Gate, span
from dispatch.store import Store

_HOLDERS = 10
_PAGE = 500
_GENERATIONS = 20
_EVERY_KIND: tuple[JobKind, ...] = ("job", "workflow", "delivery")


@dataclass(frozen=True, slots=True)
class Explanation:
    """The gates in order, and one sentence: what the first closed one says, or where the job stands."""

    job_id: JobID
    state: JobState
    summary: str
    gates: tuple[Gate, ...]
    ahead: int = 0
    """How many claimable jobs stand before a waiting one in its lane."""


async def explained(store: Store, job: Job, *, scope: Scope | None = None) -> Explanation:
    """The explanation of a job from what the store says of its surroundings, by the store's clock.

    scope: a tenant, whose eyes see no other one's jobs and no holders of slots.
    """
    queue = await store.queues.get(job.queue)
    now = queue.at or utc_now()
    if scope is not None:
        queue = replace(queue, slots=["somebody" for _ in queue.slots])
    if job.state not in WAITING:
        return Explanation(job.id, job.state, settled(job, now), ())
    workers = await store.cluster.list(live=True)
    facts = Facts(
        job,
        queue,
        workers,
        now,
        holders=await _holders(store, queue, scope),
        tenant_running=await _tenant_running(store, job, queue),
        key=None if job.concurrency_key is None else await store.jobs.holders(job.concurrency_key, limit=_PAGE),
        above=() if job.concurrency_key is None else await _above(store, job),
    )
    return explain(facts, ahead=await store.jobs.ahead(job.id))


def explain(facts: Facts, *, ahead: int) -> Explanation:
    """What the gates make of these facts about a waiting job with so many others before it."""
    job = facts.job
    gates = tuple(gate(facts) for gate in GATES)
    closed = next((gate for gate in gates if not gate.open), None)
    if closed is not None:
        summary = closed.text
    elif ahead:
        summary = f"ready; {ahead} {'job stands' if ahead == 1 else 'jobs stand'} before it in queue {job.queue!r}"
    else:
        summary = f"ready; next in queue {job.queue!r}"
    return Explanation(job.id, job.state, summary, gates, ahead)


def settled(job: Job, now: datetime) -> str:
    """Where a job stands that does not wait."""
    if job.state is JobState.RUNNING:
        since = f" for {span(now - job.started_at)}" if job.started_at else ""
        asked = "; its cancellation was requested" if job.cancel_requested else ""
        if job.lease_until and job.lease_until < now:
            asked += f"; its lease lapsed {span(now - job.lease_until)} ago and the next idle worker takes it over"
        return f"runs{since} on {job.worker_id}, attempt {job.attempt}{asked}"
    when = f" {span(now - job.finished_at)} ago" if job.finished_at else ""
    why = f": {job.error.type}: {job.error.message}" if job.error else f" ({job.reason})" if job.reason else ""
    return f"{job.state}{when}{why if job.state is not JobState.COMPLETED else ''}"


async def _holders(store: Store, queue: QueueInfo, scope: Scope | None) -> list[Job]:
    if queue.config.max_concurrency is None:
        return []
    options = ListOptions(
        states=(JobState.RUNNING,), queues=(queue.config.name,), kinds=_EVERY_KIND, scope=scope, limit=_HOLDERS
    )
    return (await store.jobs.list(options)).items


async def _above(store: Store, job: Job) -> list[RunID]:
    """The runs that started the run which the job drives, its parent first."""
    found: list[RunID] = []
    run = await store.workflows.get(job.run_id) if job.kind == "workflow" and job.run_id is not None else None
    while run is not None and run.parent is not None and len(found) < _GENERATIONS:
        found.append(run.parent)
        run = await store.workflows.get(run.parent)
    return found


async def _tenant_running(store: Store, job: Job, queue: QueueInfo) -> int:
    most = queue.config.tenant_concurrency
    if most is None or not job.scope:
        return 0
    options = ListOptions(
        states=(JobState.RUNNING,), queues=(job.queue,), kinds=_EVERY_KIND, scope=job.scope, limit=_PAGE
    )
    page = await store.jobs.list(options)
    running = len(page.items)
    while page.next_cursor is not None and running < most:
        page = await store.jobs.list(replace(options, cursor=page.next_cursor))
        running += len(page.items)
    return running
