"""The tree of errors: as drawn, documented, and caught the way the design says."""

from __future__ import annotations

import inspect
from datetime import timedelta

import pytest

from dispatch import errors
from dispatch.errors import DispatchError, DuplicateJob, Fail, HandlerSignal, JobFailed, NotFound, Retry, Snooze

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_says_when_it_is_raised(kind: type[Exception]) -> None:
    assert kind.__doc__
    assert kind.__doc__.strip()


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_is_a_dispatch_error_or_a_handler_s_signal(kind: type[Exception]) -> None:
    assert issubclass(kind, DispatchError) != issubclass(kind, HandlerSignal)


@pytest.mark.parametrize(
    "name",
    [
        "JobNotFound",
        "RunNotFound",
        "CronNotFound",
        "DLQNotFound",
        "WorkflowNotFound",
        "EventNotFound",
        "WorkerNotFound",
    ],
)
def test_what_is_not_found_is_a_lookup_error(name: str) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, NotFound)
    with pytest.raises(LookupError):
        raise kind("gone")


def test_timeouts_are_timeout_errors() -> None:
    assert issubclass(errors.WaitTimeout, TimeoutError)
    assert issubclass(errors.HandlerTimeout, TimeoutError)
    assert issubclass(errors.JobExpired, errors.JobCancelled)


def test_the_tree_at_the_top_of_the_file_names_every_branch() -> None:
    drawing = errors.__doc__ or ""
    branches = {kind.__bases__[0].__name__ for kind in CLASSES} - {"Exception"}
    assert [name for name in sorted(branches) if name not in drawing] == []


def test_errors_carry_what_a_caller_needs() -> None:
    assert DuplicateJob("twin", existing="job_1").existing == "job_1"
    failed = JobFailed("it failed: ValueError: no", type="ValueError", traceback="…")
    assert (failed.type, failed.traceback, str(failed)) == ("ValueError", "…", "it failed: ValueError: no")


def test_signals_say_what_the_handler_wants() -> None:
    assert Retry().delay is None
    assert Retry("later", delay="30s").delay == "30s"
    assert Snooze(timedelta(seconds=5)).delay == timedelta(seconds=5)
    assert Fail("no such customer").dead_letter is True
    assert Fail(dead_letter=False).dead_letter is False
    assert not issubclass(HandlerSignal, DispatchError)
