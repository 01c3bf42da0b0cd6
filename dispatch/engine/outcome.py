"""From what a handler did to what the store is told: pure decisions."""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

from dispatch import backoff as backoffs
from dispatch.clock import LONGEST, seconds
from dispatch.errors import Fail, HandlerTimeout, InvalidArguments, Retry, Snooze
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.model import Failure, Job, Transition, Verdict
from dispatch.jobs.options import EnqueueOptions

T = TypeVar("T")


class Ruled(Protocol):
    """What of a definition decides on an error: a job's or a workflow's."""

    @property
    def settings(self) -> EnqueueOptions: ...
    @property
    def retry_on(self) -> tuple[type[BaseException], ...] | None: ...
    @property
    def fail_on(self) -> tuple[type[BaseException], ...]: ...


_OWN_FOLDER = str(Path(__file__).parent.parent)


class Wish(StrEnum):
    """What the handler, or its definition, wants to follow an exception."""

    BACKOFF = "backoff"
    RETRY = "retry"
    SNOOZE = "snooze"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception, seen: what it was and what shall follow."""

    failure: Failure
    wish: Wish = Wish.BACKOFF
    delay: float = 0.0
    """RETRY and SNOOZE: seconds."""
    dead_letter: bool = True
    """FAIL: whether it becomes a dead letter."""
    reason: str = "failed"


class RemoteFailure(Exception):
    """Carries what was raised in another process."""

    def __init__(self, raised: Raised) -> None:
        super().__init__(f"{raised.failure.type}: {raised.failure.message}")
        self.raised = raised


@dataclass(frozen=True, slots=True)
class Policy:
    """What applies where neither the row nor the definition says anything."""

    max_retries: int = 3
    backoff: backoffs.Strategy = field(default_factory=backoffs.default_strategy)
    traceback_limit: int = 16 * 1024
    """Bytes of traceback kept with a failure."""


def observe(error: BaseException, definition: Ruled | None, *, limit: int = 16 * 1024) -> Raised:
    """What an exception of a handler means, by its type and by the definition's retry_on and fail_on."""
    match error:
        case RemoteFailure():
            return error.raised
        case Snooze() | Retry() if error.delay is not None:
            wish = Wish.SNOOZE if isinstance(error, Snooze) else Wish.RETRY
            try:
                return Raised(failure_of(error, limit=limit), wish, delay=_finite(seconds(error.delay)))
            except (ValueError, TypeError) as wrong:
                return Raised(Failure(type(error).__qualname__, f"{_text(error)} (its delay cannot be used: {wrong})"))
        case Snooze() | Retry():
            return Raised(failure_of(error, limit=limit))
        case Fail():
            return Raised(failure_of(error, limit=limit), Wish.FAIL, dead_letter=error.dead_letter)
    failure = failure_of(error, limit=limit)
    if definition is not None:
        if isinstance(error, definition.fail_on):
            return Raised(failure, Wish.FAIL)
        if definition.retry_on is not None and not isinstance(error, definition.retry_on):
            return Raised(failure, Wish.FAIL)
    return Raised(failure)


def decide(
    raised: Raised,
    job: Job,
    definition: Ruled | None,
    policy: Policy,
    *,
    rng: Callable[[], float] = random.random,
) -> Transition:
    """The transition that follows from what was raised: the row's options win over the definition's, then the app's."""
    if raised.wish is Wish.SNOOZE:
        return Transition(job.id, job.epoch, Verdict.SNOOZE, delay=raised.delay)
    if raised.wish is Wish.FAIL:
        return _fail(job, raised.failure, raised.reason, dead_letter=raised.dead_letter)
    settings = definition.settings if definition is not None else None
    allowed = first(job.max_retries, settings.max_retries if settings else None, policy.max_retries)
    if job.failures >= allowed:
        return _fail(job, raised.failure, "exhausted", dead_letter=True)
    if raised.wish is Wish.RETRY:
        delay = raised.delay
    else:
        try:
            chosen = backoffs.from_json(job.backoff) if job.backoff else (settings.backoff if settings else None)
            delay = _finite((chosen or policy.backoff).delay(job.failures + 1, rng).total_seconds())
        except Exception as error:  # a strategy is the user's code: its mistake must not lose the outcome
            delay = backoffs.default_strategy().delay(job.failures + 1, rng).total_seconds()
            message = f"{raised.failure.message} (its backoff failed, so the default was taken: {error!r})"
            raised = replace(raised, failure=replace(raised.failure, message=message))
    return Transition(job.id, job.epoch, Verdict.RETRY, delay=delay, failure=raised.failure)


