"""Many alike rows are the sequence of the rows that they would be one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatch.errors import PayloadTooLarge
from dispatch.ids import JobID
from dispatch.jobs.alike import AlikeJobs, ids_of, patterns, payloads_of
from dispatch.jobs.model import NewJob
from dispatch.scope import Scope
from dispatch.services.admission import Limits, check_sizes

PATTERN = NewJob(JobID.new(), "mail", b"{}", queue="mails", priority=3, metadata={"a": [1]}, scope=Scope("shop", "t-1"))
IDS = [JobID.new() for _ in range(4)]
PAYLOADS = [b'{"n":1}', b'{"n":22}', b'{"n":333}', b'{"n":4}']
ROWS = [replace(PATTERN, id=id_, payload=payload) for id_, payload in zip(IDS, PAYLOADS, strict=True)]


@pytest.fixture
def alike() -> AlikeJobs:
    return AlikeJobs(PATTERN, IDS, PAYLOADS)


def test_it_is_the_rows_in_order(alike: AlikeJobs) -> None:
    assert list(alike) == ROWS
    assert [alike[at] for at in range(4)] == ROWS
    assert alike[-1] == ROWS[-1]
    assert len(alike) == 4
    assert ROWS[2] in alike


def test_a_part_of_it_is_alike_too(alike: AlikeJobs) -> None:
    part = alike[1:3]
    assert isinstance(part, AlikeJobs)
    assert list(part) == ROWS[1:3]


def test_what_is_asked_of_any_rows_is_answered_as_for_a_list_of_them(alike: AlikeJobs) -> None:
    assert list(ids_of(alike)) == list(ids_of(ROWS)) == IDS
    assert list(payloads_of(alike)) == list(payloads_of(ROWS)) == PAYLOADS
    assert list(patterns(alike)) == [PATTERN]
    assert list(patterns(ROWS)) == ROWS


def test_metadata_added_to_one_row_is_in_no_other(alike: AlikeJobs) -> None:
    first, second, *_ = alike
    assert isinstance(first.metadata, dict)
    first.metadata["b"] = 2
    assert second.metadata == PATTERN.metadata == alike[0].metadata == {"a": [1]}


def test_the_longest_payload_is_held_to_the_limit(alike: AlikeJobs) -> None:
    assert alike.longest == ROWS[2]
    check_sizes(alike, Limits(payload=9))
    for jobs in (alike, ROWS):
        with pytest.raises(PayloadTooLarge, match="9 bytes"):
            check_sizes(jobs, Limits(payload=8))
