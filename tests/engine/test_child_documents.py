"""What travels between a worker and its subprocesses: every field, and nothing over the cap."""

from __future__ import annotations

import dataclasses
import json

import pytest

from dispatch.engine.child_documents import job_document, job_of, raised_document, raised_of
from dispatch.engine.child_frames import LARGEST_FRAME, FrameTooLarge, pack
from dispatch.engine.outcome import Raised, Wish
from dispatch.ids import DLQID, JobID
from dispatch.jobs.model import Failure

from . import process_jobs as jobs
from .test_process_pool import NOW, make_job


def test_every_field_of_a_job_but_its_result_arrives() -> None:
    job = dataclasses.replace(
        make_job(jobs.add, 1, 2),
        **dict.fromkeys(("lease_until", "started_at", "finished_at", "scheduled_at", "expires_at"), NOW),
        error=Failure("ValueError", "no", "trace"),
        tags=("a", "b"),
        backoff={"kind": "constant"},
        behind=JobID.new(),
        replay_of=DLQID.new(),
        progress=0.5,
        progress_note="half",
        timeout=2.5,
        keep_result=True,
        unique_key="key",
    )
    arrived = job_of(json.loads(json.dumps(job_document(job))), job.payload)
    assert arrived == job
    assert [type(getattr(arrived, f.name)) for f in dataclasses.fields(job)] == [
        type(getattr(job, f.name)) for f in dataclasses.fields(job)
    ]


def test_a_frame_over_the_cap_is_not_made() -> None:
    with pytest.raises(FrameTooLarge, match="do not fit"):
        pack({}, bytes(LARGEST_FRAME))


def test_what_was_raised_arrives_as_it_was() -> None:
    raised = Raised(Failure("Odd", "\ud800 \u0000 ü", None), Wish.RETRY, delay=1.5, dead_letter=False, reason="x")
    assert raised_of(json.loads(json.dumps(raised_document(raised)))) == raised
