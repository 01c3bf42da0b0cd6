"""A run's journal: runs and checkpoints come into being, and waits for events look, register or time out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dispatch.clock import from_micros, micros
from dispatch.entity import Reply
from dispatch.errors import DataRejected
from dispatch.events.model import Event
from dispatch.ids import CheckpointID, RunID, WorkerID
from dispatch.jobs.model import NewJob
from dispatch.stores.sql.enqueue import enqueue
from dispatch.stores.sql.events import event_of
from dispatch.stores.sql.plan import Do, Many, Plan, Rows, first
from dispatch.stores.sql.rows import later, names_text
from dispatch.stores.sql.workflow_rows import Driver, LockedRun, checkpoint_of, lock_drivers, lock_runs, wait_of
from dispatch.workflows.model import (
    Checkpoint,
    CreatedRun,
    NewCheckpoint,
    NewRun,
    Record,
    Recorded,
    Wait,
    Waited,
    WaitFor,
    driven_by,
)

_RUN = ("id", "name", "version", "driver", "parent", "step", "awaited", "abandon", "forked_from", "app_id", "org_id")
_WAIT_EVENT = ("run_id", "name", "event", "key", "app_id", "org_id", "since")


def create(
    news: Sequence[NewRun], now: int, *, lenient: bool = False, forked_from: RunID | None = None
) -> Plan[list[CreatedRun]]:
    """The plan of WorkflowStore.create; with `lenient` (children) a conflict drops its run instead of raising."""
    answers = yield from enqueue([_driver(new) for new in news], now, lenient=lenient)
    made = [new for new, answer in zip(news, answers, strict=True) if answer.created]
    if made:
        yield Many("insert_run", (*_RUN, "now"), [(*_run_row(new, forked_from), now) for new in made])
    return [CreatedRun(driven_by(answer.id), answer.created) for answer in answers]


def record(worker_id: WorkerID, records: Sequence[Record], now: int) -> Plan[list[Recorded]]:
    """The plan of WorkflowStore.record: the fences of all, then their checkpoints, then what these bring."""
    drivers = yield from lock_drivers([said.driver for said in records])
    held = {said.run_id for said in records if _fenced(drivers, worker_id, said)}
    journal = yield from Journal.open(held, now)
    answers = []
    for said in records:
        if not _fenced(drivers, worker_id, said):
            answers.append(Recorded(Reply.STALE))
            continue
        found = []
        for new in said.checkpoints:
            standing = yield from journal.add(drivers[said.driver], new)
            found += [] if standing is None else [standing]
        answers.append(Recorded(Reply.APPLIED, found))
    given: dict[str, tuple[Checkpoint, str]] = {}
    if journal.jobs:
        jobs = yield from enqueue([job for _, job in journal.jobs], now, lenient=True)
        given |= {job.id: (standing, answer.id) for (standing, job), answer in zip(journal.jobs, jobs, strict=True)}
    if journal.runs:
        runs = yield from create([run for _, run in journal.runs], now, lenient=True)
        given |= {run.id: (standing, made.id) for (standing, run), made in zip(journal.runs, runs, strict=True)}
    for wanted, (standing, id_) in given.items():
        if id_ != wanted:  # a key is taken: the checkpoint tells of the one that has it
            standing.data = standing.data.replace(wanted.encode(), id_.encode())
            yield Do("amend_checkpoint", {"id": str(standing.id), "data": standing.data})
    return answers


def wait(worker_id: WorkerID, waits: Sequence[WaitFor], now: int) -> Plan[list[Waited]]:
    """The plan of WorkflowStore.wait."""
    drivers = yield from lock_drivers([asked.driver for asked in waits])
    held = [asked for asked in waits if _fenced(drivers, worker_id, asked)]
    runs = yield from lock_runs([asked.run_id for asked in held])
    channels = sorted({(*_scope(runs[asked.run_id]), asked.key or "", name) for asked in held for name in asked.events})
    yield Rows("lock_channels", {"channels": json.dumps(channels)})
    journal = yield from Journal.open({asked.run_id for asked in held}, now)
    answers = []
    for asked in waits:
        if _fenced(drivers, worker_id, asked):
            answers.append((yield from _wait_one(journal, drivers[asked.driver], runs[asked.run_id], asked, now)))
        else:
            answers.append(Waited(Reply.STALE))
    return answers


class Journal:
    """Writes checkpoints into the journals of some runs, whose drivers are locked."""

    def __init__(self, last: dict[str, int], waits: dict[tuple[str, str], Wait], now: int) -> None:
        self.waits = waits
        """The open waits, by run and name."""
        self.jobs: list[tuple[Checkpoint, NewJob]] = []
        """What is to be queued, with the checkpoint that tells of it."""
        self.runs: list[tuple[Checkpoint, NewRun]] = []
        self._last = last
        self._now = now
        self._calm: set[str] = set()

    @classmethod
    def open(cls, run_ids: set[RunID], now: int) -> Plan[Journal]:
        """Looks where the journals end and what their runs wait for."""
        if not run_ids:
            return cls({}, {}, now)
        ids = {"ids": names_text(run_ids)}
        last = {id_: position or 0 for id_, position in (yield Rows("last_positions", ids))}
        waits = [wait_of(row) for row in (yield Rows("open_waits", ids))]
        return cls(last, {(wait.run_id, wait.name): wait for wait in waits}, now)

    def add(self, driver: Driver, new: NewCheckpoint) -> Plan[Checkpoint | None]:
        """What stands under the name now; None when another visit has consumed its event."""
        run_id = driver.run_id
        checkpoint = Checkpoint(
            id=CheckpointID.new(),
            created_at=from_micros(self._now),
            updated_at=from_micros(self._now),
            run_id=RunID(run_id),
            name=new.name,
            kind=new.kind,
            data=new.data,
            position=self._last[run_id] + 1,
            attempt=new.attempt,
            worker_id=None if driver.worker_id is None else WorkerID(driver.worker_id),
            started_at=new.started_at,
            event_id=new.event_id,
        )
        if not (yield Do("add_checkpoint", checkpoint_params(checkpoint, self._now))):
            return (yield from _named(run_id, new.name))
        self._last[run_id] += 1
        if new.event_id is not None:
            yield Do("consume_signal", {"id": str(new.event_id), "run_id": run_id})
        if self.waits.pop((run_id, new.name), None) is not None:
            yield from _close(run_id, new.name)
        if driver.id not in self._calm:
            self._calm.add(driver.id)
            if driver.failures or driver.crashes:
                yield Do("reset_driver", {"id": driver.id})
        self.jobs += [(checkpoint, job) for job in new.jobs]
        self.runs += [(checkpoint, run) for run in new.runs]
        return checkpoint


def checkpoint_params(checkpoint: Checkpoint, now: int) -> dict[str, Any]:
    """The parameters of `add_checkpoint`."""
    return {
        "run_id": str(checkpoint.run_id),
        "position": checkpoint.position,
        "id": str(checkpoint.id),
        "name": checkpoint.name,
        "kind": checkpoint.kind,
        "attempt": checkpoint.attempt,
        "worker_id": None if checkpoint.worker_id is None else str(checkpoint.worker_id),
        "event_id": None if checkpoint.event_id is None else str(checkpoint.event_id),
        "inherited": checkpoint.inherited,
        "started_at": None if checkpoint.started_at is None else micros(checkpoint.started_at),
        "created_at": micros(checkpoint.created_at),
        "now": now,
        "data": checkpoint.data,
    }


def _fenced(drivers: dict[str, Driver], worker_id: WorkerID, said: Record | WaitFor) -> bool:
    driver = drivers.get(said.driver)
    return driver is not None and driver.run_id == said.run_id and driver.held_by(worker_id, said.epoch)


def _driver(new: NewRun) -> NewJob:
    """The driver as it is enqueued: no run is put into the place of another."""
    if new.driver.concurrency_key is not None:
        raise DataRejected(f"run {new.id}: a driver takes no concurrency key; nothing was written")
    unique = new.driver.unique
    if unique is not None and unique.on_conflict == "replace":
        return replace(new.driver, unique=replace(unique, on_conflict="return"))
    return new.driver


def _run_row(new: NewRun, forked_from: RunID | None) -> tuple[Any, ...]:
    return (
        str(new.id),
        new.name,
        new.version,
        str(new.driver.id),
        None if new.parent is None else str(new.parent),
        new.step,
        new.awaited,
        new.abandon,
        None if forked_from is None else str(forked_from),
        *new.driver.scope,
    )


def _named(run_id: str, name: str) -> Plan[Checkpoint | None]:
    row = first((yield Rows("checkpoint_named", {"run_id": run_id, "name": name})))
    return None if row is None else checkpoint_of(row)


def _scope(run: LockedRun) -> tuple[str, str]:
    return run.app_id, run.org_id


def _wait_one(journal: Journal, driver: Driver, run: LockedRun, asked: WaitFor, now: int) -> Plan[Waited]:
    known = yield from _named(run.id, asked.name)
    if known is not None:
        return Waited(Reply.APPLIED, checkpoint=known)
    visited = journal.waits.get((run.id, asked.name))
    if visited is not None:
        deadline = visited.deadline
    else:
        deadline = None if asked.timeout is None else from_micros(later(now, asked.timeout))
    open_wait = Wait(RunID(run.id), asked.name, tuple(asked.events), asked.key, asked.since, deadline)
    if open_wait != visited:
        yield from _register(run, open_wait, again=visited is not None)
        journal.waits[run.id, asked.name] = open_wait
    event = yield from _oldest(run, open_wait)
    if event is not None:
        return Waited(Reply.APPLIED, event=event, deadline=deadline)
    if deadline is not None and micros(deadline) <= now:
        checkpoint = yield from journal.add(driver, NewCheckpoint(asked.name, "wait"))
        return Waited(Reply.APPLIED, checkpoint=checkpoint, deadline=deadline)
    return Waited(Reply.APPLIED, deadline=deadline)


def _register(run: LockedRun, wait: Wait, *, again: bool) -> Plan[None]:
    if again:
        yield from _close(run.id, wait.name)
    since = None if wait.since is None else micros(wait.since)
    yield Do(
        "add_wait",
        {
            "run_id": run.id,
            "name": wait.name,
            "events": json.dumps(wait.events),
            "key": wait.key,
            "since": since,
            "deadline": None if wait.deadline is None else micros(wait.deadline),
        },
    )
    rows = [(run.id, wait.name, event, wait.key, *_scope(run), since) for event in wait.events]
    yield Many("add_wait_event", _WAIT_EVENT, rows)


def _close(run_id: str, name: str) -> Plan[None]:
    yield Do("close_wait", {"run_id": run_id, "name": name})
    yield Do("close_wait_events", {"run_id": run_id, "name": name})


def _oldest(run: LockedRun, wait: Wait) -> Plan[Event | None]:
    """The oldest event that the wait takes and the run has not consumed."""
    rows = yield Rows("oldest_signal", {"run_id": run.id, "names": names_text(wait.events)})
    app_id, org_id = _scope(run)
    since = run.created_at if wait.since is None else micros(wait.since)
    for name in wait.events:
        channel = {"name": name, "key": wait.key, "app_id": app_id, "org_id": org_id}
        rows += yield Rows("oldest_broadcast", {**channel, "since": since, "run_id": run.id})
    events = [event_of(row) for row in rows]
    return min(events, key=lambda event: (_age(event), event.id), default=None)


def _age(event: Event) -> int:
    assert event.created_at is not None
    return micros(event.created_at)
