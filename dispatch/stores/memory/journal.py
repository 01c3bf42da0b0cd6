"""A run's journal: runs and checkpoints come into being, and waits for events look, register or time out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime

from dispatch.entity import Reply
from dispatch.errors import DuplicateJob, IdempotencyMismatch
from dispatch.ids import CheckpointID, JobID, RunID, WorkerID
from dispatch.jobs.model import JobState, NewJob
from dispatch.stores.memory.data import Data, insert_sorted
from dispatch.stores.memory.enqueue import Plan, enqueue_followups, made_before, new_row
from dispatch.stores.memory.feed import tell_step
from dispatch.stores.memory.rows import Row, checked_bytes, checked_text, later, utc
from dispatch.stores.memory.runs import RunRow
from dispatch.workflows.model import (
    Checkpoint,
    CreatedRun,
    NewCheckpoint,
    NewRun,
    Record,
    Recorded,
    RunState,
    Wait,
    Waited,
    WaitFor,
    driven_by,
)

Held = tuple[Row, RunRow]


def fence(data: Data, worker_id: WorkerID, driver: JobID, epoch: int, run_id: RunID | None = None) -> Held | None:
    """The driver and its run, if this worker holds it at this epoch."""
    row = data.rows.get(driver)
    if row is None or row.state is not JobState.RUNNING or row.epoch != epoch or row.worker_id != worker_id:
        return None
    run = data.runs.driven_by(row)
    return None if run is None or (run_id is not None and run.id != run_id) else (row, run)


def create(
    data: Data,
    news: Sequence[NewRun],
    now: datetime,
    forked_from: RunID | None = None,
    *,
    line_up: bool = False,
) -> list[CreatedRun]:
    """All runs with their drivers, or none; with `line_up` (ticks) on_conflict "replace" means to wait behind the
    holder."""
    plan = Plan(data, now)
    for new in news:
        checked_text(new.step, f"the step of run {new.id}")
        plan.add(_driver(new, line_up=line_up))
    if plan.apply():
        data.signal.bump()
    answers = []
    for new, answer in zip(news, plan.answers, strict=True):
        if answer.created:
            _insert(data, new, now, forked_from)
        answers.append(CreatedRun(driven_by(answer.id), answer.created))
    return answers


def record(data: Data, worker_id: WorkerID, records: Sequence[Record], now: datetime) -> list[Recorded]:
    """Checks that everything can be stored, then writes what its fence allows."""
    for said in records:
        for new in said.checkpoints:
            _check(said.run_id, new, now)
    answers = []
    for said in records:
        held = fence(data, worker_id, said.driver, said.epoch, said.run_id)
        if held is None:
            answers.append(Recorded(Reply.STALE))
            continue
        found = [_record_one(data, *held, new, now) for new in said.checkpoints]
        answers.append(Recorded(Reply.APPLIED, [copy(checkpoint) for checkpoint in found if checkpoint is not None]))
    if any(said.brings for said in records):
        data.signal.bump()
    return answers


def wait(data: Data, worker_id: WorkerID, waits: Sequence[WaitFor], now: datetime) -> list[Waited]:
    """Each visit of a wait."""
    for asked in waits:
        for text in (asked.name, asked.key, *asked.events):
            checked_text(text, f"wait {asked.name} of {asked.run_id}")
        later(now, asked.timeout or 0.0, f"the timeout of wait {asked.name} of {asked.run_id}")
        if asked.since is not None:
            utc(asked.since, f"the since of wait {asked.name} of {asked.run_id}")
    return [_wait_one(data, worker_id, asked, now) for asked in waits]


def _driver(new: NewRun, *, line_up: bool = False) -> NewJob:
    """The driver as it is enqueued: no run is put into the place of another."""
    unique = new.driver.unique
    if unique is not None and unique.on_conflict == "replace" and not line_up:
        return replace(new.driver, unique=replace(unique, on_conflict="return"))
    return new.driver


def _insert(data: Data, new: NewRun, now: datetime, forked_from: RunID | None = None) -> None:
    """The run of a driver that was just inserted."""
    row = data.rows[new.driver.id]
    run = RunRow(
        id=new.id,
        created_at=now,
        updated_at=now,
        name=new.name,
        version=new.version,
        state=RunState.PENDING,
        driver=row.id,
        input=row.payload,
        parent=new.parent,
        step=new.step,
        forked_from=forked_from,
        queue=row.queue,
        tags=row.tags,
        metadata=row.metadata,
        scope=row.scope,
        awaited=new.awaited,
        abandon=new.abandon,
    )
    data.runs.rows[run.id] = run
    insert_sorted(data.runs.order, run.id)
    data.runs.count(run, 1)
    parent = data.runs.rows.get(new.parent) if new.parent is not None else None
    if parent is not None:
        parent.child_runs.add(run.id)


def _check(run_id: RunID, new: NewCheckpoint, now: datetime) -> None:
    what = f"checkpoint {new.name} of {run_id}"
    checked_text(new.name, what)
    checked_bytes(new.data, f"the data of {what}")
    if new.started_at is not None:
        utc(new.started_at, f"the started_at of {what}")
    for job in (*new.jobs, *(_driver(run) for run in new.runs)):
        new_row(job, now)


def _record_one(data: Data, row: Row, run: RunRow, new: NewCheckpoint, now: datetime) -> Checkpoint | None:
    known = run.journal.get(new.name)
    if known is not None:
        return known
    if new.event_id is not None and new.event_id in run.consumed:
        return None
    checkpoint = _add(data, row, run, new, now)
    jobs, runs = enqueue_followups(data, new.jobs, now), _start_children(data, new.runs, now)
    for wanted, id_ in (*jobs.items(), *runs.items()):
        checkpoint.data = checkpoint.data.replace(wanted.encode(), id_.encode())
    return checkpoint


def _add(data: Data, row: Row, run: RunRow, new: NewCheckpoint, now: datetime) -> Checkpoint:
    """Writes a checkpoint under a name that is free."""
    run.last_position += 1
    checkpoint = run.journal[new.name] = Checkpoint(
        id=CheckpointID.new(),
        created_at=now,
        updated_at=now,
        run_id=run.id,
        name=new.name,
        kind=new.kind,
        data=new.data,
        position=run.last_position,
        attempt=new.attempt,
        worker_id=row.worker_id,
        started_at=new.started_at,
        event_id=new.event_id,
    )
    if new.event_id is not None:
        run.consumed.add(new.event_id)
        event = data.events.get(new.event_id)
        if event is not None and event.run_id == run.id:
            data.channels.consume(event)
    data.runs.close(run, new.name)
    row.failures = row.crashes = 0
    tell_step(data.stream, run, checkpoint, now)
    return checkpoint


def _start_children(data: Data, news: Iterable[NewRun], now: datetime) -> dict[RunID, RunID]:
    """Each child whose driver meets no conflict; answers which run stands for it."""
    given = {}
    for new in news:
        try:
            given[new.id] = create(data, [new], now)[0].id
        except DuplicateJob as error:
            given[new.id] = driven_by(JobID(error.existing))
        except IdempotencyMismatch:
            given[new.id] = driven_by(made_before(data, new.driver))
    return given


def _wait_one(data: Data, worker_id: WorkerID, asked: WaitFor, now: datetime) -> Waited:
    held = fence(data, worker_id, asked.driver, asked.epoch, asked.run_id)
    if held is None:
        return Waited(Reply.STALE)
    row, run = held
    known = run.journal.get(asked.name)
    if known is not None:
        return Waited(Reply.APPLIED, checkpoint=copy(known))
    visited = run.waits.get(asked.name)
    if visited is not None:
        deadline = visited.deadline
    else:
        deadline = None if asked.timeout is None else later(now, asked.timeout, f"the timeout of {asked.name}")
    open_wait = Wait(run.id, asked.name, tuple(asked.events), asked.key, asked.since, deadline)
    if open_wait != visited:
        data.runs.open(run, open_wait)
    event = data.channels.oldest(run, open_wait)
    if event is not None:
        return Waited(Reply.APPLIED, event=event, deadline=deadline)
    if deadline is not None and deadline <= now:
        checkpoint = _add(data, row, run, NewCheckpoint(asked.name, "wait"), now)
        return Waited(Reply.APPLIED, checkpoint=copy(checkpoint), deadline=deadline)
    return Waited(Reply.APPLIED, deadline=deadline)
