"""Explanations: each gate says what closes it, with evidence; the first closed one is the summary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatch.cluster.model import Worker, WorkerState
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Failure, Job, JobState
from dispatch.queues import Pause, QueueConfig, QueueInfo
from dispatch.services.explain import explain, settled
from dispatch.services.gates import Facts

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOLDER = JobID("job_01h455vb4pex5vsknk084sn02q")


def job(**facts: Any) -> Job:
    basis: dict[str, Any] = {
        "id": JobID.new(),
        "created_at": NOW,
        "updated_at": NOW,
        "name": "send",
        "queue": "mails",
        "state": JobState.PENDING,
        "payload": b"{}",
        "run_at": NOW,
    }
    return Job(**{**basis, **facts})


def worker(queues: tuple[str, ...] = ("mails",), names: tuple[str, ...] = ("send",)) -> Worker:
    return Worker(WorkerID.new(), NOW, NOW, "host", 1, WorkerState.ACTIVE, queues, names, 10, NOW, 30.0)


def queue(*, running: int = 0, slots: int = 0, pause: Pause | None = None, **limits: Any) -> QueueInfo:
    return QueueInfo(QueueConfig("mails", **limits), pause, running=running, slots=[f"s{n}" for n in range(slots)])


def summary(row: Job, *, info: QueueInfo | None = None, workers: Any = None, ahead: int = 0) -> str:
    chosen = [worker()] if workers is None else workers
    return explain(Facts(row, info or queue(), chosen, NOW), ahead=ahead).summary


@pytest.mark.parametrize(
    ("facts", "surroundings", "expected"),
    [
        ({}, {}, "ready; next in queue 'mails'"),
        ({}, {"ahead": 1}, "ready; 1 job stands before it in queue 'mails'"),
        ({}, {"ahead": 7}, "ready; 7 jobs stand before it in queue 'mails'"),
        ({"behind": HOLDER}, {}, f"waits behind {HOLDER}, which holds the same unique key and is not over"),
        (
            {"run_at": NOW + timedelta(minutes=5)},
            {},
            "not due: scheduled, due in 5.0 min (2026-01-01T12:05:00.000000Z)",
        ),
        (
            {"run_at": NOW + timedelta(seconds=5), "failures": 2, "state": JobState.RETRYING},
            {},
            "not due: retry after failure 2, due in 5.0 s (2026-01-01T12:00:05.000000Z)",
        ),
        ({}, {"info": queue(pause=Pause())}, "queue 'mails' is paused until resumed"),
        (
            {},
            {"info": queue(pause=Pause("ops", "migration", NOW + timedelta(hours=2)))},
            "queue 'mails' is paused by ops (migration) for another 2.0 h (until 2026-01-01T14:00:00.000000Z)",
        ),
        ({}, {"info": queue(pause=Pause(until=NOW - timedelta(seconds=1)))}, "ready; next in queue 'mails'"),
        ({}, {"workers": []}, "no worker is alive: start one with `dispatch run yourapp.tasks`"),
        (
            {},
            {"workers": [worker(queues=("other",))]},
            "no live worker that knows 'send' serves queue 'mails': start one with -q mails",
        ),
        (
            {"set_aside": True},
            {"workers": [worker(names=("other",))]},
            "no live worker announces 'send': start one whose module defines it (set aside until then)",
        ),
        (
            {"crashes": 2},
            {},
            "lost 2 workers, so it runs alone: it waits for a worker with nothing else in flight",
        ),
        (
            {},
            {"info": queue(running=4, slots=1, max_concurrency=5)},
            "limit 5/5 of queue 'mails' is held by slot of s0 and 4 more",
        ),
    ],
)
def test_a_waiting_job_says_what_it_waits_for(facts: Any, surroundings: Any, expected: str) -> None:
    assert summary(job(**facts), **surroundings) == expected


def test_the_first_closed_gate_is_the_reason_and_all_are_listed() -> None:
    late = job(run_at=NOW + timedelta(hours=1))
    explanation = explain(Facts(late, queue(pause=Pause()), [], NOW), ahead=0)
    assert [(gate.name, gate.open) for gate in explanation.gates] == [
        ("unique", True),
        ("expiry", True),
        ("due", False),
        ("pause", False),
        ("served", False),
        ("slots", True),
        ("quarantine", True),
        ("limit", True),
        ("tenant", True),
        ("concurrency", True),
        ("rate", True),
    ]
    assert explanation.summary.startswith("not due")


def test_a_job_past_its_expiry_says_so_before_anything_else() -> None:
    late = job(run_at=NOW + timedelta(hours=1), expires_at=NOW - timedelta(seconds=5))
    explanation = explain(Facts(late, queue(), [], NOW), ahead=0)
    assert explanation.summary == "expired 5.0 s ago without a start: the worker that finds it due cancels it"
    late.unique_key = "k"
    told = explain(Facts(late, queue(), [], NOW), ahead=0).summary
    assert told.endswith("the worker that finds it due, or whoever enqueues its unique key, cancels it")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (
            {"state": JobState.RUNNING, "started_at": NOW - timedelta(seconds=3), "worker_id": WorkerID("wkr_1")},
            "runs for 3.0 s on wkr_1, attempt 1",
        ),
        (
            {"state": JobState.RUNNING, "worker_id": WorkerID("wkr_1"), "failures": 1, "cancel_requested": True},
            "runs on wkr_1, attempt 2; its cancellation was requested",
        ),
        (
            {
                "state": JobState.RUNNING,
                "worker_id": WorkerID("wkr_1"),
                "lease_until": NOW - timedelta(seconds=9),
            },
            "runs on wkr_1, attempt 1; its lease lapsed 9.0 s ago and the next idle worker takes it over",
        ),
        ({"state": JobState.COMPLETED, "finished_at": NOW - timedelta(days=2)}, "completed 2.0 d ago"),
        (
            {"state": JobState.FAILED, "finished_at": NOW, "error": Failure("ValueError", "no")},
            "failed 0.0 s ago: ValueError: no",
        ),
        ({"state": JobState.CANCELLED, "reason": "expired"}, "cancelled (expired)"),
    ],
)
def test_a_job_that_does_not_wait_says_where_it_is(facts: Any, expected: str) -> None:
    assert settled(job(**facts), NOW) == expected
