"""The gates a claim looks at before it starts a job: one function each, with what closes it and the evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatch.clock import LONGEST
from dispatch.cluster.model import Worker, stopping
from dispatch.ids import RunID
from dispatch.jobs.model import QUARANTINE_FROM, Job, KeyHolders
from dispatch.queues import QueueInfo
from dispatch.text import iso
from dispatch.workflows.model import driven_by

_SHOWN = 3
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition of the claim."""

    name: str
    open: bool
    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the store says about a waiting job and its surroundings."""

    job: Job
    queue: QueueInfo
    workers: Sequence[Worker]
    """Those that are alive."""
    now: datetime
    """The store's clock."""
    holders: Sequence[Job] = ()
    """Some running jobs of a queue that is full."""
    tenant_running: int = 0
    """How many jobs of the job's tenant run in its queue; counted where tenants are limited."""
    key: KeyHolders | None = None
    """Of a job with a concurrency key: how that stands."""
    above: Sequence[RunID] = ()
    """Of a job that drives a run: the runs that started it, its parent first."""


def unique(facts: Facts) -> Gate:
    """Whether it waits as the successor of a running job."""
    if facts.job.behind:
        text = f"waits behind {facts.job.behind}, which holds the same unique key and is not over"
        return Gate("unique", False, text)
    return Gate("unique", True, "no other job holds its unique key")


def expiry(facts: Facts) -> Gate:
    """Whether it may still be started for the first time."""
    job, now = facts.job, facts.now
    if job.expires_at is None or job.started_at is not None:
        return Gate("expiry", True, "does not expire")
    if job.expires_at < now:
        ago = span(now - job.expires_at)
        who = ", or whoever enqueues its unique key," if job.unique_key is not None else ""
        return Gate("expiry", False, f"expired {ago} ago without a start: the worker that finds it due{who} cancels it")
    return Gate("expiry", True, f"expires in {span(job.expires_at - now)} unless it has started")


def due(facts: Facts) -> Gate:
    """Whether its time has come."""
    job, now = facts.job, facts.now
    if job.run_at > now:
        why = f"retry after failure {job.failures}" if job.failures else "scheduled"
        return Gate("due", False, f"not due: {why}, due in {span(job.run_at - now)} ({iso(job.run_at)})")
    return Gate("due", True, f"due for {span(now - job.run_at)}")


def pause(facts: Facts) -> Gate:
    """Whether its queue gives out jobs at all."""
    name, found = facts.queue.config.name, facts.queue.pause
    if found is None or (found.until is not None and found.until <= facts.now):
        return Gate("pause", True, f"queue {name!r} is not paused")
    text = f"queue {name!r} is paused"
    text += f" by {found.by}" if found.by else ""
    text += f" ({found.reason})" if found.reason else ""
    until = found.until
    text += f" for another {span(until - facts.now)} (until {iso(until)})" if until else " until resumed"
    return Gate("pause", False, text)


def served(facts: Facts) -> Gate:
    """Whether a live worker serves its queue and knows its name."""
    job, workers = facts.job, facts.workers
    serving = [w for w in workers if job.queue in w.queues and job.name in w.names]
    if serving and not job.set_aside:
        return Gate(
            "served", True, f"{len(serving)} live {'worker serves' if len(serving) == 1 else 'workers serve'} it"
        )
    if serving:
        text = "set aside while no live worker knew it: the next worker that starts and knows it brings it back"
        return Gate("served", False, text)
    if not workers:
        text = "no worker is alive: start one with `dispatch run yourapp.tasks`"
    elif any(job.name in w.names for w in workers):
        text = f"no live worker that knows {job.name!r} serves queue {job.queue!r}: start one with -q {job.queue}"
    else:
        text = f"no live worker announces {job.name!r}: start one whose module defines it"
    if job.set_aside:
        text += " (set aside until then)"
    return Gate("served", False, text)


def slots(facts: Facts) -> Gate:
    """Whether one of the workers that serve it has a free slot, as they said at their latest beats."""
    job, now = facts.job, facts.now
    serving = [w for w in facts.workers if job.queue in w.queues and job.name in w.names and not stopping(w)]
    if not serving:
        return Gate("slots", True, "no worker that serves it takes jobs, so none is full")
    places, free = sum(w.concurrency for w in serving), sum(max(w.concurrency - w.running, 0) for w in serving)
    told = f"beat {span(now - min(w.last_seen for w in serving))} ago"
    who = "worker that serves it" if len(serving) == 1 else "workers that serve it"
    if free:
        return Gate("slots", True, f"{free} of the {places} slots of the {len(serving)} {who} are free ({told})")
    what = "the only slot" if places == 1 else f"all {places} slots"
    verb = "is" if places == 1 else "are"
    return Gate("slots", False, f"{what} of the {len(serving)} {who} {verb} busy ({told})")


