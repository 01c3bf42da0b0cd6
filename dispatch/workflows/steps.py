"""A step before it runs: lazy, with options that chain; awaiting it answers its checkpoint or runs it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, Self, TypeVar, cast

from dispatch.backoff import Strategy
from dispatch.clock import Duration, seconds
from dispatch.errors import StepFailed, StepMisused

if TYPE_CHECKING:
    from dispatch.workflows.conductor import Conductor

P = ParamSpec("P")
R = TypeVar("R")

BRANCHES = 10
"""How many items of a fan_out are worked on at once unless it says otherwise."""


@dataclass(frozen=True, slots=True)
class Undo:
    """What takes a step back: a function and its arguments behind the step's result."""

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class StepSpec:
    """A step as its options have made it."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    place: str = ""
    """Where the body made it, as `file:line`."""
    retries: int | None = None
    backoff: Strategy | None = None
    timeout: float | None = None
    undo: Undo | None = None
    workers: bool = False
    group: str | None = None
    """The fan_out that it belongs to."""


class _Lazy(Generic[R]):
    """What Step and FanOut share: options until the first await, which is the only one."""

    def __init__(self, conductor: Conductor, verb: str) -> None:
        self._conductor = conductor
        self._verb = verb
        self._started = False
        self.place = _caller()

    def __repr__(self) -> str:
        return (
            f"<{self._verb} of {self.place}: `await` it; several at once by ctx.parallel(...) or asyncio.gather(...), "
            "which a TaskGroup cannot do>"
        )

    def _start(self) -> None:
        if self._started:
            raise StepMisused(
                f"{self._verb} was awaited twice ({self.place}): it runs once, so keep its result in a variable"
            )
        self._started = True

    def _change(self) -> None:
        if self._started:
            raise StepMisused(f"{self._verb} has started already ({self.place}); give its options before the await")

    def _duration(self, value: Duration) -> float:
        self._change()
        try:
            limit = seconds(value)
        except (ValueError, TypeError) as error:
            raise StepMisused(f"{self._verb}: timeout: {error}") from None
        if not 0 < limit < float("inf"):
            raise StepMisused(f"{self._verb}: timeout is {value!r}; it must be longer than nothing, and finite")
        return limit

    def _retries(self, number: int) -> int:
        self._change()
        if number < 0:
            raise StepMisused(f"{self._verb}: retry({number}); it cannot be negative")
        return number


class Step(_Lazy[R]):
    """One step of a run. `await` it, once; nothing happens before.

    >>> payment = await ctx.step("charge", charge_card, order).retry(3).compensate(refund)  # doctest: +SKIP
    """

    def __init__(
        self,
        conductor: Conductor,
        name: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        super().__init__(conductor, f"step {name!r}")
        if not callable(function):
            raise StepMisused(
                f"step {name!r} is given {function!r}: pass the function, then its arguments: step(name, fn, 1, 2)"
            )
        self.spec = StepSpec(name, function, args, kwargs, self.place)

    @property
    def started(self) -> bool:
        """Whether it was awaited."""
        return self._started

    def retry(self, number: int, *, backoff: Strategy | None = None) -> Self:
        """Runs the step again, in place, up to `number` times when it raises; `backoff` says how long it pauses."""
        self.spec.retries = self._retries(number)
        self.spec.backoff = backoff
        return self

    def timeout(self, limit: Duration) -> Self:
        """Bounds each attempt of the step (seconds, timedelta or "30s"); one that takes longer fails."""
        self.spec.timeout = self._duration(limit)
        return self

    def compensate(self, undo: Callable[Concatenate[R, P], object], *args: P.args, **kwargs: P.kwargs) -> Self:
        """Takes the step back when the run fails or is cancelled after it: `undo(result, *args, **kwargs)`."""
        self._change()
        if not callable(undo):
            raise StepMisused(f"step {self.spec.name!r}: compensate is given {undo!r}, which is no function")
        self.spec.undo = Undo(undo, args, kwargs)
        return self

    def on_workers(self) -> Self:
        """Runs the step's @job as a job, on any worker that serves its queue, instead of in place."""
        self._change()
        self.spec.workers = True
        return self

    def __await__(self) -> Generator[Any, Any, R]:
        self._start()
        return cast("Generator[Any, Any, R]", self._conductor.step(self.spec).__await__())


@dataclass(slots=True)
class FanSpec:
    """A fan_out as its options have made it."""

    name: str
    target: Any
    """A function, a JobDefinition or a WorkflowDefinition."""
    items: Iterable[Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    place: str = ""
    limit: int = BRANCHES
    collect: bool = False
    retries: int | None = None
    backoff: Strategy | None = None
    timeout: float | None = None
    workers: bool = False

    def step(self, index: int, item: Any) -> StepSpec:
        """The step that works on the item with that index."""
        return StepSpec(
            f"{self.name}[{index}]",
            self.target,
            (item, *self.args),
            self.kwargs,
            self.place,
            self.retries,
            self.backoff,
            self.timeout,
            workers=self.workers,
            group=self.name,
        )


class FanOut(_Lazy[list[R]], Generic[R]):
    """One function over many items. `await` it, once; the results come in the order of the items."""

    def __init__(
        self,
        conductor: Conductor,
        name: str,
        target: Any,
        items: Iterable[Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        super().__init__(conductor, f"fan_out {name!r}")
        self.spec = FanSpec(name, target, items, args, kwargs, self.place)

    @property
    def started(self) -> bool:
        """Whether it was awaited."""
        return self._started

    def limit(self, branches: int) -> Self:
        """Works on at most that many items at once (default 10)."""
        self._change()
        if branches < 1:
            raise StepMisused(f"{self._verb}: limit({branches}); at least one item must be worked on")
        self.spec.limit = branches
        return self

    def on_error(self, rule: Literal["fail", "collect"]) -> FanOut[R | StepFailed]:
        """ "fail" (default): finishes the other items, then raises the first failure. "collect": failures stand in the
        list in place of results, as StepFailed."""
        self._change()
        if rule not in ("fail", "collect"):
            raise StepMisused(f'{self._verb}: on_error({rule!r}); it is "fail" or "collect"')
        self.spec.collect = rule == "collect"
        return cast("FanOut[R | StepFailed]", self)

    def retry(self, number: int, *, backoff: Strategy | None = None) -> Self:
        """As Step.retry, for each item."""
        self.spec.retries = self._retries(number)
        self.spec.backoff = backoff
        return self

    def timeout(self, limit: Duration) -> Self:
        """As Step.timeout, for each item."""
        self.spec.timeout = self._duration(limit)
        return self

    def on_workers(self) -> Self:
        """Runs each item's @job as a job, on any worker, instead of in place."""
        self._change()
        self.spec.workers = True
        return self

    def __await__(self) -> Generator[Any, Any, list[R]]:
        self._start()
        return cast("Generator[Any, Any, list[R]]", self._conductor.fan_out(self.spec).__await__())


_OWN = __file__.rpartition("/")[0]


def _caller() -> str:
    """Where the body stands, as `file:line`."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
