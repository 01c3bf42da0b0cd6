"""Outcomes as tables: from what a handler did to what the store is told."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatch.backoff import Constant, Exponential, to_json
from dispatch.engine.outcome import (
    Policy,
    Raised,
    RemoteFailure,
    Stored,
    Wish,
    decide,
    failure_of,
    first,
    invalid_payload,
    not_storable,
    observe,
    returned,
)
from dispatch.errors import Fail, HandlerCrashed, HandlerTimeout, InvalidArguments, Retry, Snooze
from dispatch.ids import JobID
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.model import Failure, Job, JobState, Transition, Verdict
from dispatch.registry import Registry

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = Policy(max_retries=3, backoff=Constant(7))
FAILURE = Failure("ValueError", "no")


def row(**facts: Any) -> Job:
    basis: dict[str, Any] = {
        "id": JobID("job_01h455vb4pex5vsknk084sn02q"),
        "created_at": NOW,
        "updated_at": NOW,
        "name": "work",
        "queue": "default",
        "state": JobState.RUNNING,
        "payload": b"{}",
        "run_at": NOW,
        "epoch": 5,
    }
    return Job(**{**basis, **facts})


def definition(**settings: Any) -> JobDefinition[..., Any]:
    def work() -> int: ...  # type: ignore[empty-body]

    made: JobDefinition[..., Any] = Registry().job(**settings)(work)
    return made


# observe


@pytest.mark.parametrize(
    ("error", "wish", "delay", "dead_letter"),
    [
        (ValueError("no"), Wish.BACKOFF, 0.0, True),
        (HandlerTimeout("slow"), Wish.BACKOFF, 0.0, True),
        (HandlerCrashed("exit"), Wish.BACKOFF, 0.0, True),
        (asyncio.CancelledError(), Wish.BACKOFF, 0.0, True),
        (Retry("later"), Wish.BACKOFF, 0.0, True),
        (Retry(delay=0), Wish.RETRY, 0.0, True),
        (Retry(delay="1m"), Wish.RETRY, 60.0, True),
        (Retry(delay=-5), Wish.RETRY, 0.0, True),
        (Snooze(timedelta(hours=1)), Wish.SNOOZE, 3600.0, True),
        (Snooze("30s"), Wish.SNOOZE, 30.0, True),
        (Fail("why"), Wish.FAIL, 0.0, True),
        (Fail("expected", dead_letter=False), Wish.FAIL, 0.0, False),
    ],
)
def test_what_was_raised_says_what_shall_follow(
    error: BaseException, wish: Wish, delay: float, dead_letter: bool
) -> None:
    raised = observe(error, definition())
    assert (raised.wish, raised.delay, raised.dead_letter) == (wish, delay, dead_letter)
    assert raised.failure.type == type(error).__name__


@pytest.mark.parametrize(
    ("settings", "error", "wish"),
    [
        ({"fail_on": (KeyError,)}, KeyError("x"), Wish.FAIL),
        ({"fail_on": (LookupError,)}, KeyError("x"), Wish.FAIL),
        ({"fail_on": (KeyError,)}, ValueError("x"), Wish.BACKOFF),
        ({"retry_on": (KeyError,)}, KeyError("x"), Wish.BACKOFF),
        ({"retry_on": (KeyError,)}, ValueError("x"), Wish.FAIL),
        ({"retry_on": ()}, ValueError("x"), Wish.FAIL),
        ({"retry_on": (OSError,), "fail_on": (FileNotFoundError,)}, FileNotFoundError(), Wish.FAIL),
        ({"retry_on": (KeyError,)}, Retry(delay=1), Wish.RETRY),
        ({"fail_on": (Exception,)}, Snooze(1), Wish.SNOOZE),
    ],
)
def test_a_definition_chooses_by_type_and_a_signal_wins_over_it(settings: Any, error: Exception, wish: Wish) -> None:
    assert observe(error, definition(**settings)).wish is wish


@pytest.mark.parametrize("delay", ["soon", float("nan"), float("inf"), 1e12, object()])
@pytest.mark.parametrize("signal", [Retry, Snooze])
def test_a_delay_that_makes_no_sense_is_a_failed_attempt_that_says_so(signal: Any, delay: Any) -> None:
    raised = observe(signal(delay=delay), None)
    assert raised.wish is Wish.BACKOFF
    assert "its delay cannot be used" in raised.failure.message
    assert decide(raised, row(), None, POLICY).verdict is Verdict.RETRY


class Broken:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def delay(self, attempt: int, rng: Any = None) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("answer", [RuntimeError("bug"), None, 5.0, "1s"])
def test_a_strategy_that_fails_does_not_lose_the_outcome(answer: Any) -> None:
    transition = decide(Raised(FAILURE), row(failures=1), definition(backoff=Broken(answer)), POLICY, rng=lambda: 0.5)
    assert (transition.verdict, transition.delay) == (Verdict.RETRY, 1.0)
    assert transition.failure is not None
    assert "its backoff failed, so the default was taken" in transition.failure.message


def test_a_strategy_that_answers_less_than_nothing_means_at_once() -> None:
    strategy = Broken(timedelta(seconds=-5))
    assert decide(Raised(FAILURE), row(), definition(backoff=strategy), POLICY).delay == 0.0


def test_a_row_with_an_unknown_strategy_is_retried_all_the_same() -> None:
    assert decide(Raised(FAILURE), row(backoff={"kind": "lunar"}), None, POLICY).verdict is Verdict.RETRY


def test_what_another_process_saw_is_taken_as_it_is() -> None:
    raised = Raised(FAILURE, Wish.RETRY, delay=3.0)
    assert observe(RemoteFailure(raised), definition(fail_on=(Exception,))) is raised


# decide


@pytest.mark.parametrize(
    ("raised", "facts", "settings", "expected"),
    [
        (Raised(FAILURE), {}, {}, (Verdict.RETRY, 7.0, None, False)),
        (Raised(FAILURE), {"failures": 2}, {}, (Verdict.RETRY, 7.0, None, False)),
        (Raised(FAILURE), {"failures": 3}, {}, (Verdict.FAIL, 0.0, "exhausted", True)),
        (Raised(FAILURE), {"failures": 3}, {"max_retries": 4}, (Verdict.RETRY, 7.0, None, False)),
        (Raised(FAILURE), {"failures": 0}, {"max_retries": 0}, (Verdict.FAIL, 0.0, "exhausted", True)),
        (Raised(FAILURE), {"max_retries": 0}, {"max_retries": 9}, (Verdict.FAIL, 0.0, "exhausted", True)),
        (Raised(FAILURE), {"failures": 5, "max_retries": 9}, {}, (Verdict.RETRY, 7.0, None, False)),
        (Raised(FAILURE), {}, {"backoff": Constant(2)}, (Verdict.RETRY, 2.0, None, False)),
        (
            Raised(FAILURE),
            {"failures": 2, "backoff": to_json(Exponential(base=1, max=60))},
            {"backoff": Constant(2)},
            (Verdict.RETRY, 4.0, None, False),
        ),
        (Raised(FAILURE, Wish.RETRY, delay=11), {}, {}, (Verdict.RETRY, 11.0, None, False)),
        (Raised(FAILURE, Wish.RETRY, delay=11), {"failures": 3}, {}, (Verdict.FAIL, 0.0, "exhausted", True)),
        (Raised(FAILURE, Wish.SNOOZE, delay=11), {"failures": 3}, {}, (Verdict.SNOOZE, 11.0, None, False)),
        (Raised(FAILURE, Wish.FAIL), {}, {}, (Verdict.FAIL, 0.0, "failed", True)),
        (Raised(FAILURE, Wish.FAIL, dead_letter=False), {}, {}, (Verdict.FAIL, 0.0, "failed", False)),
    ],
)
def test_the_row_wins_over_the_definition_and_that_over_the_app(
    raised: Raised, facts: Any, settings: Any, expected: tuple[Verdict, float, str | None, bool]
) -> None:
    transition = decide(raised, row(**facts), definition(**settings), POLICY)
    assert (transition.verdict, transition.delay, transition.reason, transition.dead_letter) == expected
    assert (transition.job_id, transition.epoch) == (row().id, 5)
    assert transition.failure == (None if transition.verdict is Verdict.SNOOZE else FAILURE)


def test_a_job_whose_definition_is_gone_follows_the_app() -> None:
    assert decide(Raised(FAILURE), row(), None, POLICY).delay == 7.0


def test_the_default_backoff_draws_from_the_generator_it_is_given() -> None:
    policy = Policy()
    assert decide(Raised(FAILURE), row(failures=2), None, policy, rng=lambda: 0.5).delay == 2.0
    assert decide(Raised(FAILURE), row(), None, policy, rng=lambda: 0.0).delay == 0.0


# returned


@pytest.mark.parametrize(
    ("value", "facts", "settings", "result"),
    [
        (7, {}, {}, b"7"),
        (None, {}, {}, b"null"),
        ({"a": [1]}, {}, {}, b'{"a":[1]}'),
        (Stored(b'"kept"'), {}, {}, b'"kept"'),
        (7, {"keep_result": False}, {}, None),
        (7, {}, {"keep_result": False}, None),
        (7, {"keep_result": True}, {"keep_result": False}, b"7"),
        (object(), {"keep_result": False}, {}, None),
    ],
)
def test_a_result_is_kept_unless_told_otherwise(value: Any, facts: Any, settings: Any, result: bytes | None) -> None:
    transition = returned(row(**facts), definition(**settings), value, limit=100)
    assert transition == Transition(row().id, 5, Verdict.COMPLETE, result=result)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "the result of work (object) cannot be stored as JSON"),
        (float("nan"), "the result of work (float) holds NaN or an infinity"),
        ("x" * 99, "the result of work takes 101 bytes as JSON, more than limits.result (100)"),
        (Stored(b"x" * 101), "takes 101 bytes"),
    ],
)
def test_work_whose_result_cannot_be_kept_is_not_done_again(value: Any, message: str) -> None:
    transition = returned(row(), definition(), value, limit=100)
    assert (transition.verdict, transition.reason, transition.dead_letter) == (
        Verdict.FAIL,
        "result_not_storable",
        True,
    )
    assert transition.failure is not None
    assert message in transition.failure.message


def test_the_two_failures_of_data_are_dead_letters() -> None:
    for transition, reason in (
        (not_storable(row(), "no"), "result_not_storable"),
        (invalid_payload(row(), InvalidArguments("no")), "invalid_payload"),
    ):
        assert (transition.verdict, transition.reason, transition.dead_letter) == (Verdict.FAIL, reason, True)


# failures


def test_a_failure_keeps_type_message_and_the_user_s_part_of_the_traceback() -> None:
    try:
        definition().signature.validate(["too", "many"], {})
    except InvalidArguments as error:
        failure = failure_of(error, limit=10_000)
    assert failure.type == "InvalidArguments"
    assert failure.traceback is not None
    assert failure.traceback.startswith("Traceback (most recent call last):")
    assert __file__ in failure.traceback


def test_a_long_traceback_is_cut_to_its_end() -> None:
    def deep(n: int) -> None:
        if n:
            deep(n - 1)
        raise ValueError("x" * 10_000)

    try:
        deep(20)
    except ValueError as error:
        failure = failure_of(error, limit=500)
        assert len(failure.message) == 4096
        assert failure.traceback is not None
        assert failure.traceback.startswith("… (cut)\n")
        assert len(failure.traceback.encode()) <= 520
        assert failure_of(error, limit=0).traceback is None


def test_an_exception_that_cannot_be_printed_is_a_failure_all_the_same() -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    raised = observe(Unprintable(), None)
    assert raised.failure.type.endswith("Unprintable")
    assert raised.failure.message == "(its text cannot be had: RuntimeError)"


def test_text_that_no_store_can_hold_does_not_reach_it() -> None:
    failure = observe(ValueError("half \ud800 a pair \x00"), None).failure
    assert failure.message == "half \\ud800 a pair \\x00"
    assert failure.traceback is not None
    failure.traceback.encode()


@pytest.mark.parametrize(("values", "expected"), [((None, 0, 5), 0), ((False, True), False), ((None, None, 3), 3)])
def test_the_first_value_that_somebody_gave_wins(values: tuple[Any, ...], expected: Any) -> None:
    assert first(*values) == expected
    with pytest.raises(ValueError, match="every value is None"):
        first(None, None)
