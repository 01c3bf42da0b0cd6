"""The cron definition: a timetable over a job or workflow, as discovery shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from dispatch.clock import Duration, seconds
from dispatch.crons.model import Misfire, Overlap
from dispatch.crons.schedule import InvalidSchedule, parse
from dispatch.errors import InvalidDefinition
from dispatch.jobs.base import NAME, Definition
from dispatch.jobs.definition import Call


class CronDefinition:
    """When to call what. `call` makes the arguments; without it the target must take none."""

    kind = "cron"

    def __init__(
        self,
        schedule: str,
        target: Definition,
        *,
        name: str | None = None,
        timezone: str = "UTC",
        overlap: Overlap = "skip",
        misfire: Misfire = "once",
        jitter: Duration = 0,
        call: Callable[[], Call[object]] | None = None,
    ) -> None:
        self.name = name or target.name
        if not NAME.fullmatch(self.name):
            raise InvalidDefinition(
                f"{self.name!r} cannot be a cron entry's name: 1 to 128 of letters, digits and _ . : -"
            )
        check_schedule(self.name, schedule, timezone)
        needed = target.signature.required
        if call is None and needed:
            raise InvalidDefinition(
                f"{self.name}: {target.name} needs arguments ({', '.join(needed)}); "
                f"give them as call=lambda: {target.name}.call(...)"
            )
        for option, value, words in (("overlap", overlap, get_args(Overlap)), ("misfire", misfire, get_args(Misfire))):
            if value not in words:
                raise InvalidDefinition(f"{self.name}: {option} is {value!r}; it is one of {', '.join(words)}")
        self.schedule = schedule
        self.target = target
        self.timezone = timezone
        self.overlap = overlap
        self.misfire = misfire
        self.jitter = _jitter(self.name, jitter)
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


def check_schedule(name: str, schedule: str, timezone: str) -> None:
    """Raises InvalidDefinition unless `schedule` means something on the wall clock of `timezone`."""
    try:
        parse(schedule, timezone)
    except InvalidSchedule as error:
        raise InvalidDefinition(f"{name}: {error}") from None


def _jitter(name: str, value: Duration) -> float:
    try:
        length = seconds(value)
    except ValueError as error:
        raise InvalidDefinition(f"{name}: jitter: {error}") from None
    if not 0 <= length < float("inf"):
        raise InvalidDefinition(f"{name}: jitter is {value!r}; it must be a finite duration that is not negative")
    return length
