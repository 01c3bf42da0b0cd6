"""What a playing of a run's body stands on: the journal, the stage, and the one way to record something."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from dispatch.current import AppPort, open_app
from dispatch.engine.runs.report import RunReport
from dispatch.engine.runs.stage import Stage, Waiting
from dispatch.engine.runs.step_runner import StepRunner
from dispatch.engine.runs.writer import RunWriter
from dispatch.entity import Reply
from dispatch.errors import DataRejected, NoOpenApp, StepFailed
from dispatch.ids import RunID
from dispatch.jobs.model import Failure, Job, NewJob
from dispatch.telemetry import OFF, Telemetry
from dispatch.workflows import documents
from dispatch.workflows.journal import Journal
from dispatch.workflows.model import Activation, Checkpoint, CheckpointKind, NewCheckpoint, Record, Run
from dispatch.workflows.names import failed_of, step_of_failure
from dispatch.workflows.signals import Mismatch

_behind: ContextVar[frozenset[str]] = ContextVar("dispatch_failures_behind", default=frozenset())
"""The failed steps that this branch, or those that it was begun from, had met before."""


@dataclass(slots=True)
class _Met:
    """A failure that the body has met and may have survived."""

    branch: asyncio.Task[Any] | None
    checkpoint: NewCheckpoint
    error: StepFailed
    survived: bool = False


@dataclass(frozen=True, slots=True)
class Means:
    """What a playing works with; the same for all runs of a worker."""

    writer: RunWriter
    steps: StepRunner
    report: RunReport
    prepare: Callable[[NewJob], Awaitable[NewJob]]
    """Checks a child's size and lets plugins add their metadata."""
    idempotency_ttl: float
    elapsed: Callable[[], float]
    """Seconds on a clock that only runs forward; it stands still where a test moves the store's clock."""
    rng: Callable[[], float] = random.random
    telemetry: Telemetry = OFF

    def step_span(self, name: str, run_id: RunID) -> AbstractContextManager[None]:
        """The span around what a step, or an undo, does in place."""
        spans = self.telemetry.spans
        return nullcontext() if spans is None else spans.step(name, str(run_id))


