"""The cron definition: a timetable over a job or workflow, as discovery shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, get_args

from dispatch.clock import LONGEST, Duration, seconds
from dispatch.crons.model import Misfire, Overlap
from dispatch.crons.schedule import InvalidSchedule, parse
from dispatch.errors import InvalidDefinition
from dispatch.jobs.base import NAME, Definition
from dispatch.jobs.definition import Call
from dispatch.workflows.definition import WorkflowCall

CronCall: TypeAlias = Call[Any] | WorkflowCall[Any]
"""What a tick calls: `digest.call(42)` of a job or a workflow."""


class CronDefinition:
    """When to call what. `call` makes the arguments; without it the target must take none.

    What is None is as configured: `timezone`, `misfire` and `jitter` of `[cron]`.
    """

    kind = "cron"

    def __init__(
        self,
        schedule: str,
        target: Definition,
        *,
        name: str | None = None,
        timezone: str | None = None,
        overlap: Overlap = "skip",
        misfire: Misfire | None = None,
        misfire_window: Duration | None = None,
        jitter: Duration | None = None,
        call: Callable[[], CronCall] | None = None,
    ) -> None:
        self.name = name or target.name
        check_options(self.name, schedule, timezone or "UTC", overlap, misfire or "once")
        needed = target.signature.required
        if call is None and needed:
            raise InvalidDefinition(
                f"{self.name}: {target.name} needs arguments ({', '.join(needed)}); "
                f"give them as call=lambda: {target.name}.call(...)"
            )
        self.schedule = schedule
        self.target = target
        self.timezone = timezone
        self.overlap: Overlap = overlap
        self.misfire: Misfire | None = misfire
        self.misfire_window = span(self.name, "misfire_window", misfire_window)
        self.jitter = span(self.name, "jitter", jitter)
        self.make_call = call

    @property
    def key(self) -> tuple[object, ...]:
        """What must be unique in a registry."""
        return (self.name,)

    @property
    def place(self) -> str:
        """Where the target stands, as `file:line`."""
        return self.target.place

    @property
    def origin(self) -> tuple[str, str]:
        """File and qualified name of the target."""
        return self.target.origin


def check_options(name: str, schedule: str, timezone: str, overlap: Overlap, misfire: Misfire) -> None:
    """Raises InvalidDefinition unless the schedule means something in the zone and the options are known words."""
    if not NAME.fullmatch(name):
        raise InvalidDefinition(f"{name!r} cannot be a cron entry's name: 1 to 128 of letters, digits and _ . : -")
    try:
        parse(schedule, timezone)
    except InvalidSchedule as error:
        raise InvalidDefinition(f"{name}: {error}") from None
    for option, value, words in (("overlap", overlap, get_args(Overlap)), ("misfire", misfire, get_args(Misfire))):
        if value not in words:
            raise InvalidDefinition(f"{name}: {option} is {value!r}; it is one of {', '.join(words)}")


def span(name: str, option: str, value: Duration | None) -> float | None:
    """The seconds of an option, None when it was left open. Raises InvalidDefinition."""
    if value is None:
        return None
    try:
        length = seconds(value)
    except ValueError as error:
        raise InvalidDefinition(f"{name}: {option}: {error}") from None
    if not 0 <= length <= LONGEST:
        raise InvalidDefinition(f"{name}: {option} is {value!r}; it must be a finite duration that is not negative")
    return length
