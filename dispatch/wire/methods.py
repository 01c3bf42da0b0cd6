"""The methods of the wire protocol: what each takes, the scope it needs, and which service does it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dispatch import access
from dispatch.access import Identity
from dispatch.clock import utc_now
from dispatch.crons.model import ListOptions as CronOptions
from dispatch.dlq.model import ListOptions as LetterOptions
from dispatch.documents.crons import entry_summary
from dispatch.documents.jobs import job_document, job_summary
from dispatch.documents.letters import entry_summary as letter_summary
from dispatch.documents.runs import checkpoint_document, run_document, run_summary
from dispatch.errors import DLQNotFound, InvalidArguments, JobNotFound, RunNotFound
from dispatch.ids import DLQID, JobID, RunID
from dispatch.jobs.model import CountOptions, ListOptions
from dispatch.jobs.options import EnqueueOptions
from dispatch.text import iso
from dispatch.wire import params
from dispatch.workflows.model import ListOptions as RunOptions

if TYPE_CHECKING:
    from dispatch import Dispatch

P = TypeVar("P", bound=params.Params)


@dataclass(frozen=True, slots=True)
class Ask:
    """Who asks, and of which app."""

    app: Dispatch
    identity: Identity


@dataclass(frozen=True, slots=True)
class Method(Generic[P]):
    """One line of the table of methods."""

    takes: type[P]
    scope: str
    act: Callable[[Ask, P], Awaitable[Any]]
    changes: bool = False
    """It writes, so it is refused on a server that only shows."""


async def enqueue(ask: Ask, data: params.Enqueue) -> Any:
    options = EnqueueOptions(
        queue=data.queue,
        priority=data.priority,
        run_at=data.run_at,
        delay=data.delay,
        unique=data.unique,
        idempotency_key=data.idempotency_key,
    )
    answer = await ask.app.jobs.enqueue_named(data.name, _unwrapped(data.payload), options)
    job = await ask.app.jobs.get(answer.id, scope=ask.identity.within)
    made = {"job_id": str(job.id), "queue": job.queue, "state": str(job.state), "created": answer.created}
    return {**made, "hint": answer.hint} if answer.hint else made


async def get_job(ask: Ask, data: params.OneJob) -> Any:
    job = await ask.app.jobs.get(_job(data.job_id), scope=ask.identity.within)
    return job_document(job, await ask.app.jobs.attempts(job.id))


async def cancel_job(ask: Ask, data: params.OneJob) -> Any:
    state = await ask.app.jobs.cancel(_job(data.job_id), scope=ask.identity.within)
    return {"job_id": data.job_id, "state": str(state)}


async def list_jobs(ask: Ask, data: params.ManyJobs) -> Any:
    options = ListOptions(
        states=data.state,
        queues=data.queue,
        names=data.name,
        tags=data.tag,
        scope=ask.identity.within,
        limit=data.limit,
        cursor=None if data.cursor is None else _job(data.cursor),
    )
    page = await ask.app.jobs.list(options)
    return {"items": [job_summary(job) for job in page.items], "next_cursor": page.next_cursor}


async def start(ask: Ask, data: params.Start) -> Any:
    options = EnqueueOptions(idempotency_key=data.idempotency_key)
    created = await ask.app.workflows.start_named(data.name, _unwrapped(data.input), options, version=data.version)
    run = await ask.app.workflows.get(created.id, scope=ask.identity.within)
    return {"run_id": str(run.id), "name": run.name, "state": str(run.state), "created": created.created}


async def get_run(ask: Ask, data: params.OneRun) -> Any:
    workflows = ask.app.workflows
    run = await workflows.get(_run(data.run_id), scope=ask.identity.within)
    checkpoints = await workflows.timeline(run.id)
    waits, children = await workflows.waits(run.id), await workflows.children(run.id)
    held_up = await workflows.held_up(run, scope=ask.identity.within)
    return run_document(run, checkpoints, waits, children, held_up=held_up)


async def list_runs(ask: Ask, data: params.ManyRuns) -> Any:
    options = RunOptions(
        states=data.state,
        names=data.name,
        scope=ask.identity.within,
        limit=data.limit,
        cursor=None if data.cursor is None else _run(data.cursor),
    )
    page = await ask.app.workflows.list(options)
    return {"items": [run_summary(run) for run in page.items], "next_cursor": page.next_cursor}


async def publish(ask: Ask, data: params.Publish) -> Any:
    if data.run_id is not None:
        if data.key is not None:
            raise InvalidArguments("an event to one run has no key: give run_id or key")
        event = await ask.app.workflows.signal(_run(data.run_id), data.name, data.payload, scope=ask.identity.within)
    else:
        event = await ask.app.events.publish(data.name, data.payload, key=data.key)
    return {"event_id": str(event.id), "name": event.name}


async def cancel_run(ask: Ask, data: params.OneRun) -> Any:
    state = await ask.app.workflows.cancel(_run(data.run_id), scope=ask.identity.within)
    return {"run_id": data.run_id, "state": str(state)}


async def timeline(ask: Ask, data: params.OneRun) -> Any:
    run_id = _run(data.run_id)
    checkpoints = await ask.app.workflows.timeline(run_id, scope=ask.identity.within)
    children = {child.step: child for child in await ask.app.workflows.children(run_id)}
    return [checkpoint_document(checkpoint, children.get(checkpoint.name)) for checkpoint in checkpoints]


async def replay(ask: Ask, data: params.Replay) -> Any:
    created = await ask.app.workflows.fork(_run(data.run_id), before=data.from_step, scope=ask.identity.within)
    run = await ask.app.workflows.get(created.id, scope=ask.identity.within)
    return {"run_id": str(run.id), "name": run.name, "state": str(run.state)}


async def list_crons(ask: Ask, data: params.ManyCrons) -> Any:
    options = CronOptions(
        enabled=data.enabled, names=data.name, scope=ask.identity.within, limit=data.limit, cursor=data.cursor
    )
    page = await ask.app.crons.list(options)
    return {"items": [entry_summary(entry) for entry in page.items], "next_cursor": page.next_cursor}


async def list_letters(ask: Ask, data: params.ManyLetters) -> Any:
    options = LetterOptions(
        queues=data.queue,
        names=data.name,
        scope=ask.identity.within,
        limit=data.limit,
        cursor=None if data.cursor is None else _letter(data.cursor),
    )
    page = await ask.app.dlq.list(options)
    return {"items": [letter_summary(entry) for entry in page.items], "next_cursor": page.next_cursor}


async def replay_letter(ask: Ask, data: params.OneLetter) -> Any:
    entry_id = _letter(data.dlq_id or data.id)
    return {"dlq_id": entry_id, "job_id": str(await ask.app.dlq.replay(entry_id, scope=ask.identity.within))}


async def stats(ask: Ask, data: params.Nothing) -> Any:
    within = ask.identity.within
    jobs = await ask.app.jobs.count(CountOptions(scope=within))
    runs = await ask.app.workflows.count(scope=within)
    return {
        "at": iso(utc_now()),
        "jobs": {str(state): count for state, count in jobs.items()},
        "runs": {str(state): count for state, count in runs.items()},
        "dead_letters": await ask.app.dlq.count(LetterOptions(scope=within)),
    }


METHODS: dict[str, Method[Any]] = {
    "job.enqueue": Method(params.Enqueue, access.JOB_WRITE, enqueue, changes=True),
    "job.get": Method(params.OneJob, access.JOB_READ, get_job),
    "job.cancel": Method(params.OneJob, access.JOB_WRITE, cancel_job, changes=True),
    "job.list": Method(params.ManyJobs, access.JOB_READ, list_jobs),
    "workflow.start": Method(params.Start, access.WORKFLOW_WRITE, start, changes=True),
    "workflow.get": Method(params.OneRun, access.WORKFLOW_READ, get_run),
    "workflow.list": Method(params.ManyRuns, access.WORKFLOW_READ, list_runs),
    "workflow.event": Method(params.Publish, access.EVENT_WRITE, publish, changes=True),
    "workflow.cancel": Method(params.OneRun, access.WORKFLOW_WRITE, cancel_run, changes=True),
    "workflow.timeline": Method(params.OneRun, access.WORKFLOW_READ, timeline),
    "workflow.replay": Method(params.Replay, access.WORKFLOW_WRITE, replay, changes=True),
    "cron.list": Method(params.ManyCrons, access.CRON_READ, list_crons),
    "dlq.list": Method(params.ManyLetters, access.DLQ_READ, list_letters),
    "dlq.replay": Method(params.OneLetter, access.DLQ_WRITE, replay_letter, changes=True),
    "stats": Method(params.Nothing, access.STATS_READ, stats),
}
"""What a frame may ask for, whatever it came over; `auth`, `subscribe` and `unsubscribe` belong to a connection."""


def _unwrapped(value: Any) -> Any:
    """Arguments as older clients send them: JSON inside of a text."""
    if not isinstance(value, str):
        return value
    try:
        inside = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return inside if isinstance(inside, dict | list) else value


def _job(text: str) -> JobID:
    try:
        return JobID.parse(text)
    except ValueError:
        raise JobNotFound(f"there is no job {text}") from None


def _run(text: str) -> RunID:
    try:
        return RunID.parse(text)
    except ValueError:
        raise RunNotFound(f"there is no run {text}") from None


def _letter(text: str) -> DLQID:
    try:
        return DLQID.parse(text)
    except ValueError:
        raise DLQNotFound(f"there is no dead letter {text}") from None
