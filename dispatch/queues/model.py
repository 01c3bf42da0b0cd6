"""Queues: their limits and pauses as stored facts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from dispatch.clock import LONGEST
from dispatch.entity import MOST, shown
from dispatch.errors import InvalidArguments

SLOWEST = 1 / LONGEST
"""No rate is lower, other than 0: one start in a hundred years."""
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """The limits of one queue, kept fleet-wide by the store; None = unlimited."""

    name: str
    max_concurrency: int | None = None
    """Jobs in state running at once, over all workers."""
    rate_limit: float | None = None
    """Starts a second."""
    rate_burst: int | None = None
    """Tokens the bucket holds (default: one second's worth, at least 1)."""
    fair: bool = False
    """Tenants take turns."""
    tenant_concurrency: int | None = None
    """As max_concurrency, for each tenant."""


def checked_queue(name: object) -> str:
    """The name of a queue; InvalidArguments for what cannot be one."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidArguments(f"{shown(name)} is no queue name: 1 to 128 of letters, digits and _ . : -")
    return name


def checked_count(what: str, value: object, *, least: int = 1) -> int:
    """A limit that counts something; InvalidArguments for what is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
        raise InvalidArguments(f"{what} is {shown(value)}; it is a whole number from {least} to {MOST:,}")
    return value


def checked(config: QueueConfig) -> QueueConfig:
    """The limits as they are; InvalidArguments names what no store could keep."""
    checked_queue(config.name)
    for what, least in (("max_concurrency", 0), ("rate_burst", 1), ("tenant_concurrency", 0)):
        value = getattr(config, what)
        if value is not None:
            checked_count(f"{what} of queue {config.name!r}", value, least=least)
    rate = config.rate_limit
    if rate is None:
        return config
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not (rate == 0 or SLOWEST <= rate <= MOST):
        raise InvalidArguments(
            f"rate_limit of queue {config.name!r} is {shown(rate)}; it is starts a second: 50, 0.5 for one in two "
            f"seconds, at most {MOST:,}, at least one in a hundred years"
        )
    return config


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a queue stands still."""

    by: str = ""
    reason: str = ""
    until: datetime | None = None
    since: datetime | None = None

    def outlasts(self, by: str, until: datetime | None) -> bool:
        """Whether it is another's than `by` and ends later than `until`: then such a pause takes its place only when
        that is asked for."""
        return self.by != by and until is not None and (self.until is None or self.until > until)

    def in_words(self) -> str:
        """Who, until when and why.

        >>> Pause("ada", "deploy").in_words()
        'ada until resumed: deploy'
        """
        end = "until resumed" if self.until is None else f"until {self.until:%Y-%m-%d %H:%M:%S} UTC"
        return f"{self.by or 'somebody'} {end}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """A queue as an operator sees it."""

    config: QueueConfig
    pause: Pause | None = None
    pending: int = 0
    retrying: int = 0
    running: int = 0
    set_aside: int = 0
    blocked: int = 0
    """Waiting jobs (counted as pending or retrying too) whose concurrency keys are full."""
    oldest_due_at: datetime | None = None
    """run_at of the job that has been claimable longest."""
    slots: list[str] = field(default_factory=list)
    """Holders of leased slots."""
    tokens: float | None = None
    """Starts that the rate allows at once now; None: the queue has no rate."""
    at: datetime | None = None
    """The store's clock when this was read."""