class Ledger:
    """One playing of a run. With `acts=False` it replays only: a verb that is not recorded never answers."""

    def __init__(self, loaded: Activation, job: Job, means: Means, *, acts: bool) -> None:
        self.run: Run = loaded.run
        self.job = job
        self.journal = Journal.of(loaded.checkpoints, loaded.children)
        self.stage = Stage(loaded.run.id)
        self.mismatch: str | None = None
        """Why the run is to be blocked."""
        self.taken_over = False
        """Whether the store has told that the run is another worker's."""
        self.progress = False
        """Whether a checkpoint was written, which begins the count of failures anew."""
        self.means = means
        self.acts = acts
        self._now = loaded.now
        self._loaded_at = means.elapsed()
        self._unwritten: list[NewCheckpoint] = []
        self._met: dict[str, _Met] = {}

    @property
    def run_id(self) -> RunID:
        """The run's id."""
        return self.run.id

    @property
    def now(self) -> datetime:
        """The store's time, as far as it is known here."""
        return self._now + timedelta(seconds=self.means.elapsed() - self._loaded_at)

    def key(self, name: str) -> str:
        """The effect key of a step."""
        return f"{self.run_id}/{name}"

    def reloaded(self, loaded: Activation) -> None:
        """Takes up what was loaded after something woke the run."""
        self.run = loaded.run
        self._now, self._loaded_at = loaded.now, self.means.elapsed()
        self.journal.renew(loaded.checkpoints, loaded.children)

    # -- reading -------------------------------------------------------------------------------------------------

    def find(self, name: str, verb: str, *kinds: CheckpointKind) -> Checkpoint | None:
        """What is recorded under the name; blocks the run when that is of another kind."""
        try:
            return self.journal.find(name, verb, *kinds)
        except Mismatch as error:
            self.block(str(error))

    def read(self, found: Checkpoint, field: str) -> Any:
        """A field of what is recorded; blocks the run when it has none."""
        try:
            return documents.read(found, field)
        except Mismatch as error:
            self.block(str(error))

    async def stop_if_replaying(self, name: str) -> None:
        """A replay ends, for this branch, at the first verb that is not recorded."""
        if not self.acts:
            await self.stage.wait(Waiting(name, "never"))

    # -- writing -------------------------------------------------------------------------------------------------

    def later(self, new: NewCheckpoint) -> None:
        """Keeps a value to be recorded before the run's next effect."""
        if self.acts:
            self._unwritten.append(new)

    def met(self, name: str, failure: Failure, started: datetime, error: StepFailed) -> None:
        """Notes that a step has failed: recorded once the body is seen to go on after it."""
        data = documents.failure_document(failure, dead_letter=error.dead_letter)
        new = NewCheckpoint(name, "failure", data, started_at=started)
        self._met[name] = _Met(self.stage.branch, new, error)

    def failed_here(self, name: str) -> None:
        """The branch that this code is has met that failure: branches that it begins from now on prove that it went
        on."""
        _behind.set(_behind.get() | {name})

    async def enter(self) -> None:
        """A verb begins: the failures before it were survived, those of its own branch, those that the branch had met
        from which it was begun, and in the main one all."""
        await self.stage.enter()
        if self._met:
            branch = asyncio.current_task()
            behind = _behind.get()
            for name, met in self._met.items():
                if branch is self.stage.main or branch is met.branch or name in behind:
                    met.survived = True

    def survived(self, name: str) -> None:
        """The body goes on after that failure."""
        if name in self._met:
            self._met[name].survived = True

    def held(self) -> dict[asyncio.Task[Any], StepFailed]:
        """The branches that a failure has ended, while nobody has met it yet: the others are waited for first."""
        return {
            met.branch: met.error
            for met in self._met.values()
            if met.branch is not None and _ended_by(met.branch, met.error)
        }

    async def write_pending(self, branches: Collection[asyncio.Task[Any] | None] | None = None) -> None:
        """Records values and survived failures now; before an effect of this branch, and before these branches park."""
        pending = self._pending(branches)
        if pending:
            await self._write(pending)

    async def record(self, new: NewCheckpoint) -> Checkpoint | None:
        """Records a visit and answers what stands under its name then; None: another visit had consumed its event."""
        if self.stage.aborted:
            raise asyncio.CancelledError
        try:
            await self._write([*self._pending(), new])
        except DataRejected as error:
            raise StepFailed(new.name, "ResultNotStorable", f"the store refuses what it holds: {error}") from None
        return self.journal.recorded.get(new.name)

    async def recorded(self, new: NewCheckpoint) -> Checkpoint:
        """As `record`, for visits without an event."""
        found = await self.record(new)
        assert found is not None, "a checkpoint without an event is always recorded"
        return found

    async def _write(self, new: Sequence[NewCheckpoint]) -> None:
        answer = await self.means.writer.record(Record(self.run_id, self.job.id, self.job.epoch, new))
        if answer is None or answer.reply is not Reply.APPLIED:
            self.lost()
        self.progress = True
        self.journal.add(answer.checkpoints)
        for checkpoint in new:
            standing = self.journal.recorded.get(checkpoint.name)
            for job in checkpoint.jobs:
                if standing is not None and job.id.encode() in standing.data:  # else a key gave another job's id
                    self.means.report.enqueued(job)
        written = {checkpoint.name for checkpoint in new}
        self._unwritten = [value for value in self._unwritten if value.name not in written]
        for name in written & self._met.keys():
            del self._met[name]

    def _pending(self, branches: Collection[asyncio.Task[Any] | None] | None = None) -> list[NewCheckpoint]:
        """A verb proves that the failures before it were survived: those of its own branch, and in the main one all."""
        going_on = (self.stage.branch,) if branches is None else branches
        everything = self.stage.main in going_on
        met = [m.checkpoint for m in self._met.values() if everything or m.survived or m.branch in going_on]
        return [*self._unwritten, *met]

    # -- endings -------------------------------------------------------------------------------------------------

    async def note_end(self, error: BaseException, failure: Failure) -> None:
        """Records of which step or child the run fails for good; its body never sees that."""
        if not isinstance(error, StepFailed):
            return
        before = sum(step_of_failure(name) == error.step for name in self.journal.recorded)
        name = failed_of(error.step, before + 1)
        new = NewCheckpoint(name, "value", documents.end_document(failure), started_at=self.now)
        with suppress(DataRejected):  # the run fails without it
            await self.means.writer.record(Record(self.run_id, self.job.id, self.job.epoch, [new]))

    def block(self, why: str) -> NoReturn:
        """What is recorded does not fit the code."""
        self.mismatch = why
        self.stage.unwind("is blocked")
        raise self.stage.signal()

    def lost(self) -> NoReturn:
        """The run is another worker's now."""
        self.taken_over = True
        self.stage.unwind("was taken over by another worker", abort=True)
        raise self.stage.signal()


def _ended_by(task: asyncio.Task[Any], error: Exception) -> bool:
    return task.done() and not task.cancelled() and task.exception() is error


def app_of_worker() -> AppPort:
    """The app whose worker plays the run, for the handles that verbs give."""
    app = open_app()
    if app is None:
        raise NoOpenApp("no app is open here, so there is nothing to give a handle of")
    return app
