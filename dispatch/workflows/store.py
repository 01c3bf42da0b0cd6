"""What a store promises about workflow runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dispatch.entity import Page, Reply
from dispatch.ids import JobID, RunID, WorkerID
from dispatch.jobs.model import NewJob
from dispatch.scope import Scope
from dispatch.workflows.model import Checkpoint, ListOptions, Run, Wait


class WorkflowStore(Protocol):
    """The workflows part of a Store. Every write names the driver job's worker and epoch and is refused when stale."""

    async def create_run(self, run: Run, driver: NewJob) -> Run:
        """Inserts the run and its driver job in one transaction."""
        ...

    async def record(
        self, driver: JobID, worker_id: WorkerID, epoch: int, checkpoints: Sequence[Checkpoint]
    ) -> list[Checkpoint]:
        """Inserts checkpoints under the driver's lock and answers what stands there: the given or an earlier one."""
        ...

    async def park(
        self, driver: JobID, worker_id: WorkerID, epoch: int, *, seen_seq: int, waits: Sequence[Wait]
    ) -> Reply:
        """Puts the driver to sleep until a wake or a deadline; CONFLICT when `wake_seq` moved since `seen_seq`."""
        ...

    async def wake(self, run_id: RunID) -> Reply:
        """Raises wake_seq and makes a parked driver due."""
        ...

    async def start_child(
        self, driver: JobID, worker_id: WorkerID, epoch: int, *, checkpoint: Checkpoint, run: Run, job: NewJob
    ) -> Run:
        """Creates the child and the checkpoint that names it in one transaction, once."""
        ...

    async def finish_run(self, driver: JobID, worker_id: WorkerID, epoch: int, run: Run) -> Reply:
        """Ends the run, writes its outcome for the parent and wakes that when it waits for it."""
        ...

    async def fork(self, run_id: RunID, *, before: str, run: Run, driver: NewJob) -> Run:
        """A new run with copies of the checkpoints recorded before a step."""
        ...

    async def migrate(self, run_id: RunID, *, version: int) -> Reply:
        """Moves a run to another version of its workflow, raising the driver's epoch."""
        ...

    async def get(self, run_id: RunID, *, scope: Scope | None = None) -> Run | None:
        """The run, or None."""
        ...

    async def timeline(self, run_id: RunID) -> Sequence[Checkpoint]:
        """Its checkpoints, in the order they were recorded."""
        ...

    async def list(self, options: ListOptions) -> Page[Run]:
        """Runs that match, newest id first."""
        ...
