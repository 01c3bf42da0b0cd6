"""How long to wait before the next attempt: pure strategies, bounded at any attempt number."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Protocol, runtime_checkable

from dispatch.clock import Duration, seconds
from dispatch.errors import InvalidDefinition

_LARGEST_EXPONENT = 60


@runtime_checkable
class Strategy(Protocol):
    """Answers the pause after a failed attempt."""

    def delay(self, attempt: int, rng: Callable[[], float] = random.random) -> timedelta:
        """The pause after failure number `attempt` (1 = the first); `rng` gives floats in [0, 1)."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """The same pause every time."""

    interval: Duration

    def delay(self, attempt: int, rng: Callable[[], float] = random.random) -> timedelta:
        return timedelta(seconds=seconds(self.interval))


@dataclass(frozen=True, slots=True)
class Linear:
    """`base`, twice `base`, three times `base` …, at most `max`."""

    base: Duration = 1.0
    max: Duration = 60.0

    def delay(self, attempt: int, rng: Callable[[], float] = random.random) -> timedelta:
        return timedelta(seconds=min(seconds(self.max), seconds(self.base) * attempt))


@dataclass(frozen=True, slots=True)
class Exponential:
    """`base`, doubled each time, at most `max`."""

    base: Duration = 1.0
    max: Duration = 60.0

    def delay(self, attempt: int, rng: Callable[[], float] = random.random) -> timedelta:
        return timedelta(seconds=_doubled(self.base, self.max, attempt))


@dataclass(frozen=True, slots=True)
class ExponentialWithJitter:
    """A random pause between zero and what `Exponential` says ("full jitter"), so that failures spread out."""

    base: Duration = 1.0
    max: Duration = 60.0

    def delay(self, attempt: int, rng: Callable[[], float] = random.random) -> timedelta:
        return timedelta(seconds=_doubled(self.base, self.max, attempt) * rng())


def default_strategy() -> ExponentialWithJitter:
    """Full jitter over 1 s doubling to 1 min."""
    return ExponentialWithJitter()


def _doubled(base: Duration, ceiling: Duration, attempt: int) -> float:
    return min(seconds(ceiling), seconds(base) * 2.0 ** min(max(attempt - 1, 0), _LARGEST_EXPONENT))


_NAMES: dict[str, type[Constant] | type[Linear] | type[Exponential] | type[ExponentialWithJitter]] = {
    "constant": Constant,
    "linear": Linear,
    "exponential": Exponential,
    "exponential_with_jitter": ExponentialWithJitter,
}


def to_json(strategy: Strategy) -> dict[str, Any]:
    """A strategy as a small document, so that a single call can carry its own; only the built-in four can."""
    for name, kind in _NAMES.items():
        if type(strategy) is kind:
            return {
                "kind": name,
                **{field.name: seconds(getattr(strategy, field.name)) for field in fields(kind)},
            }
    raise InvalidDefinition(
        f"{type(strategy).__name__} cannot be stored with one call; give it to @job(backoff=...) instead, "
        f"or use one of {', '.join(_NAMES)}"
    )


def from_json(document: dict[str, Any]) -> Strategy:
    """The strategy that `to_json` described."""
    values = dict(document)
    return _NAMES[values.pop("kind")](**values)
