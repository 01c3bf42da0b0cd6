"""Workflow runs: this store keeps none. What looks for some finds none; what would make or change one is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from dispatch.entity import Page, Reply
from dispatch.errors import UsageError
from dispatch.ids import JobID, RunID, WorkerID
from dispatch.jobs.model import Failure
from dispatch.scope import Scope
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

_MISSING = RunChanged(Reply.MISSING)


class NoRuns:
    """WorkflowStore of a store without runs."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def create(self, runs: Sequence[NewRun]) -> List[CreatedRun]:
        return self._refuse("started") if runs else []

    async def load(self, drivers: Sequence[JobID]) -> List[Activation]:
        return []

    async def record(self, worker_id: WorkerID, records: Sequence[Record]) -> List[Recorded]:
        return self._refuse("written to") if records else []

    async def wait(self, worker_id: WorkerID, waits: Sequence[WaitFor]) -> List[Waited]:
        return self._refuse("made to wait") if waits else []

    async def park(self, worker_id: WorkerID, parks: Sequence[Park]) -> List[Parked]:
        return self._refuse("parked") if parks else []

    async def compensate(
        self, worker_id: WorkerID, driver: JobID, epoch: int, *, failure: Failure | None, reason: str
    ) -> Reply:
        return Reply.MISSING

    async def undoing(self, worker_id: WorkerID, driver: JobID, epoch: int) -> Reply:
        return Reply.MISSING

    async def finish(self, worker_id: WorkerID, ends: Sequence[FinishRun]) -> List[RunFinished]:
        return self._refuse("finished") if ends else []

    async def block(self, worker_id: WorkerID, driver: JobID, epoch: int, *, reason: str) -> Reply:
        return Reply.MISSING

    async def cancel(self, run_id: RunID, *, scope: Scope | None = None, reason: str = "cancelled") -> RunChanged:
        return _MISSING

    async def retry(self, run_id: RunID, *, scope: Scope | None = None) -> RunChanged:
        return _MISSING

    async def migrate(self, run_id: RunID, *, version: int, scope: Scope | None = None) -> RunChanged:
        return _MISSING

    async def fork(
        self, run_id: RunID, *, before: str, run: NewRun, edits: Mapping[str, bytes], scope: Scope | None = None
    ) -> CreatedRun | None:
        return None

    async def get(self, run_id: RunID, *, scope: Scope | None = None) -> Run | None:
        return None

    async def timeline(self, run_id: RunID) -> Sequence[Checkpoint]:
        return ()

    async def waits(self, run_id: RunID) -> Sequence[Wait]:
        return ()

    async def children(self, run_id: RunID) -> Sequence[ChildResult]:
        return ()

    async def count(self, *, names: Sequence[str] = (), scope: Scope | None = None) -> dict[RunState, int]:
        return dict.fromkeys(RunState, 0)

    async def list(self, options: ListOptions) -> Page[Run]:
        return Page([])

    async def prune(
        self,
        *,
        completed: float | None,
        failed: float | None,
        cancelled: float | None,
        limit: int,
        dry_run: bool = False,
    ) -> int:
        return 0

    def _refuse(self, what: str) -> NoReturn:
        raise UsageError(
            f"{self._url}: a Redis store keeps jobs and cron entries, but no workflow runs, so none can be {what}; "
            "nothing was written. Workflows run on sqlite:///, postgresql:// and memory://"
        )
