"""The workflows part of the memory store: each verb takes the lock, asks the clock once and delegates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING

from dispatch.entity import Page, Reply
from dispatch.ids import JobID, RunID, WorkerID
from dispatch.jobs.model import Failure
from dispatch.scope import Scope
from dispatch.stores.memory import journal, parking, run_changes
from dispatch.stores.memory.data import Session
from dispatch.stores.memory.pages import newest_first
from dispatch.stores.memory.rows import in_scope
from dispatch.stores.memory.runs import RunRow, copy_listed, copy_run
from dispatch.workflows.model import (
    Activation,
    Checkpoint,
    ChildResult,
    CreatedRun,
    FinishRun,
    ListOptions,
    NewRun,
    Park,
    Parked,
    Record,
    Recorded,
    Run,
    RunChanged,
    RunFinished,
    RunState,
    Wait,
    Waited,
    WaitFor,
)

if TYPE_CHECKING:
    from builtins import list as List


class MemoryWorkflows:
    """The verbs of WorkflowStore."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def create(self, runs: Sequence[NewRun]) -> List[CreatedRun]:
        with self._session as data:
            return journal.create(data, runs, data.clock.now())

    async def load(self, drivers: Sequence[JobID]) -> List[Activation]:
        with self._session as data:
            now = data.clock.now()
            found = []
            for driver in drivers:
                row = data.rows.get(driver)
                run = data.runs.driven_by(row) if row is not None else None
                if row is not None and run is not None:
                    checkpoints = [copy(checkpoint) for checkpoint in run.journal.values()]
                    children = {step: copy(result) for step, result in run.results.items()}
                    found.append(Activation(copy_run(run), checkpoints, children, row.cancel_requested, now))
            return found

    async def record(self, worker_id: WorkerID, records: Sequence[Record]) -> List[Recorded]:
        with self._session as data:
            return journal.record(data, worker_id, records, data.clock.now())

    async def wait(self, worker_id: WorkerID, waits: Sequence[WaitFor]) -> List[Waited]:
        with self._session as data:
            return journal.wait(data, worker_id, waits, data.clock.now())

    async def park(self, worker_id: WorkerID, parks: Sequence[Park]) -> List[Parked]:
        with self._session as data:
            return parking.park(data, worker_id, parks, data.clock.now())

    async def compensate(
        self, worker_id: WorkerID, driver: JobID, epoch: int, *, failure: Failure | None, reason: str
    ) -> Reply:
        with self._session as data:
            return parking.compensate(data, worker_id, driver, epoch, failure, reason, data.clock.now())

    async def undoing(self, worker_id: WorkerID, driver: JobID, epoch: int) -> Reply:
        with self._session as data:
            return parking.undoing(data, worker_id, driver, epoch, data.clock.now())

    async def finish(self, worker_id: WorkerID, ends: Sequence[FinishRun]) -> List[RunFinished]:
        with self._session as data:
            return parking.finish(data, worker_id, ends, data.clock.now())

    async def block(self, worker_id: WorkerID, driver: JobID, epoch: int, *, reason: str) -> Reply:
        with self._session as data:
            return parking.block(data, worker_id, driver, epoch, reason, data.clock.now())

    async def cancel(self, run_id: RunID, *, scope: Scope | None = None, reason: str = "cancelled") -> RunChanged:
        with self._session as data:
            return run_changes.cancel(data, run_id, scope, reason, data.clock.now())

    async def retry(self, run_id: RunID, *, scope: Scope | None = None) -> RunChanged:
        with self._session as data:
            return run_changes.retry(data, run_id, scope, data.clock.now())

    async def migrate(self, run_id: RunID, *, version: int, scope: Scope | None = None) -> RunChanged:
        with self._session as data:
            return run_changes.migrate(data, run_id, version, scope, data.clock.now())

    async def fork(
        self, run_id: RunID, *, before: str | None, run: NewRun, edits: Mapping[str, bytes], scope: Scope | None = None
    ) -> CreatedRun | None:
        with self._session as data:
            return run_changes.fork(data, run_id, before, run, edits, scope, data.clock.now())

    async def get(self, run_id: RunID, *, scope: Scope | None = None) -> Run | None:
        with self._session as data:
            run = run_changes.find(data, run_id, scope)
            return None if run is None else copy_run(run)

    async def timeline(self, run_id: RunID) -> List[Checkpoint]:
        with self._session as data:
            run = data.runs.rows.get(run_id)
            return [] if run is None else [copy(checkpoint) for checkpoint in run.journal.values()]

    async def waits(self, run_id: RunID) -> List[Wait]:
        with self._session as data:
            run = data.runs.rows.get(run_id)
            return [] if run is None else sorted(run.waits.values(), key=lambda wait: wait.name)

    async def children(self, run_id: RunID) -> List[ChildResult]:
        with self._session as data:
            run = data.runs.rows.get(run_id)
            return [] if run is None else [copy(run.results[step]) for step in sorted(run.results)]

    async def count(self, *, names: Sequence[str] = (), scope: Scope | None = None) -> dict[RunState, int]:
        with self._session as data:
            total = dict.fromkeys(RunState, 0)
            for (name, found), counts in data.runs.tallies.items():
                if (not names or name in names) and in_scope(found, scope):
                    for state, number in counts.items():
                        total[state] += number
            return total

    async def list(self, options: ListOptions) -> Page[Run]:
        def matches(run: RunRow) -> bool:
            return (
                (not options.states or run.state in options.states)
                and (not options.names or run.name in options.names)
                and (options.version is None or run.version == options.version)
                and (options.parent is None or run.parent == options.parent)
                and in_scope(run.scope, options.scope)
                and (options.created_after is None or run.created_at > options.created_after)
                and (options.created_before is None or run.created_at < options.created_before)
            )

        with self._session as data:
            return newest_first(
                data.runs.order, data.runs.rows, matches, copy_listed, limit=options.limit, cursor=options.cursor
            )

    async def prune(
        self,
        *,
        completed: float | None,
        failed: float | None,
        cancelled: float | None,
        limit: int,
        dry_run: bool = False,
    ) -> int:
        ages = {RunState.COMPLETED: completed, RunState.FAILED: failed, RunState.CANCELLED: cancelled}
        with self._session as data:
            return run_changes.prune(data, ages, limit, dry_run, data.clock.now())
