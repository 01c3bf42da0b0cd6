"""Between the rows of workflow tables and their objects, and what fenced verbs read of a driver and its run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from dispatch.clock import from_micros
from dispatch.ids import CheckpointID, EventID, JobID, RunID, WorkerID
from dispatch.jobs.model import JobState
from dispatch.stores.sql.plan import Plan, Rows
from dispatch.stores.sql.rows import failure_of, moment, names_text, parsed, scope_of
from dispatch.workflows.model import Checkpoint, ChildResult, Run, RunState, Wait


class Driver(NamedTuple):
    """The columns of `lock_drivers`."""

    id: str
    state: str
    worker_id: str | None
    epoch: int
    run_id: str
    failures: int
    crashes: int
    cancel_reason: str | None
    unique_key: str | None
    left_as: str | None
    started_at: int | None
    run_at: int
    concurrency_key: str | None

    def held_by(self, worker_id: WorkerID, epoch: int) -> bool:
        """Whether this worker holds it at this epoch."""
        return self.state == JobState.RUNNING and self.worker_id == worker_id and self.epoch == epoch


class LockedRun(NamedTuple):
    """The columns of `lock_runs`."""

    id: str
    state: str
    driver: str
    wake_seq: int
    parked: int
    compensating: int
    compensated: int
    compensation_failed: int
    parent: str | None
    step: str | None
    awaited: int
    abandon: int
    name: str
    version: int
    app_id: str
    org_id: str
    created_at: int
    started_at: int | None
    reason: str | None
    error_type: str | None
    error_message: str | None
    error_traceback: str | None

    @property
    def ended(self) -> bool:
        return RunState(self.state).terminal


def lock_drivers(ids: Sequence[str]) -> Plan[dict[str, Driver]]:
    """The drivers, locked; those that are none are left out."""
    rows = yield Rows("lock_drivers", {"ids": names_text(ids)})
    return {row[0]: Driver(*row) for row in rows if row[4] is not None}


def lock_runs(ids: Sequence[str]) -> Plan[dict[str, LockedRun]]:
    """The runs, locked. Whoever locks drivers too does that first."""
    rows = yield Rows("lock_runs", {"ids": names_text(ids)})
    return {row[0]: LockedRun(*row) for row in rows}


def run_of(row: tuple[Any, ...]) -> Run:
    """The run in a row of `whole_run` or `listed_run`."""
    (
        id_,
        created_at,
        updated_at,
        name,
        version,
        state,
        driver,
        error_type,
        error_message,
        error_traceback,
        reason,
        compensated,
        compensation_failed,
        parent,
        step,
        forked_from,
        wake_seq,
        queue,
        tags,
        metadata,
        app_id,
        org_id,
        started_at,
        finished_at,
        wakes_at,
        payload,
        result,
        *_,
    ) = row
    return Run(
        id=RunID(id_),
        created_at=from_micros(created_at),
        updated_at=from_micros(updated_at),
        name=name,
        version=version,
        state=RunState(state),
        driver=JobID(driver),
        input=payload or b"",
        result=result,
        error=failure_of(error_type, error_message, error_traceback),
        reason=reason,
        compensated=bool(compensated),
        compensation_failed=bool(compensation_failed),
        parent=None if parent is None else RunID(parent),
        step=step,
        forked_from=None if forked_from is None else RunID(forked_from),
        wake_seq=wake_seq,
        queue=queue,
        tags=tuple(parsed(tags, [])),
        metadata=parsed(metadata, {}),
        scope=scope_of(app_id, org_id),
        started_at=moment(started_at),
        finished_at=moment(finished_at),
        wakes_at=moment(wakes_at),
    )


def checkpoint_of(row: tuple[Any, ...]) -> Checkpoint:
    """The checkpoint in a row of `checkpoint_columns`."""
    (
        id_,
        created_at,
        updated_at,
        run_id,
        name,
        kind,
        data,
        position,
        attempt,
        worker_id,
        started_at,
        event_id,
        inherited,
    ) = row
    return Checkpoint(
        id=CheckpointID(id_),
        created_at=from_micros(created_at),
        updated_at=from_micros(updated_at),
        run_id=RunID(run_id),
        name=name,
        kind=kind,
        data=data or b"",
        position=position,
        attempt=attempt,
        worker_id=None if worker_id is None else WorkerID(worker_id),
        started_at=moment(started_at),
        event_id=None if event_id is None else EventID(event_id),
        inherited=bool(inherited),
    )


def child_of(row: tuple[Any, ...]) -> ChildResult:
    """The result in a row of `child_columns`."""
    run_id, step, child, state, result, *error = row
    return ChildResult(RunID(run_id), step, child, state, result, failure_of(*error))


def wait_of(row: tuple[Any, ...]) -> Wait:
    """The wait in a row of `open_waits`."""
    run_id, name, events, key, since, deadline = row
    return Wait(RunID(run_id), name, tuple(json.loads(events)), key, moment(since), moment(deadline))
