"""One activation of a run: claimed, loaded, played from its journal, and brought to what the store is told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from dispatch.engine.outcome import Policy, Raised, Wish, decide, observe
from dispatch.engine.runs.ledger import Means
from dispatch.engine.runs.patience import AGAIN, Patience
from dispatch.engine.runs.performance import Performance
from dispatch.engine.runs.playing import error_of, let_go, play
from dispatch.engine.runs.step_runner import failure_of_body
from dispatch.engine.stopped import Stopped
from dispatch.entity import Reply
from dispatch.errors import (
    ChildFailed,
    DataRejected,
    DuplicateStep,
    EventTimeout,
    HandlerTimeout,
    InvalidArguments,
    StepFailed,
    StepMisused,
)
from dispatch.jobs.model import Failure, Job, Transition, Verdict
from dispatch.workflows import model
from dispatch.workflows.definition import WorkflowDefinition
from dispatch.workflows.model import FinishRun, Group, Park, RunState
from dispatch.workflows.names import undo_of
from dispatch.workflows.signals import RunUnwound

EXPECTED = "expected"
"""The reason of a run that failed as it may (`Fail(dead_letter=False)`): it makes no dead letter."""
_FAILURES = frozenset({"failed", "exhausted", "worker_lost", "invalid_payload", "result_not_storable", EXPECTED})
"""The reasons of runs that failed; with any other a run was cancelled."""
_SOON = 1.0
_SHORTEST = 0.001


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers that activations go by."""

    park_after: float
    result_limit: int
    policy: Policy


