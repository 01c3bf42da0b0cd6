"""A run's journal: runs and checkpoints come into being, and waits for events look, register or time out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from dispatch.clock import from_micros, micros
from dispatch.entity import Reply
from dispatch.events.model import Event
from dispatch.ids import CheckpointID, RunID, WorkerID
from dispatch.jobs.model import NewJob
from dispatch.stores.sql.enqueue import enqueue
from dispatch.stores.sql.events import event_of
from dispatch.stores.sql.plan import Do, Each, Lock, Many, Plan, Rows, first
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
CHECKPOINT = (
    *("run_id", "id", "name", "kind", "attempt", "worker_id", "event_id", "inherited", "started_at"),
    *("created_at", "now", "data"),
)
_WAIT = ("run_id", "name", "events", "key", "since", "deadline")
_WAIT_EVENT = ("run_id", "name", "event", "key", "app_id", "org_id", "since")


def create(
    news: Sequence[NewRun],
    now: int,
    *,
    lenient: bool = False,
    line_up: bool = False,
    forked_from: RunID | None = None,
) -> Plan[list[CreatedRun]]:
    """The plan of WorkflowStore.create; with `lenient` (children) a conflict drops its run instead of raising, with
    `line_up` (ticks) on_conflict "replace" means to wait behind the holder."""
    answers = yield from enqueue([_driver(new, line_up=line_up) for new in news], now, lenient=lenient)
    made = [new for new, answer in zip(news, answers, strict=True) if answer.created]
    if made:
        yield Many("insert_run", (*_RUN, "now"), [(*_run_row(new, forked_from), now) for new in made])
    return [CreatedRun(driven_by(answer.id), answer.created) for answer in answers]


def record(worker_id: WorkerID, records: Sequence[Record], now: int) -> Plan[list[Recorded]]:
    """The plan of WorkflowStore.record: the fences of all, then their checkpoints, then what these bring."""
    drivers = yield from lock_drivers([said.driver for said in records])
    held = {said.run_id for said in records if _fenced(drivers, worker_id, said)}
    journal = yield from Journal.open(held, now)
    fenced = [said for said in records if _fenced(drivers, worker_id, said)]
    visits = [(drivers[said.driver], new) for said in fenced for new in said.checkpoints]
    standing = iter((yield from journal.add(visits)))
    answers = []
    for said in records:
        if _fenced(drivers, worker_id, said):
            found = [next(standing) for _ in said.checkpoints]
            answers.append(Recorded(Reply.APPLIED, [checkpoint for checkpoint in found if checkpoint is not None]))
        else:
            answers.append(Recorded(Reply.STALE))
    given: list[tuple[Checkpoint, str, str]] = []
    if journal.jobs:
        jobs = yield from enqueue([job for _, job in journal.jobs], now, lenient=True)
        given += [(place, job.id, answer.id) for (place, job), answer in zip(journal.jobs, jobs, strict=True)]
    if journal.runs:
        runs = yield from create([run for _, run in journal.runs], now, lenient=True)
        given += [(place, run.id, answer.id) for (place, run), answer in zip(journal.runs, runs, strict=True)]
    for checkpoint, wanted, id_ in given:
        if id_ != wanted:  # a key is taken: the checkpoint tells of the one that has it
            checkpoint.data = checkpoint.data.replace(wanted.encode(), id_.encode())
            yield Do("amend_checkpoint", {"id": str(checkpoint.id), "data": checkpoint.data})
    return answers


def wait(worker_id: WorkerID, waits: Sequence[WaitFor], now: int) -> Plan[list[Waited]]:
    """The plan of WorkflowStore.wait: no matching event is published between its look and its end."""
    channels = sorted({(asked.run_id, asked.key or "", name) for asked in waits for name in asked.events})
    # before the drivers, as a publisher has its channel when it wakes runs
    yield Lock("lock_channels", {"channels": json.dumps(channels)})
    drivers = yield from lock_drivers([asked.driver for asked in waits])
    held = [asked for asked in waits if _fenced(drivers, worker_id, asked)]
    runs = yield from lock_runs([asked.run_id for asked in held])
    journal = yield from Journal.open({asked.run_id for asked in held}, now)
    names = [(asked.run_id, asked.name) for asked in held]
    rows = (yield Rows("checkpoints_named", {"pairs": json.dumps(names)})) if names else []
    standing = {(found.run_id, found.name): found for found in map(checkpoint_of, rows)}
    unmet = [asked for asked in held if (asked.run_id, asked.name) not in standing]
    deadlines = yield from _register(journal, runs, unmet, now)
    answers = []
    for asked in waits:
        place = (asked.run_id, asked.name)
        if not _fenced(drivers, worker_id, asked):
            answers.append(Waited(Reply.STALE))
        elif place in standing:
            answers.append(Waited(Reply.APPLIED, checkpoint=standing[place]))
        else:
            run, deadline = runs[asked.run_id], deadlines[place]
            answers.append((yield from _look(journal, drivers[asked.driver], run, asked, deadline, now)))
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

    def add(self, visits: Sequence[tuple[Driver, NewCheckpoint]]) -> Plan[list[Checkpoint | None]]:
        """What stands under each name now; None when another visit has consumed its event."""
        given = [self._checkpoint(driver, new) for driver, new in visits]
        added = yield Each("add_checkpoint", CHECKPOINT, [checkpoint_row(each, self._now) for each in given])
        answers: list[Checkpoint | None] = []
        consumed, closed, calmed = [], [], []
        for (driver, new), checkpoint, count in zip(visits, given, added, strict=True):
            if not count:
                standing = yield from _named(driver.run_id, new.name)
                # what a later visit of this very call has written did not stand yet
                before = standing is not None and standing.position <= self._last[driver.run_id]
                answers.append(standing if before else None)
                continue
            self._last[driver.run_id] += 1
            checkpoint.position = self._last[driver.run_id]
            answers.append(checkpoint)
            if new.event_id is not None:
                consumed.append((str(new.event_id), driver.run_id))
            if self.waits.pop((driver.run_id, new.name), None) is not None:
                closed.append((driver.run_id, new.name))
            if driver.id not in self._calm:
                self._calm.add(driver.id)
                if driver.failures or driver.crashes:
                    calmed.append((driver.id,))
            self.jobs += [(checkpoint, job) for job in new.jobs]
            self.runs += [(checkpoint, run) for run in new.runs]
        yield Many("consume_signal", ("id", "run_id"), consumed)
        yield from _close(closed)
        yield Many("reset_driver", ("id",), calmed)
        return answers

    def _checkpoint(self, driver: Driver, new: NewCheckpoint) -> Checkpoint:
        return Checkpoint(
            id=CheckpointID.new(),
            created_at=from_micros(self._now),
            updated_at=from_micros(self._now),
            run_id=RunID(driver.run_id),
            name=new.name,
            kind=new.kind,
            data=new.data,
            attempt=new.attempt,
            worker_id=None if driver.worker_id is None else WorkerID(driver.worker_id),
            started_at=new.started_at,
            event_id=new.event_id,
        )


def checkpoint_row(checkpoint: Checkpoint, now: int) -> tuple[Any, ...]:
    """The parameters of `add_checkpoint`, in the order of CHECKPOINT; its place in the journal is the next."""
    return (
        str(checkpoint.run_id),
        str(checkpoint.id),
        checkpoint.name,
        checkpoint.kind,
        checkpoint.attempt,
        None if checkpoint.worker_id is None else str(checkpoint.worker_id),
        None if checkpoint.event_id is None else str(checkpoint.event_id),
        int(checkpoint.inherited),
        None if checkpoint.started_at is None else micros(checkpoint.started_at),
        micros(checkpoint.created_at),
        now,
        checkpoint.data,
    )


def _fenced(drivers: dict[str, Driver], worker_id: WorkerID, said: Record | WaitFor) -> bool:
    driver = drivers.get(said.driver)
    return driver is not None and driver.run_id == said.run_id and driver.held_by(worker_id, said.epoch)


def _driver(new: NewRun, *, line_up: bool) -> NewJob:
    """The driver as it is enqueued: no run is put into the place of another."""
    unique = new.driver.unique
    if unique is not None and unique.on_conflict == "replace" and not line_up:
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


def _register(
    journal: Journal, runs: Mapping[str, LockedRun], asked: Sequence[WaitFor], now: int
) -> Plan[dict[tuple[RunID, str], datetime | None]]:
    """Makes the waits open, as they are asked for now; answers until when, which their first visits have said."""
    deadlines: dict[tuple[RunID, str], datetime | None] = {}
    again, waits, events = [], [], []
    for each in asked:
        run, place = runs[each.run_id], (each.run_id, each.name)
        visited = journal.waits.get(place)
        if visited is not None:
            deadline = visited.deadline
        else:
            deadline = None if each.timeout is None else from_micros(later(now, each.timeout))
        deadlines[place] = deadline
        wait = Wait(RunID(run.id), each.name, tuple(each.events), each.key, each.since, deadline)
        if wait == visited:
            continue
        journal.waits[place] = wait
        since, until = (None if moment is None else micros(moment) for moment in (wait.since, deadline))
        again.append((run.id, wait.name))
        waits.append((run.id, wait.name, json.dumps(wait.events), wait.key, since, until))
        events += [(run.id, wait.name, event, wait.key, *_scope(run), since) for event in wait.events]
    yield from _close(again)
    yield Many("add_wait", _WAIT, waits)
    yield Many("add_wait_event", _WAIT_EVENT, events)
    return deadlines


def _look(
    journal: Journal, driver: Driver, run: LockedRun, asked: WaitFor, deadline: datetime | None, now: int
) -> Plan[Waited]:
    """The oldest event that an open wait takes, or its timeout."""
    event = yield from _oldest(run, asked)
    if event is not None:
        return Waited(Reply.APPLIED, event=event, deadline=deadline)
    if deadline is not None and micros(deadline) <= now:
        (checkpoint,) = yield from journal.add([(driver, NewCheckpoint(asked.name, "wait"))])
        return Waited(Reply.APPLIED, checkpoint=checkpoint, deadline=deadline)
    return Waited(Reply.APPLIED, deadline=deadline)


def _close(waits: Sequence[tuple[str, str]]) -> Plan[None]:
    yield Many("close_wait", ("run_id", "name"), waits)
    yield Many("close_wait_events", ("run_id", "name"), waits)


def _oldest(run: LockedRun, wait: WaitFor) -> Plan[Event | None]:
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
