"""The workflows part of a SQL store: each verb is one plan, run as one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import merge
from itertools import groupby
from typing import TYPE_CHECKING, Any

from dispatch.clock import from_micros, micros
from dispatch.entity import Page, Reply
from dispatch.ids import JobID, RunID, WorkerID
from dispatch.jobs.model import Failure
from dispatch.scope import Scope
from dispatch.stores.sql import workflow_changes, workflow_journal, workflow_parking
from dispatch.stores.sql.listing import AFTER_ANY_ID, page_limit
from dispatch.stores.sql.plan import Executor, Plan, Rows, first
from dispatch.stores.sql.rows import names_text, optional_names, scope_params, span
from dispatch.stores.sql.workflow_rows import checkpoint_of, child_of, run_of, wait_of
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


class SQLWorkflows:
    """WorkflowStore over any SQL executor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def create(self, runs: Sequence[NewRun]) -> List[CreatedRun]:
        if not runs:
            return []
        return await self._executor.run(lambda: workflow_journal.create(runs, self._executor.now()))

    async def load(self, drivers: Sequence[JobID]) -> List[Activation]:
        if not drivers:
            return []
        return await self._executor.run(lambda: _load(drivers, self._executor.now()), write=False)

    async def record(self, worker_id: WorkerID, records: Sequence[Record]) -> List[Recorded]:
        if not records:
            return []
        return await self._executor.run(
            lambda: workflow_journal.record(worker_id, records, self._executor.now()),
            wake=any(said.brings for said in records),
        )

    async def wait(self, worker_id: WorkerID, waits: Sequence[WaitFor]) -> List[Waited]:
        if not waits:
            return []
        return await self._executor.run(
            lambda: workflow_journal.wait(worker_id, waits, self._executor.now()), wake=False
        )

    async def park(self, worker_id: WorkerID, parks: Sequence[Park]) -> List[Parked]:
        if not parks:
            return []
        return await self._executor.run(lambda: workflow_parking.park(worker_id, parks, self._executor.now()))

    async def compensate(
        self, worker_id: WorkerID, driver: JobID, epoch: int, *, failure: Failure | None, reason: str
    ) -> Reply:
        return await self._executor.run(
            lambda: workflow_parking.compensate(worker_id, driver, epoch, failure, reason, self._executor.now())
        )

    async def undoing(self, worker_id: WorkerID, driver: JobID, epoch: int) -> Reply:
        return await self._executor.run(
            lambda: workflow_parking.undoing(worker_id, driver, epoch, self._executor.now())
        )

    async def finish(self, worker_id: WorkerID, ends: Sequence[FinishRun]) -> List[RunFinished]:
        if not ends:
            return []
        return await self._executor.run(lambda: workflow_parking.finish(worker_id, ends, self._executor.now()))

    async def block(self, worker_id: WorkerID, driver: JobID, epoch: int, *, reason: str) -> Reply:
        return await self._executor.run(
            lambda: workflow_parking.block(worker_id, driver, epoch, reason, self._executor.now())
        )

    async def cancel(self, run_id: RunID, *, scope: Scope | None = None, reason: str = "cancelled") -> RunChanged:
        return await self._executor.run(lambda: workflow_changes.cancel(run_id, scope, reason, self._executor.now()))

    async def retry(self, run_id: RunID, *, scope: Scope | None = None) -> RunChanged:
        return await self._executor.run(lambda: workflow_changes.retry(run_id, scope, self._executor.now()))

    async def migrate(self, run_id: RunID, *, version: int, scope: Scope | None = None) -> RunChanged:
        return await self._executor.run(lambda: workflow_changes.migrate(run_id, version, scope, self._executor.now()))

    async def fork(
        self, run_id: RunID, *, before: str | None, run: NewRun, edits: Mapping[str, bytes], scope: Scope | None = None
    ) -> CreatedRun | None:
        return await self._executor.run(
            lambda: workflow_changes.fork(run_id, before, run, edits, scope, self._executor.now())
        )

    async def get(self, run_id: RunID, *, scope: Scope | None = None) -> Run | None:
        def plan() -> Plan[Run | None]:
            row = first((yield Rows("get_run", {"id": str(run_id), **scope_params(scope)})))
            return None if row is None else run_of(row)

        return await self._executor.run(plan, write=False)

    async def timeline(self, run_id: RunID) -> List[Checkpoint]:
        def plan() -> Plan[List[Checkpoint]]:
            return [checkpoint_of(row) for row in (yield Rows("journals", {"ids": names_text([run_id])}))]

        return await self._executor.run(plan, write=False)

    async def waits(self, run_id: RunID) -> List[Wait]:
        def plan() -> Plan[List[Wait]]:
            return [wait_of(row) for row in (yield Rows("open_waits", {"ids": names_text([run_id])}))]

        return await self._executor.run(plan, write=False)

    async def children(self, run_id: RunID) -> List[ChildResult]:
        def plan() -> Plan[List[ChildResult]]:
            return [child_of(row) for row in (yield Rows("child_results_of", {"ids": names_text([run_id])}))]

        return await self._executor.run(plan, write=False)

    async def count(self, *, names: Sequence[str] = (), scope: Scope | None = None) -> dict[RunState, int]:
        def plan() -> Plan[dict[RunState, int]]:
            rows = yield Rows("count_runs", {"names": optional_names(names), **scope_params(scope)})
            return dict.fromkeys(RunState, 0) | {RunState(state): count for state, count in rows}

        return await self._executor.run(plan, write=False)

    async def list(self, options: ListOptions) -> Page[Run]:
        return await self._executor.run(lambda: _list(options), write=False)

    async def prune(
        self,
        *,
        completed: float | None,
        failed: float | None,
        cancelled: float | None,
        limit: int,
        dry_run: bool = False,
    ) -> int:
        now = self._executor.now()
        ages = {RunState.COMPLETED: completed, RunState.FAILED: failed, RunState.CANCELLED: cancelled}
        before = {state: now - span(age) for state, age in ages.items() if age is not None}
        if limit <= 0:
            return 0
        found = await self._executor.run(
            lambda: workflow_changes.count_ended(before, limit if dry_run else 1), write=False
        )
        if dry_run or not found:
            return found
        return await self._executor.run(lambda: workflow_changes.prune(before, limit), durable=False, wake=False)


