"""WorkflowContext: the verbs of a workflow's body, typed; what each records makes the run go on where it was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar, cast, overload
from uuid import UUID

from dispatch.clock import Duration, seconds
from dispatch.errors import EventTimeout, StepMisused
from dispatch.events.declaration import EventDefinition, key_text
from dispatch.events.model import Event
from dispatch.ids import RunID
from dispatch.jobs.definition import BoundJob, JobDefinition
from dispatch.jobs.handle import JobHandle
from dispatch.workflows.conductor import AnyJob, AnyWorkflow, Conductor, EventWait
from dispatch.workflows.definition import BoundWorkflow, WorkflowDefinition
from dispatch.workflows.first_parameter import Context
from dispatch.workflows.handle import RunHandle
from dispatch.workflows.steps import FanOut, Step, Undo

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
M = TypeVar("M")
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class WorkflowContext(Context):
    """What a workflow's body does its work through. Every verb has a name in the run and is recorded under it, once;
    when the body runs again, a recorded verb answers what it answered before.

    Names are unique in a run. Waits, sleeps, children, enqueues and values are named after their event, function or
    verb; a repeat needs `name=`. The body must not depend on anything that changes between its runs: the time, chance
    and ids come from `now`, `random` and `uuid`, everything else from steps.
    """

    __slots__ = ("_conductor",)

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    @property
    def run_id(self) -> RunID:
        """The run's id."""
        return self._conductor.run_id

    def key(self, step: str) -> str:
        """A key for that step of this run, the same on every attempt: what payment providers and the like take as an
        idempotency key. Inside of the step it is `current_job().effect_key`."""
        return f"{self.run_id}/{step}"

    # -- steps ---------------------------------------------------------------------------------------------------

    @overload
    def step(self, name: str, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> Step[R]: ...
    @overload
    def step(self, name: str, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Step[R]: ...
    def step(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Step[Any]:
        """A step: awaited, it runs `fn(*args, **kwargs)` and records the result, or answers what is recorded.

        `fn` is `async def`, a plain function (run in a thread) or a definition (called in place). Options chain:
        `.retry(n, backoff=)`, `.timeout(seconds)`, `.compensate(undo, *args)`, `.on_workers()`.

        Raises StepFailed (its `__cause__` is what the function raised), DuplicateStep, StepMisused.

        >>> payment = await ctx.step("charge", charge_card, order).compensate(refund, order.id)  # doctest: +SKIP
        """
        step: Step[Any] = Step(self._conductor, name, fn, args, kwargs)
        self._conductor.made(step, name)
        return step

    @overload
    async def parallel(self, a: Awaitable[A], b: Awaitable[B], /) -> tuple[A, B]: ...
    @overload
    async def parallel(self, a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], /) -> tuple[A, B, C]: ...
    @overload
    async def parallel(
        self, a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], d: Awaitable[D], /
    ) -> tuple[A, B, C, D]: ...
    @overload
    async def parallel(
        self, a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], d: Awaitable[D], e: Awaitable[E], /
    ) -> tuple[A, B, C, D, E]: ...
    @overload
    async def parallel(self, *branches: Awaitable[R]) -> tuple[R, ...]: ...
    async def parallel(self, *branches: Awaitable[Any]) -> tuple[Any, ...]:
        """Steps, waits, children or coroutines side by side; answers their results in order.

        Waits until all have ended, then raises what the first of them (in the order given) raised.
        """
        return tuple(await self._conductor.parallel(branches))

    @overload
    def fan_out(
        self,
        name: str,
        target: WorkflowDefinition[Concatenate[T, P], R],
        items: Iterable[T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> FanOut[R]: ...
    @overload
    def fan_out(
        self,
        name: str,
        target: Callable[Concatenate[T, P], Awaitable[R]],
        items: Iterable[T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> FanOut[R]: ...
    @overload
    def fan_out(
        self,
        name: str,
        target: Callable[Concatenate[T, P], R],
        items: Iterable[T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> FanOut[R]: ...
    def fan_out(self, name: str, target: Any, items: Iterable[Any], /, *args: Any, **kwargs: Any) -> FanOut[Any]:
        """`target(item, *args, **kwargs)` for every item, each a step named `name[0]`, `name[1]` …; awaited, it answers
        the results in the order of the items. Over a workflow it starts child runs.

        Options chain: `.limit(10)`, `.on_error("fail" | "collect")`, `.retry(n)`, `.timeout(seconds)`, `.on_workers()`.

        >>> thumbs = await ctx.fan_out("thumbs", make_thumb, images, size=256).limit(8)  # doctest: +SKIP
        """
        fan: FanOut[Any] = FanOut(self._conductor, name, target, items, args, kwargs)
        self._conductor.made(fan, name)
        return fan

    # -- waiting -------------------------------------------------------------------------------------------------

    @overload
    async def wait_for_event(
        self,
        event: EventDefinition[M],
        /,
        *,
        key: str | int | None = None,
        timeout: Duration | None = None,
        since: datetime | None = None,
        name: str | None = None,
    ) -> M: ...
    @overload
    async def wait_for_event(
        self,
        event: str,
        model: type[M],
        /,
        *,
        key: str | int | None = None,
        timeout: Duration | None = None,
        since: datetime | None = None,
        name: str | None = None,
    ) -> M: ...
    @overload
    async def wait_for_event(
        self,
        event: str,
        model: None = None,
        /,
        *,
        key: str | int | None = None,
        timeout: Duration | None = None,
        since: datetime | None = None,
        name: str | None = None,
    ) -> Event: ...
    async def wait_for_event(
        self,
        event: EventDefinition[Any] | str,
        model: type[Any] | None = None,
        /,
        *,
        key: str | int | None = None,
        timeout: Duration | None = None,
        since: datetime | None = None,
        name: str | None = None,
    ) -> Any:
        """Waits for the oldest event of that name and key that this run has not had yet; holds no slot meanwhile.

        Args:
            event: a declaration (`event("payment.cleared", Cleared)`) or a name, with the payload's `model` behind it.
            key: exactly this key (None: events without one). Signals to the run need none.
            timeout: seconds, timedelta or "30s" from the first visit; None waits for ever.
            since: only events published at or after this; None: after the run was created.

        Returns:
            The payload as the model; without a model, the Event. A payload that does not fit is skipped and recorded.

        Raises:
            EventTimeout: none came in time.
        """
        declared = [_declared(event, model)]
        wait = self._wait(declared, key=key, timeout=timeout, since=since, name=name)
        found = await self._conductor.wait(wait)
        if found is None:
            keyed = "" if wait.key is None else f" with key {wait.key!r}"
            raise EventTimeout(f"no event {declared[0].name!r}{keyed} came within {wait.timeout:g} s")
        return declared[0].read(found)

    async def wait_for_any(
        self,
        *events: EventDefinition[Any] | str,
        key: str | int | None = None,
        timeout: Duration | None = None,
        since: datetime | None = None,
        name: str | None = None,
    ) -> Event | None:
        """Waits for the oldest event of any of these names; answers the Event, or None when the time is up.

        Arguments as for `wait_for_event`; a payload that does not fit its declaration is skipped.
        """
        if not events:
            raise StepMisused("wait_for_any: name the events to wait for")
        declared = [_declared(event, None) for event in events]
        wait = self._wait(declared, key=key, timeout=timeout, since=since, name=name)
        return await self._conductor.wait(wait)

    async def sleep(self, delta: Duration, *, name: str | None = None) -> None:
        """Sleeps that long (seconds, timedelta or "30s") from the first visit; restarts do not begin it anew."""
        try:
            length = timedelta(seconds=seconds(delta))
        except (ValueError, TypeError, OverflowError) as error:
            raise StepMisused(f"sleep({delta!r}): {error}") from None
        await self._conductor.sleep(name, "sleep", lambda now: now + length)

    async def sleep_until(self, when: datetime, *, name: str | None = None) -> None:
        """Sleeps until then (aware); a moment that is past is no sleep."""
        if when.tzinfo is None:
            raise StepMisused("sleep_until: the time has no zone; use an aware datetime, such as ctx.now() + ...")
        await self._conductor.sleep(name, "sleep_until", lambda now: when.astimezone(UTC))

    # -- children and jobs ---------------------------------------------------------------------------------------

    @overload
    async def run_child(self, workflow: _Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def run_child(self, workflow: _Workflow[..., R], /, *args: Any, name: str, **kwargs: Any) -> R: ...
    async def run_child(self, workflow: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Starts a child run and waits for its end; holds no slot meanwhile.

        `name=` names the visit (default: the workflow's name), unless the workflow has a parameter of that name.

        Raises ChildFailed when the child fails or is cancelled; InvalidArguments.
        """
        name = _name(kwargs, workflow)
        return await self._conductor.child(workflow, args, kwargs, name=name)

    @overload
    async def spawn_child(self, workflow: _Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> RunHandle[R]: ...
    @overload
    async def spawn_child(
        self, workflow: _Workflow[..., R], /, *args: Any, name: str, **kwargs: Any
    ) -> RunHandle[R]: ...
    async def spawn_child(self, workflow: Any, /, *args: Any, **kwargs: Any) -> RunHandle[Any]:
        """Starts a child run, once, and does not wait for it; answers its handle."""
        name = _name(kwargs, workflow)
        return await self._conductor.spawn(workflow, args, kwargs, name=name)

    @overload
    async def enqueue(self, job: _Job[P, R], /, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]: ...
    @overload
    async def enqueue(self, job: _Job[..., R], /, *args: Any, name: str, **kwargs: Any) -> JobHandle[R]: ...
    async def enqueue(self, job: Any, /, *args: Any, **kwargs: Any) -> JobHandle[Any]:
        """Queues a job, exactly once: in the transaction that records it. `name=` as for `run_child`."""
        name = _name(kwargs, job)
        return await self._conductor.enqueue(job, args, kwargs, name=name)

    # -- values --------------------------------------------------------------------------------------------------

    def now(self, *, name: str | None = None) -> datetime:
        """The time (aware, UTC) at the first visit."""
        return cast("datetime", self._conductor.value(name, "now"))

    def random(self, *, name: str | None = None) -> float:
        """A number in [0, 1), the same on every run of the body."""
        return cast("float", self._conductor.value(name, "random"))

    def uuid(self, *, name: str | None = None) -> UUID:
        """A UUID, the same on every run of the body."""
        return cast("UUID", self._conductor.value(name, "uuid"))

    # -- taking back ---------------------------------------------------------------------------------------------

    async def on_failure(self, name: str, undo: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Records, before a risky step, what to do should the run fail or be cancelled from here on:
        `undo(*args, **kwargs)`, which needs no result."""
        await self._conductor.intend(name, Undo(undo, args, kwargs))

    async def run_compensations(self) -> None:
        """Takes back, newest first, what has been done so far; they run by themselves when the run fails or is
        cancelled. Each runs once."""
        await self._conductor.compensate()

    # -- inside --------------------------------------------------------------------------------------------------

    @staticmethod
    def _wait(
        events: Sequence[EventDefinition[Any]],
        *,
        key: str | int | None,
        timeout: Duration | None,
        since: datetime | None,
        name: str | None,
    ) -> EventWait:
        try:
            limit = None if timeout is None else seconds(timeout)
        except (ValueError, TypeError) as error:
            raise StepMisused(f"the wait for {events[0].name}: timeout: {error}") from None
        if since is not None and since.tzinfo is None:
            raise StepMisused(f"the wait for {events[0].name}: since has no time zone")
        return EventWait(events, key_text(key), limit, since, name)


_Workflow = WorkflowDefinition[P, R] | BoundWorkflow[P, R]
_Job = JobDefinition[P, R] | BoundJob[P, R]


def _declared(event: EventDefinition[Any] | str, model: type[Any] | None) -> EventDefinition[Any]:
    return event if isinstance(event, EventDefinition) else EventDefinition(event, model)


def _name(kwargs: dict[str, Any], target: AnyWorkflow | AnyJob) -> str | None:
    """Takes our `name` out of the keyword arguments, unless the target has a parameter of that name."""
    signature = target._definition.signature
    return None if "name" in signature.names else kwargs.pop("name", None)
