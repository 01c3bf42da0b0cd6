"""The seven identifiers: TypeIDs that agree with another implementation, and refuse what is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typeid import TypeID as Oracle

from dispatch.ids import (
    DLQID,
    CheckpointID,
    CronID,
    EventID,
    JobID,
    RunID,
    TypeID,
    WorkerID,
    decode_suffix,
    encode_suffix,
)

KINDS: list[tuple[type[TypeID], str]] = [
    (JobID, "job"),
    (RunID, "run"),
    (CronID, "cron"),
    (DLQID, "dlq"),
    (EventID, "evt"),
    (WorkerID, "wkr"),
    (CheckpointID, "chk"),
]
NIL = "00000000000000000000000000"
MAX = "7zzzzzzzzzzzzzzzzzzzzzzzzz"


@given(st.uuids())
def test_suffixes_agree_with_another_implementation(uuid: UUID) -> None:
    theirs = Oracle.from_uuid(uuid, prefix="job")
    assert f"job_{encode_suffix(uuid.int)}" == str(theirs)
    assert decode_suffix(theirs.suffix) == uuid.int


@given(st.integers(0, 2**128 - 1))
def test_a_suffix_is_the_number_it_was_made_of_and_sorts_like_it(value: int) -> None:
    assert decode_suffix(encode_suffix(value)) == value
    assert (encode_suffix(value) < encode_suffix(2**127)) == (value < 2**127)


@pytest.mark.parametrize(
    ("suffix", "uuid"),
    [
        (NIL, "00000000-0000-0000-0000-000000000000"),
        ("00000000000000000000000001", "00000000-0000-0000-0000-000000000001"),
        ("0000000000000000000000000a", "00000000-0000-0000-0000-00000000000a"),
        ("0000000000000000000000000g", "00000000-0000-0000-0000-000000000010"),
        ("00000000000000000000000010", "00000000-0000-0000-0000-000000000020"),
        ("01h455vb4pex5vsknk084sn02q", "01890a5d-ac96-774b-bcce-b302099a8057"),
        ("0123456789abcdefghjkmnpqrs", "0110c853-1d09-52d8-d73e-1194e95b5f19"),
        (MAX, "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    ],
)
def test_the_published_vectors_hold(suffix: str, uuid: str) -> None:
    assert JobID.parse(f"job_{suffix}").uuid == UUID(uuid)
    assert encode_suffix(UUID(uuid).int) == suffix


@pytest.mark.parametrize(
    "suffix",
    [
        "8zzzzzzzzzzzzzzzzzzzzzzzzz",
        "80000000000000000000000000",
        "",
        "1",
        NIL[1:],
        NIL + "0",
        "01h455vb4pex5vsknk084sn02Q",
        "01h455vb4pex5vsknk084sn02i",
        "01h455vb4pex5vsknk084sn02l",
        "01h455vb4pex5vsknk084sn02o",
        "01h455vb4pex5vsknk084sn02u",
        "01h455vb4pex5vsknk084sn02-",
        " " + NIL[1:],
        NIL[:-1] + "\n",
        "０" * 26,
    ],
)
def test_what_is_no_suffix_is_refused(suffix: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        JobID.parse(f"job_{suffix}")


@pytest.mark.parametrize(("kind", "prefix"), KINDS)
def test_a_fresh_id_has_its_prefix_a_version_7_and_the_present_time(kind: type[TypeID], prefix: str) -> None:
    made = kind.new()
    assert made.startswith(f"{prefix}_")
    assert len(made) == len(prefix) + 27
    assert made.uuid.version == 7
    assert abs(made.timestamp - datetime.now(UTC)) < timedelta(seconds=5)
    assert type(kind.parse(made)) is kind
    assert kind.parse(f"{prefix}_{NIL}").uuid.int == 0


@pytest.mark.parametrize(("kind", "prefix"), KINDS)
@pytest.mark.parametrize(("other", "foreign"), KINDS)
def test_an_id_of_another_kind_is_refused(kind: type[TypeID], prefix: str, other: type[TypeID], foreign: str) -> None:
    if kind is other:
        return
    with pytest.raises(ValueError, match=f"it must start with '{prefix}_'"):
        kind.parse(other.new())


@pytest.mark.parametrize(
    "text", ["", "job", "job_", NIL, f"_{NIL}", f"JOB_{NIL}", f"job-{NIL}", f"my_job_{NIL}", f" job_{NIL}"]
)
def test_text_without_the_right_prefix_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        JobID.parse(text)


def test_ids_sort_in_the_order_they_were_made() -> None:
    made = [JobID.new() for _ in range(2000)]
    assert made == sorted(made)
    assert len(set(made)) == 2000


def test_an_id_is_text_wherever_text_is_wanted() -> None:
    job_id = JobID.new()
    assert isinstance(job_id, str)
    assert json.loads(json.dumps({"id": job_id})) == {"id": str(job_id)}
    assert f"{job_id}" == job_id
    assert {job_id: 1}[str(job_id)] == 1