def _load(drivers: Sequence[JobID], now: int) -> Plan[list[Activation]]:
    found = yield Rows("driven_runs", {"drivers": names_text(drivers)})
    rows = {row[6]: row for row in found}
    ids = {"ids": names_text([row[0] for row in found])}
    checkpoints = map(checkpoint_of, (yield Rows("journals", ids)))
    journals = {run_id: list(own) for run_id, own in groupby(checkpoints, lambda checkpoint: checkpoint.run_id)}
    results = map(child_of, (yield Rows("child_results_of", ids)))
    children = {run_id: {r.step: r for r in own} for run_id, own in groupby(results, lambda result: result.run_id)}
    activations = []
    for driver in drivers:
        row = rows.get(driver)
        if row is not None:
            run = run_of(row)
            own = journals.get(run.id, []), children.get(run.id, {})
            activations.append(Activation(run, *own, cancel_requested=bool(row[-1]), now=from_micros(now)))
    return activations


def _list(options: ListOptions) -> Plan[Page[Run]]:
    """One walk by id, by parent, or one short walk a state, merged."""
    limit = page_limit(options.limit)
    params: dict[str, Any] = {
        "cursor": options.cursor or AFTER_ANY_ID,
        "names": optional_names(options.names),
        "states": optional_names(options.states),
        "version": options.version,
        "parent": None if options.parent is None else str(options.parent),
        "created_after": None if options.created_after is None else micros(options.created_after),
        "created_before": None if options.created_before is None else micros(options.created_before),
        "limit": limit + 1,
        **scope_params(options.scope),
    }
    if options.parent is not None:
        rows = yield Rows("list_child_runs", params)
    elif options.states or options.names or options.scope:
        walks = {}
        for state in options.states or RunState:
            walks[state] = yield Rows("list_runs_in_state", {**params, "state": str(state)})
        rows = list(merge(*walks.values(), key=lambda row: row[0], reverse=True))
    else:
        rows = yield Rows("list_runs", params)
    items = [run_of(row) for row in rows[:limit]]
    return Page(items, str(items[-1].id) if len(rows) > limit else None)
