"""A job to run and a logger to read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Job, JobState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def make_job() -> Callable[..., Job]:
    def make(**changes: Any) -> Job:
        facts: dict[str, Any] = {
            "id": JobID("job_01h455vb4pex5vsknk084sn02q"),
            "created_at": NOW,
            "updated_at": NOW,
            "name": "mail.send",
            "queue": "mails",
            "state": JobState.RUNNING,
            "payload": b'{"password":"hunter2"}',
            "run_at": NOW,
            "started_at": NOW,
            "worker_id": WorkerID.new(),
            "epoch": 7,
        }
        return Job(**{**facts, **changes})

    return make
