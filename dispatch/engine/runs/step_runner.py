"""Runs the function of a step, in place: on the loop, in a thread or a subprocess, with its timeout and retries."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any

from dispatch import backoff as backoffs
from dispatch.clock import seconds
from dispatch.engine.execution import Execution
from dispatch.engine.outcome import Policy, Raised, RemoteFailure, Stored, Wish, failure_of, observe
from dispatch.engine.runs.results import codec
from dispatch.errors import ChildFailed, HandlerCrashed, HandlerTimeout, StepFailed, StepMisused
from dispatch.jobs.base import runs_async
from dispatch.jobs.context import JobContext, enter_job
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.model import Failure, Job
from dispatch.workflows.definition import WorkflowDefinition
from dispatch.workflows.steps import StepSpec

_NO_MORE = frozenset({Wish.FAIL, Wish.SNOOZE})
_whole: Callable[[Job], tuple[Any, ...]] = attrgetter(*(field.name for field in fields(Job)))
"""All fields of a job, in order: a copy by way of them costs a fifth of `replace`, and every attempt makes one."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a step gave, as it will be stored."""

    data: bytes
    attempt: int


class StepRunner:
    """Runs steps for one worker."""

    def __init__(
        self,
        *,
        execution: Execution,
        resources: Sequence[object],
        policy: Policy,
        result_limit: int,
        progress: Callable[[Job, float, str | None], None],
        pause: Callable[[float], Awaitable[None]],
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._execution = execution
        self._resources = resources
        self._policy = policy
        self._result_limit = result_limit
        self._progress = progress
        self._pause = pause
        self._rng = rng

    async def run(self, spec: StepSpec, driver: Job, key: str, *, keep: bool = True) -> Done:
        """Attempts the step until it succeeds or its retries are used up; StepFailed tells how it failed last.

        Without `keep` nobody wants its result.
        """
        attempt = 1
        while True:
            try:
                value = await self._attempt(spec, driver, key, attempt)
            except Exception as error:
                raised = self._seen(error, spec)
                if raised.wish in _NO_MORE or attempt > (spec.retries or 0):
                    raise step_failed(spec.name, raised.failure, dead_letter=raised.dead_letter) from error
                await self._pause(self._delay(spec, raised, attempt))
            else:
                return Done(self.stored(spec, value) if keep else b"null", attempt)
            attempt += 1

    async def call(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any], context: JobContext) -> Any:
        """Calls a function the way it wants to be called; `context` is current inside."""
        enter_job(context)
        definition = function if isinstance(function, JobDefinition) else None
        if definition is not None and definition.executor == "process":
            arguments = definition.signature.validate(args, kwargs)
            context.job = replace(
                context.job, name=definition.name, payload=definition.signature.dump(arguments), kind="job"
            )
            return await self._execution.in_process(definition, context)
        plain: Any = definition.function if definition is not None else function
        if runs_async(plain):
            return await plain(*args, **kwargs)
        context.arguments = (list(args), dict(kwargs))
        value = await self._execution.in_thread(plain, context)
        return await value if inspect.isawaitable(value) else value

    async def guarded(self, work: Awaitable[Any], name: str) -> Any:
        """Awaits the user's code; what would end the process becomes HandlerCrashed."""
        try:
            return await work
        except (Exception, asyncio.CancelledError):
            raise
        except BaseException as error:
            raise HandlerCrashed(
                f"{name} raised {type(error).__name__}({error}), which would have ended the worker; raise an Exception"
            ) from error

    def stored(self, spec: StepSpec, value: Any) -> bytes:
        """The result as JSON; StepFailed names step and type when it cannot be stored."""
        try:
            data = value.data if isinstance(value, Stored) else codec(spec.function).dump_result(value)
        except TypeError as error:
            raise not_storable(spec.name, str(error)) from None
        if len(data) > self._result_limit:
            raise not_storable(
                spec.name,
                f"its result ({type(value).__name__}) takes {len(data):,} bytes as JSON, more than limits.result "
                f"({self._result_limit:,}); store it elsewhere and return its name",
            )
        return data

    async def _attempt(self, spec: StepSpec, driver: Job, key: str, attempt: int) -> Any:
        if isinstance(spec.function, WorkflowDefinition):
            raise StepMisused(f"step {spec.name!r}: {spec.function.name} is a workflow; use ctx.run_child(...)")
        job = Job(*_whole(driver))
        job.effect_key, job.failures = key, attempt - 1
        context = JobContext(job, resources=self._resources, progress=self._progress)
        limit = spec.timeout
        if limit is None and isinstance(spec.function, JobDefinition):
            limit = spec.function.settings.timeout
        work = self.guarded(self.call(spec.function, spec.args, spec.kwargs, context), f"step {spec.name!r}")
        if limit is None:
            return await work
        scope = asyncio.timeout(seconds(limit))
        try:
            async with scope:
                return await work
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise HandlerTimeout(f"step {spec.name!r} took longer than {limit:g} s") from error

    def _seen(self, error: Exception, spec: StepSpec) -> Raised:
        definition = spec.function if isinstance(spec.function, JobDefinition) else None
        raised = observe(error, definition, limit=self._policy.traceback_limit)
        return replace(raised, wish=Wish.FAIL) if isinstance(error, StepFailed | StepMisused) else raised

    def _delay(self, spec: StepSpec, raised: Raised, attempt: int) -> float:
        if raised.wish is Wish.RETRY:
            return raised.delay
        strategy = spec.backoff or self._policy.backoff
        try:
            return max(strategy.delay(attempt, self._rng).total_seconds(), 0.0)
        except Exception:  # a strategy is the user's code: its mistake must not lose the step's own error
            return backoffs.default_strategy().delay(attempt, self._rng).total_seconds()


def step_failed(name: str, failure: Failure, *, dead_letter: bool = True) -> StepFailed:
    """The error that a body meets, live and in replay."""
    return StepFailed(name, failure.type, failure.message, traceback=failure.traceback, dead_letter=dead_letter)


def not_storable(name: str, why: str) -> StepFailed:
    """A step's work was done but its result cannot be kept."""
    return StepFailed(name, "ResultNotStorable", f"step {name!r}: {why}")


def failure_of_body(error: BaseException, *, limit: int) -> Failure:
    """What is kept of the error that left a body: of a step's failure, the step's own error."""
    if isinstance(error, StepFailed):
        cause = error.__cause__
        if cause is not None and not isinstance(cause, RemoteFailure):
            failure = failure_of(cause, limit=limit)
            return replace(failure, message=f"step {error.step!r}: {failure.message}")
        named = f"step {error.step!r}: " if isinstance(error, ChildFailed) else "step "
        message = error.message if error.message.startswith(named) else f"step {error.step!r}: {error.message}"
        return Failure(error.type, message, error.traceback)
    return failure_of(error, limit=limit)
