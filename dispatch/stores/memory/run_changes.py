"""What people do to runs: cancel, retry, migrate and fork, and what retention removes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice, takewhile

from dispatch.entity import Reply
from dispatch.ids import CheckpointID, RunID
from dispatch.jobs.model import JobState
from dispatch.scope import Scope
from dispatch.stores.memory import wakes
from dispatch.stores.memory.changes import start_over
from dispatch.stores.memory.data import Data, remove_sorted
from dispatch.stores.memory.expiry import live_twin
from dispatch.stores.memory.journal import create
from dispatch.stores.memory.rows import checked_bytes, checked_text, in_scope
from dispatch.stores.memory.runs import RunRow
from dispatch.workflows.model import Checkpoint, CreatedRun, NewRun, RunChanged, RunState, driver_name

_MISSING = RunChanged(Reply.MISSING)


def find(data: Data, run_id: RunID, scope: Scope | None) -> RunRow | None:
    """The run, if it is there and the scope sees it."""
    run = data.runs.rows.get(run_id)
    return run if run is not None and in_scope(run.scope, scope) else None


def cancel(data: Data, run_id: RunID, scope: Scope | None, reason: str, now: datetime) -> RunChanged:
    """Makes a waiting run compensate, or asks a running one to."""
    checked_text(reason, f"the reason for cancelling {run_id}")
    run = find(data, run_id, scope)
    if run is None:
        return _MISSING
    if not wakes.cancel_run(data, run, reason, now):
        return RunChanged(Reply.CONFLICT, run.state)
    data.signal.bump()
    return RunChanged(Reply.APPLIED, run.state)


def retry(data: Data, run_id: RunID, scope: Scope | None, now: datetime) -> RunChanged:
    """Lets a run that has ended, or is blocked, go on from its checkpoints."""
    run = find(data, run_id, scope)
    if run is None:
        return _MISSING
    row = data.rows[run.driver]
    if run.state is RunState.BLOCKED:
        row.failures = row.crashes = 0
        _take_up(data, run, now)
    elif run.state not in (RunState.FAILED, RunState.CANCELLED) or (run.compensated and not run.compensation_failed):
        return RunChanged(Reply.CONFLICT, run.state)
    elif (twin := live_twin(data, row.unique_key, now)) is not None:
        return RunChanged(Reply.CONFLICT, run.state, twin)
    else:
        run.compensating = run.compensation_failed
        run.compensation_failed = False
        run.finished_at = None
        run.reason = run.reason if run.compensating else None
        start_over(data, row, now)
        data.runs.to_state(run, run.standing, now)
    data.signal.bump()
    return RunChanged(Reply.APPLIED, run.state)


def migrate(data: Data, run_id: RunID, version: int, scope: Scope | None, now: datetime) -> RunChanged:
    """Gives an unfinished run to the workers that have another version."""
    run = find(data, run_id, scope)
    if run is None:
        return _MISSING
    if run.state.terminal or run.compensating:
        return RunChanged(Reply.CONFLICT, run.state)
    row = data.rows[run.driver]
    name = driver_name(run.name, version)
    if row.state is JobState.RUNNING:
        data.stop(row)
        data.rename(row, name)
        row.worker_id = None
        row.run_at = now
        if row.cancel_requested:
            wakes.compensates(data, row, run, row.cancel_reason or "cancelled", now)
        else:
            data.wait(row, now, now)
    elif row.behind is not None:
        data.rename(row, name)
        row.run_at = row.updated_at = now
    else:
        data.withdraw(row)
        data.rename(row, name)
        row.set_aside = False
        data.wait(row, now, now)
    row.epoch += 1
    run.version = version
    run.blocked = None
    run.unpark()
    data.runs.to_state(run, run.standing, now)
    data.signal.bump()
    return RunChanged(Reply.APPLIED, run.state)


def fork(
    data: Data,
    run_id: RunID,
    before: str | None,
    new: NewRun,
    edits: Mapping[str, bytes],
    scope: Scope | None,
    now: datetime,
) -> CreatedRun | None:
    """A new run with copies of what was recorded before the checkpoint; None: of all that the body recorded."""
    for name, value in edits.items():
        checked_bytes(value, f"the new data of checkpoint {name}")
    run = find(data, run_id, scope)
    if run is None or (before is not None and before not in run.journal):
        return None
    (created,) = create(data, [new], now, forked_from=run.id)
    if created.created:
        fresh = data.runs.rows[new.id]
        end = run.journal[before].position if before is not None else run.last_position + 1
        for checkpoint in run.journal.values():
            own = checkpoint.position < end and (before is not None or checkpoint.kind != "undo")
            if own and not _is_open_child(data, run, checkpoint):
                _inherit(run, fresh, checkpoint, edits.get(checkpoint.name, checkpoint.data), now)
    return created


def _inherit(run: RunRow, fresh: RunRow, checkpoint: Checkpoint, data: bytes, now: datetime) -> None:
    fresh.last_position += 1
    inherited = copy(checkpoint)
    inherited.id, inherited.run_id, inherited.inherited = CheckpointID.new(), fresh.id, True
    inherited.position, inherited.data, inherited.updated_at = fresh.last_position, data, now
    fresh.journal[inherited.name] = inherited
    if inherited.event_id is not None:
        fresh.consumed.add(inherited.event_id)
    if inherited.name in run.results:
        fresh.results[inherited.name] = replace(run.results[inherited.name], run_id=fresh.id)


def _is_open_child(data: Data, run: RunRow, checkpoint: Checkpoint) -> bool:
    """Whether the checkpoint names a child that the run reads the end of, and that has none yet."""
    if checkpoint.name in run.results:
        return False
    runs = (data.runs.rows[run_id] for run_id in run.child_runs)
    jobs = (data.rows[job_id] for job_id in run.child_jobs)
    return any(child.step == checkpoint.name and child.awaited for child in runs) or any(
        child.step == checkpoint.name for child in jobs
    )


def _take_up(data: Data, run: RunRow, now: datetime) -> None:
    """Makes a blocked run's driver claimable and due."""
    row = data.rows[run.driver]
    data.withdraw(row)
    row.set_aside = False
    run.blocked = None
    run.unpark()
    data.runs.to_state(run, run.standing, now)
    data.wait(row, now, now)