def quarantine(facts: Facts) -> Gate:
    """Whether any worker may take it, or only one with nothing else in flight."""
    crashes = facts.job.crashes
    if crashes >= QUARANTINE_FROM:
        text = f"lost {crashes} workers, so it runs alone: it waits for a worker with nothing else in flight"
        return Gate("quarantine", False, text)
    return Gate("quarantine", True, "has not lost workers repeatedly")


def limit(facts: Facts) -> Gate:
    """Whether the queue has a free place."""
    queue = facts.queue
    most, taken = queue.config.max_concurrency, queue.running + len(queue.slots)
    if most is not None and taken >= most:
        text = f"limit {taken}/{most} of queue {queue.config.name!r} is held by {_held_by(facts, taken)}"
        return Gate("limit", False, text)
    return Gate("limit", True, f"{taken}/{most} slots of the queue are taken" if most else "the queue has no limit")


def tenant(facts: Facts) -> Gate:
    """Whether its tenant has a free place in the queue."""
    most, running = facts.queue.config.tenant_concurrency, facts.tenant_running
    if most is None or not facts.job.scope:
        return Gate("tenant", True, "no limit of a tenant applies")
    whose = facts.job.scope.tenant
    if running >= most:
        return Gate("tenant", False, f"tenant {whose!r} runs {running}/{most} of its jobs in {facts.job.queue!r}")
    return Gate("tenant", True, f"tenant {whose!r} runs {running}/{most} of its jobs in the queue")


def concurrency(facts: Facts) -> Gate:
    """Whether its concurrency key has room."""
    key, found = facts.job.concurrency_key, facts.key
    if key is None or found is None or found.max is None:
        return Gate("concurrency", True, "it has no concurrency key")
    running, drives = len(found.running), facts.job.kind == "workflow" and facts.job.run_id is not None
    if drives and facts.job.id in found.running:
        return Gate("concurrency", True, f"its run holds one of the {found.max} places of key {key!r} until it ends")
    if running >= found.max:
        shown = [driven_by(id_) if drives else id_ for id_ in found.running[:_SHOWN]]
        held = ", ".join(shown) + (f" and {running - _SHOWN} more" if running > _SHOWN else "")
        text = f"blocked by key {key!r}, {running}/{found.max} held by {held}"
        own = next((run_id for run_id in facts.above if drives and run_id in map(driven_by, found.running)), None)
        if own is not None:
            text += f"; {own} started this run: if it waits for it, neither ever goes on. Cancel {own}, and give"
            text += " parents and children different keys"
        return Gate("concurrency", False, text)
    text = (
        f"{running}/{found.max} runs of key {key!r} are open"
        if drives
        else f"{running}/{found.max} jobs of key {key!r} run"
    )
    return Gate("concurrency", True, text)


def rate(facts: Facts) -> Gate:
    """Whether the queue's rate lets another job start now."""
    per_second, tokens, name = facts.queue.config.rate_limit, facts.queue.tokens, facts.queue.config.name
    if per_second is None or tokens is None:
        return Gate("rate", True, "the queue has no rate")
    if tokens + _ROUNDING >= 1:
        return Gate("rate", True, f"the rate of {per_second:g}/s allows {int(tokens + _ROUNDING)} starts now")
    if per_second <= 0:
        return Gate("rate", False, f"the rate of queue {name!r} is 0/s: nothing starts")
    refills = span(timedelta(seconds=min((1 - tokens) / per_second, LONGEST)))
    return Gate("rate", False, f"the rate of {per_second:g}/s of queue {name!r} is used up; it refills in {refills}")


GATES: tuple[Callable[[Facts], Gate], ...] = (
    unique,
    expiry,
    due,
    pause,
    served,
    slots,
    quarantine,
    limit,
    tenant,
    concurrency,
    rate,
)
"""In the order in which they are told; each function is named as its gate is."""


def span(delta: timedelta) -> str:
    """A length of time, roughly: "12.0 s", "2.0 h"; nothing below zero."""
    seconds = max(delta.total_seconds(), 0.0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _held_by(facts: Facts, taken: int) -> str:
    shown = [f"{job.id} ({job.name})" for job in facts.holders[:_SHOWN]]
    shown += [f"slot of {holder}" for holder in facts.queue.slots[: _SHOWN - len(shown)]]
    more = taken - len(shown)
    if not shown:
        return f"{taken} running {'job' if taken == 1 else 'jobs'}"
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
