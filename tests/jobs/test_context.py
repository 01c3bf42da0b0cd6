"""What a handler can ask about its job, and what a waiter gets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from dispatch.errors import JobCancelled, JobExpired, JobFailed, ResultNotKept, WaitRefused
from dispatch.ids import JobID
from dispatch.jobs.context import JobContext, current_job, enter_job, running_job
from dispatch.jobs.handle import outcome_of, refuse_in_handler
from dispatch.jobs.model import Failure, Job, JobState
from dispatch.scope import Scope

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make(**facts: Any) -> Job:
    basis: dict[str, Any] = {
        "id": JobID("job_01h455vb4pex5vsknk084sn02q"),
        "created_at": NOW,
        "updated_at": NOW,
        "name": "send",
        "queue": "mails",
        "state": JobState.RUNNING,
        "payload": b"{}",
        "run_at": NOW,
    }
    return Job(**{**basis, **facts})


def test_a_context_answers_from_the_row() -> None:
    job = make(failures=2, epoch=7, metadata={"a": 1}, scope=Scope("shop", "t"), scheduled_at=NOW, effect_key="job_x")
    context = JobContext(job)
    assert (context.id, context.name, context.queue) == (job.id, "send", "mails")
    assert (context.attempt, context.epoch, context.metadata) == (3, 7, {"a": 1})
    assert (context.scope, context.scheduled_at, context.effect_key) == (Scope("shop", "t"), NOW, "job_x")
    assert JobContext(make()).effect_key == make().id


def test_progress_is_a_fraction_and_is_passed_on() -> None:
    reports: list[tuple[float, str | None]] = []
    context = JobContext(make(), progress=lambda job, fraction, note: reports.append((fraction, note)))
    context.progress(0)
    context.progress(1.0, "done")
    assert reports == [(0, None), (1.0, "done")]
    for wrong in (-0.1, 1.1, float("nan"), 40):
        with pytest.raises(ValueError, match="give a fraction between 0 and 1"):
            context.progress(wrong)


def test_resources_are_found_by_their_type() -> None:
    class Mailer: ...

    class LoudMailer(Mailer): ...

    mailer = LoudMailer()
    context = JobContext(make(), resources=["text", mailer])
    assert context.resources(Mailer) is mailer
    assert context.resources(str) == "text"
    with pytest.raises(LookupError, match=r"no @lifespan function yields a int \(they yield str, LoudMailer\)"):
        context.resources(int)


def test_outside_a_handler_there_is_no_current_job() -> None:
    assert running_job() is None
    with pytest.raises(LookupError, match="only known inside a job's handler"):
        current_job()


def test_waiting_inside_a_handler_is_refused_and_says_what_to_do() -> None:
    refuse_in_handler(make().id)
    context = JobContext(make())
    enter_job(context)
    try:
        assert current_job() is context
        with pytest.raises(WaitRefused, match=r"send .* may not wait for .*enqueue the follow-up"):
            refuse_in_handler(make().id)
    finally:
        enter_job(None)


def test_a_context_tells_a_thread_to_stop() -> None:
    context = JobContext(make())
    assert context.cancelled is False
    context.cancel()
    assert context.cancelled is True


FAILURE = Failure("ValueError", "no such customer", "Traceback …")


@pytest.mark.parametrize(
    ("facts", "kind", "message"),
    [
        ({"state": JobState.FAILED, "error": FAILURE}, JobFailed, "failed: ValueError: no such customer"),
        ({"state": JobState.FAILED, "reason": "worker_lost"}, JobFailed, "failed: worker_lost"),
        ({"state": JobState.CANCELLED, "reason": "cancelled"}, JobCancelled, r"was cancelled \(cancelled\)"),
        ({"state": JobState.CANCELLED, "reason": "expired"}, JobExpired, "not started within its expires_in"),
        ({"state": JobState.COMPLETED, "result": None}, ResultNotKept, "keep_result=False"),
    ],
)
def test_every_end_without_a_value_is_an_error_of_its_own(facts: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        outcome_of(make(**facts))


def test_a_failure_keeps_its_type_and_traceback() -> None:
    with pytest.raises(JobFailed) as caught:
        outcome_of(make(state=JobState.FAILED, error=FAILURE))
    assert (caught.value.type, caught.value.traceback) == ("ValueError", "Traceback …")


@pytest.mark.parametrize(("load", "expected"), [(None, {"a": 1}), (lambda data: data.decode(), '{"a":1}')])
def test_a_completed_job_gives_its_value(load: Callable[[bytes], Any] | None, expected: Any) -> None:
    assert outcome_of(make(state=JobState.COMPLETED, result=b'{"a":1}'), load) == expected


def test_only_three_states_are_final() -> None:
    assert [state for state in JobState if state.terminal] == ["completed", "failed", "cancelled"]
    assert len(JobState) == 6
