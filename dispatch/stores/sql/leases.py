"""Renewing and stealing leases, and setting jobs aside that nobody serves."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dispatch.ids import DLQID, JobID, WorkerID
from dispatch.jobs.model import TERMINAL, Failure, Job, JobState, Renewed, Stolen
from dispatch.stores.sql import concurrency, unique
from dispatch.stores.sql.finish import Held, attempt, bury, ready
from dispatch.stores.sql.plan import Do, Lock, Many, Plan, Rows, first
from dispatch.stores.sql.rows import failure_of, failure_params, job_of, later, span
from dispatch.stores.sql.workflow_ends import end_run
from dispatch.stores.sql.workflow_rows import lock_runs
from dispatch.stores.sql.workflow_wakes import compensates, job_ended
from dispatch.workflows.model import RunState

_RENEW = ("id", "worker_id", "epoch", "lease_until")
_WORKER_LOST = "WorkerLost"


def renew(worker_id: WorkerID, held: Sequence[tuple[JobID, int]], lease: float, now: int) -> Plan[Renewed]:
    """The plan of JobStore.renew."""
    yield Lock("lock_held", {"worker_id": str(worker_id)})
    rows = yield Rows("held_by_worker", {"worker_id": str(worker_id)})
    running = {(id_, epoch): cancel for id_, epoch, cancel in rows}
    named = set(held)
    kept = [pair for pair in held if pair in running]
    if kept:
        until = now + span(lease)
        yield Many("renew_job", _RENEW, [(str(id_), str(worker_id), epoch, until) for id_, epoch in kept])
    return Renewed(
        held=[id_ for id_, _ in kept],
        lost=[id_ for id_, epoch in held if (id_, epoch) not in running],
        cancel_requested=[id_ for id_, epoch in kept if running[id_, epoch]],
        unnamed=[(JobID(id_), epoch) for id_, epoch in running if (id_, epoch) not in named],
    )


def steal(limit: int, max_crashes: int, delays: Sequence[float], now: int) -> Plan[list[Stolen]]:
    """The plan of JobStore.steal."""
    rows = yield Rows("lapsed_jobs", {"now": now, "limit": limit})
    yield from unique.lock(row[30] for row in rows)
    stolen: list[Stolen] = []
    for row in rows:
        taken = yield from _steal_one(job_of(row), row[29], max_crashes, delays, now)
        stolen.append(taken)
    yield from concurrency.leave({taken.job.concurrency_key for taken in stolen if taken.job.concurrency_key}, now)
    return stolen


def _steal_one(
    job: Job, cancel_reason: str | None, max_crashes: int, delays: Sequence[float], now: int
) -> Plan[Stolen]:
    crashes = job.crashes + 1
    delay = delays[min(crashes, len(delays)) - 1] if delays else 0.0
    run_at: int | None = later(now, delay)
    reason: str | None = None
    state = JobState.RETRYING
    run = None if job.kind != "workflow" or job.run_id is None else (yield from lock_runs([job.run_id])).get(job.run_id)
    turned = cancel_reason or ("worker_lost" if crashes > max_crashes else None)
    if run is not None and turned is not None and (cancel_reason is not None or not run.compensating):
        state, run_at = JobState.PENDING, now
    elif cancel_reason is not None:
        state, reason, run_at = JobState.CANCELLED, cancel_reason, None
    elif crashes > max_crashes:
        state, reason, run_at = JobState.FAILED, (run and run.reason) or "worker_lost", None
    terminal = state in TERMINAL
    held_row = (yield Rows("job_held", {"id": str(job.id)}))[0]
    held = Held(*held_row)
    failure = Failure(_WORKER_LOST, f"worker {job.worker_id} was lost while it ran this job (crash {crashes})")
    yield Do(
        "steal_job",
        {
            "id": str(job.id),
            "epoch": job.epoch,
            "state": state.value,
            "ready": 0 if terminal else ready(crashes),
            "crashes": crashes,
            "run_at": held.run_at if run_at is None else run_at,
            "reason": reason,
            "finished_at": now if terminal else None,
            "now": now,
            "error_type": failure.type,
            "error_message": failure.message,
        },
    )
    yield Do("add_attempt", attempt(job.id, held, "crashed", failure, now))
    if run is not None and cancel_reason is None and not run.compensating:  # else why it compensates is kept
        yield Do("note_run_error", {"id": run.id, **failure_params(failure)})
    entry: DLQID | None = None
    if run is not None and state is JobState.FAILED:
        failure = failure_of(run.error_type, run.error_message, run.error_traceback) or failure
        yield Do("note_job_error", {"id": str(job.id), **failure_params(failure)})
    if state is JobState.FAILED:
        entry = yield from bury(job.id, reason or "worker_lost", now)
    if run is not None and state is JobState.FAILED:
        yield from end_run(
            run,
            RunState.FAILED,
            now,
            reason=reason,
            error=failure,
            compensation_failed=True,
            unique_key=held.unique_key,
        )
    elif run is not None and turned is not None:
        yield from compensates(run.id, job.id, turned, now)
    elif terminal:
        if held.unique_key is not None:
            yield from unique.end(held.unique_key, job.id, now)
        yield from job_ended(job.id, job.run_id, job.step, now)
    after = first((yield Rows("get_job", {"id": str(job.id), "app_id": None, "org_id": None})))
    return Stolen(job_of(after) if after else job, job.worker_id, entry)


def set_aside(due: int, limit: int, now: int) -> Plan[int]:
    """The plan of JobStore.set_aside: looks at the first due rows of every lane and priority."""
    yield Lock("lock_fleet", {})
    workers = yield Rows("live_workers", {"now": now})
    served = {(queue, name) for queues, names in workers for queue in json.loads(queues) for name in json.loads(names)}
    found: list[tuple[int, str | None]] = []
    for (queue,) in (yield Rows("ready_queues", {})):
        for (lane,) in (yield Rows("lanes", {"queue": queue, "from_lane": "", "limit": 1 << 40})):
            for (priority,) in (yield Rows("priorities", {"queue": queue, "lane": lane})):
                heads = yield Rows(
                    "due_names",
                    {"queue": queue, "lane": lane, "priority": priority, "due": due, "limit": limit},
                )
                found += [(seq, key) for seq, name, key in heads if (queue, name) not in served]
            if len(found) >= limit:
                break
    chosen = found[:limit]
    if not chosen:
        return 0
    stamped = [(seq, now) for seq, _ in chosen]
    aside: int = yield Many("set_aside", ("seq", "now"), stamped)
    yield Many("block_aside", ("seq", "now"), stamped)
    yield from concurrency.leave({key for _, key in chosen if key is not None}, now)
    return aside


def bury_unserved(due: int, limit: int, now: int) -> Plan[list[DLQID]]:
    """The plan of JobStore.bury_unserved."""
    entries: list[DLQID] = []
    keys: set[str] = set()
    rows = yield Rows("long_aside", {"due": due, "limit": limit})
    yield from unique.lock(row[1] for row in rows)
    for id_, unique_key, concurrency_key, run_id, step in rows:
        job_id = JobID(id_)
        yield Do("fail_unserved", {"id": id_, "now": now})
        entry = yield from bury(job_id, "no_handler", now)
        entries.append(entry)
        if unique_key is not None:
            yield from unique.end(unique_key, job_id, now)
        if concurrency_key is not None:
            keys.add(concurrency_key)
        yield from job_ended(job_id, run_id, step, now)
    yield from concurrency.leave(keys, now)
    return entries
