"""What status asks a person to look at: jobs set aside, and queues whose workers are all full."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatch.cluster.model import Worker, WorkerState
from dispatch.ids import WorkerID
from dispatch.queues import Pause, QueueConfig, QueueInfo
from dispatch.services.attention import attention
from dispatch.services.status import status_of

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FULL = "jobs of queue 'mails' have been due for over a minute and all workers that serve it are full (3 slots): "


def worker(running: int, **facts: Any) -> Worker:
    return Worker(
        WorkerID.new(),
        NOW,
        NOW,
        "host",
        1,
        WorkerState.ACTIVE,
        ("mails",),
        ("send",),
        3,
        NOW,
        30.0,
        running=running,
        **facts,
    )


def told(*workers: Worker, minutes: int = 5, pause: Pause | None = None, **facts: Any) -> list[str]:
    limits = QueueConfig("mails", max_concurrency=facts.pop("most", None))
    info = QueueInfo(limits, pause, pending=1, oldest_due_at=NOW - timedelta(minutes=minutes), **facts)
    return attention(status_of([info], workers, [], now=NOW))


def test_jobs_set_aside_come_with_the_command_that_names_them() -> None:
    (line,) = told(worker(0), set_aside=1)
    assert line.startswith("1 job of queue 'mails' set aside: ")
    assert line.endswith("knows the name: `dispatch job list --queue mails --state pending,retrying`")


def test_due_jobs_whose_workers_are_all_full_are_told() -> None:
    (line,) = told(worker(3))
    assert line == FULL + "`dispatch job stats`, `dispatch worker list`"
    (line,) = told(worker(3), worker(1, drain_requested=True))
    assert line.startswith(FULL), "a worker that stops takes nothing"


@pytest.mark.parametrize(
    "facts",
    [
        {"workers": (worker(3), worker(2))},
        {"workers": (worker(3),), "minutes": 0},
        {"workers": (worker(3),), "most": 3, "running": 3},
    ],
    ids=["a free slot", "due just now", "at its limit"],
)
def test_nothing_is_told_of_full_workers_where_something_else_holds_or_will_not_last(facts: dict[str, Any]) -> None:
    assert told(*facts.pop("workers"), **facts) == []


def test_a_paused_queue_is_told_as_paused_only() -> None:
    (line,) = told(worker(3), pause=Pause("ada"))
    assert line.startswith("queue 'mails' is paused by ada")
