"""What an enqueue brings, and copies of it."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime

from dispatch.ids import DLQID, JobID, RunID
from dispatch.jobs.model import NewJob
from dispatch.scope import Scope


def test_a_copy_that_carries_more_metadata_differs_in_nothing_else() -> None:
    moment = datetime(2026, 11, 22, tzinfo=UTC)
    job = NewJob(
        *(JobID.new(), "mail.send", b"{}", "mails"),
        priority=3,
        run_at=moment,
        metadata={"a": 1, "b": 2},
        tags=("x",),
        scope=Scope("shop", "t-1"),
        scheduled_at=moment,
        replay_of=DLQID.new(),
        run_id=RunID.new(),
        step="pack",
        concurrency_key="k",
        concurrency_max=2,
    )
    copy = job.carrying({"b": 3, "traceparent": "00-1"})
    assert copy.metadata == {"a": 1, "b": 3, "traceparent": "00-1"}
    assert job.metadata == {"a": 1, "b": 2}
    assert replace(copy, metadata=job.metadata) == job
    assert all(getattr(copy, one.name) == getattr(job, one.name) for one in fields(NewJob) if one.name != "metadata")