class Activation:
    """Plays one claimed driver. `stop` may come at any time."""

    def __init__(self, job: Job, definition: WorkflowDefinition[..., Any], *, means: Means, rules: Rules) -> None:
        self._job = job
        self._definition = definition
        self._means = means
        self._rules = rules
        self._failures = job.failures
        self._playing: Performance | None = None
        self._taking_back = False
        self._undoing: asyncio.Task[Any] | None = None
        self._stopped: Stopped | None = None
        self._timed_out = False
        self._patience = Patience()
        self._held: StepFailed | None = None
        """A branch's failure that the attempt ends with, since the other branches only wait."""
        self._left: Literal["parked", "lost", "cancelled"] | None = None

    def stop(self, why: Stopped) -> None:
        """The engine wants the run to be left: what is in flight is cancelled, and nothing is recorded any more."""
        if why is Stopped.REQUESTED and self._taking_back:
            return  # it does already what a cancellation would make it do
        self._stopped = why
        self._abort("is being stopped")

    async def run(self) -> Transition | None:
        """Does what can be done now. Answers how the driver goes back to the store; None: the store knows already."""
        spans = self._means.telemetry.spans
        if spans is None:
            return await self._run()
        with spans.running(self._job, self._definition.name, self._definition.version):
            return await self._run()

    async def _run(self) -> Transition | None:
        loaded = await self._means.writer.load(self._job.id)
        if loaded is None:
            return None
        if self._stopped is not None:
            return None if self._stopped is Stopped.LOST else self._back(Verdict.RELEASE)
        self._means.report.activated(self._job)
        if loaded.run.state is RunState.COMPENSATING:
            return await self._take_back(loaded)
        if loaded.cancel_requested:
            return self._back(Verdict.RELEASE)
        if loaded.run.started_at == self._job.started_at and not loaded.checkpoints:
            self._means.report.started(loaded.run)
        try:
            args, kwargs = self._definition.signature.load(self._job.payload)
        except InvalidArguments as error:
            if loaded.checkpoints:
                return await self._blocked(loaded.run, f"its input does not fit any more: {error}")
            return await self._fail(loaded.run, Failure("InvalidArguments", str(error)), "invalid_payload")
        return await self._play(loaded, args, kwargs)

    # -- playing -------------------------------------------------------------------------------------------------

    async def _play(
        self, loaded: model.Activation, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Transition | None:
        performance = self._playing = Performance(loaded, self._job, self._means, acts=True)
        limit = self._job.timeout if self._job.timeout is not None else self._definition.settings.timeout
        timer = None
        if limit is not None:
            timer = asyncio.get_running_loop().call_later(float(limit), self._time_is_up)  # type: ignore[arg-type]
        try:
            main = await play(performance, self._definition, args, kwargs, rest=lambda: self._rest(performance))
        finally:
            if timer is not None:
                timer.cancel()
        run = performance.run
        if self._left is not None:
            return self._back(Verdict.RELEASE) if self._left == "cancelled" else None
        if performance.mismatch is not None:
            return await self._blocked(run, performance.mismatch)
        if performance.taken_over or self._stopped is Stopped.LOST:
            return None
        if self._stopped is not None:
            return self._back(Verdict.RELEASE)  # a requested cancellation turns this into the run's compensation
        if self._timed_out:
            error: BaseException | None = HandlerTimeout(
                f"{run.name} ({run.id}) took longer than {limit:g} s in one go"
            )
        elif self._held is not None:
            error = self._held
        elif let_go(main):
            error = RuntimeError(f"the body of {run.name} has let go although nobody told it to")
        else:
            error = error_of(main)
        error = error or performance.never_awaited()
        if error is None:
            return await self._complete(performance, main.result())
        return await self._attempt_failed(performance, error)

    async def _rest(self, performance: Performance) -> None:
        """The run is quiet: wait a moment here when that is enough, else park."""
        stage = performance.stage
        try:
            await performance.write_pending([waiting.task for waiting in stage.waits])
        except RunUnwound:
            return
        now = performance.now
        if stage.resolve(lambda waiting: waiting.until is not None and waiting.until <= now):
            return
        moments = [waiting.until for waiting in stage.waits if waiting.until is not None]
        nearest = min(moments, default=None)
        if nearest is not None and all(waiting.kind == "time" for waiting in stage.waits):
            left = (nearest - now) / timedelta(seconds=1)
            if left <= self._rules.park_after:
                try:
                    async with asyncio.timeout(max(left, _SHORTEST)):
                        await stage.changed.wait()
                except TimeoutError:
                    pass
                return
        held = await self._patience.hold(stage, None if nearest is None else (nearest - now) / timedelta(seconds=1))
        if held == "waited":
            self._look_again(performance, await self._means.writer.load(self._job.id))
        if held is not None or self._ended_by_a_branch(performance):
            return
        try:
            await performance.write_pending(list(performance.held()))
        except RunUnwound:
            return
        cut_off = stage.raw()
        if cut_off:
            self._means.report.cut_off(performance.run, cut_off[0].place)
            nearest = min(now + timedelta(seconds=AGAIN), nearest or datetime.max.replace(tzinfo=UTC))
        stage.close()
        try:
            await self._park(performance, nearest)
        finally:
            stage.reopen()

    async def _park(self, performance: Performance, until: Any) -> None:
        stage, run = performance.stage, performance.run
        parked = await self._means.writer.park(
            Park(run.id, self._job.id, self._job.epoch, run.wake_seq, until=until, children=_groups(performance))
        )
        if parked is not None and parked.reply is Reply.APPLIED:
            self._left = "parked"
            stage.unwind("has parked")
            return
        loaded = None
        if parked is not None and parked.reply is Reply.CONFLICT:
            loaded = await self._means.writer.load(self._job.id)
        self._look_again(performance, loaded)

    def _look_again(self, performance: Performance, loaded: model.Activation | None) -> None:
        """Lets what waits look at what was loaded."""
        stage = performance.stage
        if loaded is None:
            self._left = "lost"
            stage.unwind("was taken over by another worker", abort=True)
        elif loaded.cancel_requested:
            self._left = "cancelled"
            stage.unwind("is being cancelled")
        else:
            performance.reloaded(loaded)
            ended = performance.journal.children
            stage.resolve(
                lambda waiting: waiting.kind == "event" or (waiting.kind == "child" and waiting.name in ended)
            )

    def _ended_by_a_branch(self, performance: Performance) -> bool:
        """Ends the attempt where a branch has failed and the others only wait, unless its tries are used up.

        Left to be raised when they have ended, the step would run again at each wake until then.
        """
        for error in performance.held().values():
            if self._decide(self._seen(error), performance).verdict is not Verdict.FAIL:
                self._held = error
                performance.stage.unwind("has failed in one of its branches")
                return True
        return False

    # -- endings -------------------------------------------------------------------------------------------------

    async def _complete(self, performance: Performance, value: Any) -> Transition | None:
        run = performance.run
        try:
            data = self._definition.signature.dump_result(value)
        except TypeError as error:
            return await self._fail(run, Failure("ResultNotStorable", str(error)), "result_not_storable")
        limit = self._rules.result_limit
        if len(data) > limit:
            message = (
                f"the result of {run.name} ({type(value).__name__}) takes {len(data):,} bytes as JSON, more than "
                f"limits.result ({limit:,}); store it elsewhere and return its name"
            )
            return await self._fail(run, Failure("ResultNotStorable", message), "result_not_storable")
        if unvisited := performance.journal.unvisited:
            self._means.report.unvisited(run, unvisited)
        try:
            await self._finish(FinishRun(run.id, self._job.id, self._job.epoch, "completed", result=data), performance)
        except DataRejected as error:
            message = f"the store refuses the result of {run.name}: {error}"
            return await self._fail(run, Failure("ResultNotStorable", message), "result_not_storable")
        return None

    async def _attempt_failed(self, performance: Performance, error: BaseException) -> Transition | None:
        run = performance.run
        if self._means.telemetry.spans is not None:
            self._means.telemetry.spans.failed(error)
        raised = self._seen(error)
        transition = self._decide(raised, performance)
        if transition.verdict is not Verdict.FAIL:
            if transition.verdict is Verdict.RETRY:
                self._means.report.attempt_failed(run, self._job, error, raised.failure, transition.delay)
            return transition
        self._means.report.attempt_failed(run, self._job, error, raised.failure, None)
        await performance.note_end(error, raised.failure)
        reason = transition.reason if transition.dead_letter else EXPECTED
        return await self._fail(run, raised.failure, reason or "failed")

    def _seen(self, error: BaseException) -> Raised:
        """What the error that left the body means: one that a replay would raise again is not tried again."""
        limit = self._rules.policy.traceback_limit
        if isinstance(error, ChildFailed | EventTimeout) or (isinstance(error, StepFailed) and error.__cause__ is None):
            storable = not (isinstance(error, StepFailed) and error.type == "ResultNotStorable")
            expected = isinstance(error, StepFailed) and not error.dead_letter
            reason = "failed" if storable else "result_not_storable"
            return Raised(failure_of_body(error, limit=limit), Wish.FAIL, dead_letter=not expected, reason=reason)
        if isinstance(error, DuplicateStep | StepMisused):
            return Raised(failure_of_body(error, limit=limit), Wish.FAIL)
        if isinstance(error, StepFailed) and error.__cause__ is not None:
            seen = observe(error.__cause__, self._definition, limit=limit)
            return replace(seen, failure=failure_of_body(error, limit=limit))
        return observe(error, self._definition, limit=limit)

    def _decide(self, raised: Raised, performance: Performance) -> Transition:
        failures = 0 if performance.progress else self._failures
        return decide(raised, replace(self._job, failures=failures), self._definition, self._rules.policy)

    async def _fail(self, run: model.Run, failure: Failure, reason: str) -> Transition | None:
        """The run has failed for good: from now on it only takes back what it did."""
        reply = await self._means.writer.compensate(self._job.id, self._job.epoch, failure=failure, reason=reason)
        if reply is not Reply.APPLIED:
            return None
        self._failures = 0
        loaded = await self._means.writer.load(self._job.id)
        return None if loaded is None else await self._take_back(loaded)

    async def _blocked(self, run: model.Run, why: str) -> Transition | None:
        reply = await self._means.writer.block(self._job.id, self._job.epoch, why)
        if reply is Reply.APPLIED:
            self._means.report.blocked(run, why)
        return None

    # -- taking back ---------------------------------------------------------------------------------------------

    async def _take_back(self, loaded: model.Activation) -> Transition | None:
        """Finds what is to be taken back by replaying the body, does that newest first, and ends the run."""
        self._taking_back = True
        if self._stopped is Stopped.REQUESTED:
            self._stopped = None
        performance = self._playing = Performance(loaded, self._job, self._means, acts=False)
        run = loaded.run
        if loaded.checkpoints:
            try:
                args, kwargs = self._definition.signature.load(self._job.payload)
            except InvalidArguments as error:
                return await self._blocked(run, f"its input does not fit any more: {error}")
            await play(performance, self._definition, args, kwargs, rest=lambda: self._enough(performance))
        if performance.mismatch is not None:
            return await self._blocked(run, performance.mismatch)
        for pending in performance.pending_undos():
            if self._stopped is not None:
                break
            self._undoing = asyncio.get_running_loop().create_task(performance.take_back(pending))
            await asyncio.wait([self._undoing])
            failed = None if self._undoing.cancelled() else self._undoing.exception()
            if performance.taken_over:
                return None
            if failed is not None and self._stopped is None:
                return await self._undo_failed(performance, undo_of(pending.name), failed)
        if self._stopped is Stopped.LOST:
            return None
        if self._stopped is Stopped.GRACE:
            return self._back(Verdict.RELEASE)
        await self._finish(self._end(run), performance)
        return None

    async def _undo_failed(self, performance: Performance, name: str, error: BaseException) -> Transition | None:
        """An undo failed: it is tried again, until it has used up the run's retries."""
        raised = self._seen(error)
        transition = self._decide(raised, performance)
        if transition.verdict is not Verdict.FAIL:
            return transition
        self._means.report.step_failed(performance.run, name, raised.failure)
        end = self._end(performance.run)
        end.state, end.failure, end.compensation_failed = "failed", raised.failure, True
        await self._finish(end, performance)
        return None

    def _end(self, run: model.Run) -> FinishRun:
        reason = run.reason or "cancelled"
        state: Literal["failed", "cancelled"] = "failed" if reason in _FAILURES else "cancelled"
        end = FinishRun(run.id, self._job.id, self._job.epoch, state, reason=reason)
        end.dead_letter = reason != EXPECTED
        return end

    async def _enough(self, performance: Performance) -> None:
        """A replay that goes no further has shown what there is to take back."""
        if await self._patience.hold(performance.stage, None) is None:
            performance.stage.unwind("is being taken back")

    # -- inside --------------------------------------------------------------------------------------------------

    async def _finish(self, end: FinishRun, performance: Performance) -> None:
        """Writes the end; tells of it what the store says it is."""
        answer = await self._means.writer.finish(end)
        if answer is None or answer.reply is not Reply.APPLIED or answer.state is None:
            return
        run = performance.run
        run.state, run.reason, run.result = answer.state, end.reason, end.result
        run.error = (run.error or end.failure) if end.compensation_failed else (end.failure or run.error)
        run.compensation_failed, run.finished_at = end.compensation_failed, performance.now
        if run.state is RunState.COMPLETED:
            self._means.report.completed(run, performance.now)
        elif run.state is RunState.FAILED:
            self._means.report.failed(run)
        else:
            self._means.report.cancelled(run)

    def _back(self, verdict: Verdict) -> Transition:
        return Transition(self._job.id, self._job.epoch, verdict)

    def _time_is_up(self) -> None:
        self._timed_out = True
        self._abort("took too long")

    def _abort(self, why: str) -> None:
        if self._undoing is not None:
            self._undoing.cancel()
        if self._playing is not None:
            self._playing.stage.unwind(why, abort=True)


def _groups(performance: Performance) -> tuple[Group, ...]:
    """The children that a quiet run waits for: a fan_out that has started all wakes once, when the last has ended."""
    by_group: dict[str, list[str]] = {}
    for waiting in performance.stage.waits:
        if waiting.kind == "child":
            by_group.setdefault(waiting.group, []).append(waiting.name)
    return tuple(
        Group(tuple(names), "any" if performance.unstarted(group) else "all") for group, names in by_group.items()
    )