def returned(job: Job, definition: JobDefinition[..., object], value: object, *, limit: int) -> Transition:
    """The transition of a handler that returned `value`; one that cannot be stored fails the job (the work was done,
    so it is not repeated)."""
    if not first(job.keep_result, definition.settings.keep_result, True):
        return Transition(job.id, job.epoch, Verdict.COMPLETE)
    if isinstance(value, Stored):
        data = value.data
    elif value is None:
        data = b"null"
    else:
        try:
            data = definition.signature.dump_result(value)
        except TypeError as error:
            return not_storable(job, str(error))
    if len(data) > limit:
        return not_storable(
            job,
            f"the result of {job.name} takes {len(data):,} bytes as JSON, more than limits.result ({limit:,}); store "
            "it elsewhere and return its name",
        )
    return Transition(job.id, job.epoch, Verdict.COMPLETE, result=data)


@dataclass(frozen=True, slots=True)
class Stored:
    """A result that is JSON already, from another process."""

    data: bytes


def not_storable(job: Job, message: str) -> Transition:
    """The work was done but its result cannot be kept."""
    return _fail(job, Failure("ResultNotStorable", message), "result_not_storable", dead_letter=True)


def invalid_payload(job: Job, error: InvalidArguments) -> Transition:
    """The stored arguments do not fit the definition (any more); they go to the dead letters as they are."""
    return _fail(job, Failure("InvalidArguments", str(error)), "invalid_payload", dead_letter=True)


def failure_of(error: BaseException, *, limit: int) -> Failure:
    """Type, message and traceback of an exception, the traceback cut to its last `limit` bytes."""
    message = _text(error)
    if not limit:
        return Failure(type(error).__qualname__, message)
    timed_out = isinstance(error, HandlerTimeout)
    trace = _where_cut(error) if timed_out else _users_part(error.__traceback__) or error.__traceback__
    text = _storable("".join(traceback.format_exception(type(error), error, trace, chain=not timed_out)))
    data = text.encode()
    if len(data) > limit:
        text = "… (cut)\n" + data[-limit:].decode(errors="ignore")
    return Failure(type(error).__qualname__, message, text)


def _text(error: BaseException) -> str:
    try:
        return _storable(str(error)[:4096])
    except Exception as broken:
        return f"(its text cannot be had: {type(broken).__qualname__})"


def _storable(text: str) -> str:
    """Text that UTF-8 and every database can hold: half surrogate pairs and NUL are written out."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def _users_part(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from the first frame that is not Dispatch's own; None when there is none."""
    part = trace
    while part is not None and part.tb_frame.f_code.co_filename.startswith(_OWN_FOLDER):
        part = part.tb_next
    return part


def _where_cut(error: BaseException) -> TracebackType | None:
    """Where in the user's code a timeout's cancellation arrived; None for a thread, which has no such place."""
    link: BaseException | None = error
    found = None
    while link is not None:
        found = _users_part(link.__traceback__) or found
        link = link.__cause__ or link.__context__
    return found


def first(chosen: T | None, *others: T | None) -> T:
    """The first value that is not None; the last one must not be."""
    for value in (chosen, *others):
        if value is not None:
            return value
    raise ValueError("every value is None")


def _finite(delay: float) -> float:
    if not abs(delay) <= LONGEST:
        raise ValueError(f"{delay} seconds is no pause")
    return max(delay, 0.0)


def _fail(job: Job, failure: Failure, reason: str, *, dead_letter: bool) -> Transition:
    return Transition(job.id, job.epoch, Verdict.FAIL, failure=failure, dead_letter=dead_letter, reason=reason)
