"""The lines of `dispatch run` about jobs: no word twice, where it happened, and when it goes on."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dispatch_cli.job_log import Events, soon
from dispatch_cli.places import below_here, last_own_line

from dispatch.clock import utc_now
from dispatch.ids import JobID
from dispatch.jobs.model import Failure, Job, JobState

TRACE = """Traceback (most recent call last):
  File "{here}/first.py", line 1, in earlier
ValueError

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "{here}/shop/tasks.py", line 12, in total
    return sum(PRICES[item] for item in items)
  File "{here}/.venv/lib/python3.11/site-packages/httpx/_client.py", line 900, in send
    raise error
  File "{library}", line 355, in raw_decode
KeyError: 'cocoa'
"""


def traceback_here() -> str:
    return TRACE.format(here=Path.cwd(), library=json.__file__)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """What the plugin tells."""
    monkeypatch.setattr(logging.getLogger("dispatch"), "propagate", True)
    caplog.set_level(logging.INFO, "dispatch.event")
    return caplog


def a_job(**facts: Any) -> Job:
    now = utc_now()
    known: dict[str, Any] = {"name": "total", "queue": "default", "state": JobState.FAILED, "payload": b"{}"}
    return Job(id=JobID.new(), created_at=now, updated_at=now, run_at=now, **{**known, **facts})


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("total: x: not a number", "Boom: x: not a number"),
        ("total ({id}) took longer than its timeout", "Boom: took longer than its timeout"),
        ("the subprocess died while it ran total ({id})", "Boom: the subprocess died while it ran this job"),
        ("", "Boom"),
        ("first\nsecond", "Boom: first"),
    ],
)
def test_a_line_names_the_job_once(message: str, shown: str, told: pytest.LogCaptureFixture) -> None:
    job = a_job(reason="exhausted")
    Events(as_json=False).job_failed(job, Failure("Boom", message.format(id=job.id)))
    assert told.messages == [f"total {job.id}  {shown} (exhausted)"]


def test_a_reason_that_repeats_the_state_is_left_out(told: pytest.LogCaptureFixture) -> None:
    events = Events(as_json=False)
    failed, cancelled, expired = (a_job(reason=reason) for reason in ("failed", "cancelled", "expired"))
    events.job_failed(failed, Failure("Boom", "no"))
    events.job_cancelled(cancelled)
    events.job_cancelled(expired)
    assert told.messages == [f"total {failed.id}  Boom: no", f"total {cancelled.id}", f"total {expired.id}  expired"]
    assert [getattr(record, "reason", None) for record in told.records] == ["failed", "cancelled", "expired"]


def test_a_retry_says_where_it_failed_and_when_it_goes_on(told: pytest.LogCaptureFixture) -> None:
    failure = Failure("KeyError", "'cocoa'", traceback_here())
    job = a_job(state=JobState.RETRYING, error=failure)
    for as_json in (False, True):
        Events(as_json=as_json).job_retrying(job, 1, utc_now() + timedelta(seconds=3.04))
    assert told.messages == [
        f"total {job.id}  attempt 1: KeyError: 'cocoa' at shop/tasks.py:12 in total; again in 3.0 s",
        f"total {job.id}  attempt 1: KeyError: 'cocoa'; again in 3.0 s",
    ]
    assert all(record.traceback == failure.traceback for record in told.records)  # type: ignore[attr-defined]


def test_a_line_carries_the_trace_of_its_job_where_it_has_one(told: pytest.LogCaptureFixture) -> None:
    events, trace = Events(as_json=True), "4bf92f3577b34da6a3ce929d0e0e4736"
    traced = a_job(metadata={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    events.job_completed(traced, 0.1)
    events.job_failed(traced, Failure("Boom", "no"))
    events.job_dlq(traced, Failure("Boom", "no"))
    events.job_completed(a_job(), 0.1)
    assert [getattr(record, "trace_id", None) for record in told.records] == [trace, trace, trace, None]


def test_a_moment_that_is_near_is_told_to_the_tenth_of_a_second() -> None:
    now = utc_now()
    assert soon(now) == "at once"
    assert soon(now + timedelta(seconds=0.34)) == "in 0.3 s"
    assert soon(now + timedelta(seconds=90.5)) == "in 2 min"


def test_the_last_line_of_ones_own_code_is_in_no_library() -> None:
    assert last_own_line(traceback_here()) == "shop/tasks.py:12 in total"
    assert last_own_line(None) == last_own_line("killed by a signal") == ""
    only = f'Traceback (most recent call last):\n  File "{json.__file__}", line 1, in loads\nE'
    assert last_own_line(only) == f"{json.__file__}:1 in loads"


def test_paths_below_the_current_folder_are_told_from_there() -> None:
    assert below_here(f"{Path.cwd()}/shop/tasks.py") == "shop/tasks.py"
    assert below_here("/elsewhere/tasks.py") == "/elsewhere/tasks.py"