def prune(data: Data, ages: Mapping[RunState, float | None], limit: int, dry_run: bool, now: datetime) -> int:
    """Removes the runs that ended longest ago, each state's by its own age."""
    data.runs.sort_ended()
    walks = [_ended_before(data, state, now - timedelta(seconds=age)) for state, age in ages.items() if age is not None]
    old = list(islice(merge(*walks, key=_age), max(0, limit)))
    if not dry_run:
        for run in old:
            _forget(data, run)
        remove_sorted(data.runs.order, {run.id for run in old})
    return len(old)


def _ended_before(data: Data, state: RunState, moment: datetime) -> Iterator[RunRow]:
    old = takewhile(lambda run: _age(run) < moment, data.runs.ended[state].values())
    return (run for run in old if (parent := data.runs.find(run.parent)) is None or parent.state.terminal)


def _age(run: RunRow) -> datetime:
    assert run.finished_at is not None
    return run.finished_at


def _forget(data: Data, run: RunRow) -> None:
    data.runs.count(run, -1)
    data.runs.ended[run.state].pop(run.id)
    del data.runs.rows[run.id]
    parent = data.runs.find(run.parent)
    if parent is not None:
        parent.child_runs.discard(run.id)
    data.forget([data.rows[run.driver]])
    signals = {event.id for event in data.channels.signals(run.id)}
    for event_id in signals:
        data.channels.remove(data.events.pop(event_id))
    remove_sorted(data.event_order, signals)
