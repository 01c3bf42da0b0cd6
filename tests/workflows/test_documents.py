"""What journals hold, byte for byte: runs of older versions must be read by newer ones."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dispatch import WorkflowContext
from dispatch.events.model import Event
from dispatch.ids import CheckpointID, EventID, RunID
from dispatch.jobs.model import Failure
from dispatch.registry import Registry
from dispatch.services.forks import Inherited, differences, edited
from dispatch.testing import MemoryApp
from dispatch.workflows import documents
from dispatch.workflows.model import Checkpoint, CheckpointKind
from dispatch.workflows.names import failed_of, step_of_failure, step_of_undo, undo_of
from dispatch.workflows.signals import Mismatch

NOW = datetime(2026, 5, 1, 9, tzinfo=UTC)


def checkpoint(name: str, data: bytes, kind: CheckpointKind = "step", position: int = 1) -> Checkpoint:
    return Checkpoint(CheckpointID.new(), NOW, NOW, RunID.new(), name, kind, data, position)


def test_times_failures_and_events_are_written_so() -> None:
    assert documents.sleep_document(NOW) == b'{"until":"2026-05-01T09:00:00+00:00"}'
    failure = Failure("ValueError", "no", None)
    assert documents.failure_document(failure) == b'{"type":"ValueError","message":"no","traceback":null}'
    event = Event("paid", b'{"n":1}', "k", EventID("evt_1"), NOW)
    assert documents.event_document(event, skipped="odd") == (
        b'{"event":{"id":"evt_1","name":"paid","key":"k","payload":{"n":1},"created_at":"2026-05-01T09:00:00+00:00"},'
        b'"skipped":"odd"}'
    )


def test_what_is_written_can_be_read() -> None:
    event = Event("paid", b'{"n":1}', "k", EventID("evt_1"), NOW)
    assert documents.read_event(checkpoint("w", documents.event_document(event), "wait")) == event
    assert documents.read_event(checkpoint("w", b"null", "wait")) is None
    failure = Failure("ValueError", "no", "trace")
    assert documents.read_failure(checkpoint("s", documents.failure_document(failure), "failure")) == failure
    assert documents.read_time(checkpoint("z", documents.sleep_document(NOW), "sleep"), "until") == NOW


@pytest.mark.parametrize("data", [b"{}", b"[]", b"5", b'{"job":"job_1"}'])
def test_what_another_verb_recorded_is_a_mismatch(data: bytes) -> None:
    with pytest.raises(Mismatch, match="the code wants 'run'"):
        documents.read(checkpoint("c", data, "child"), "run")


def test_the_undo_of_a_step_is_named_after_it() -> None:
    assert undo_of("charge") == "charge~undo"
    assert step_of_undo("charge~undo") == "charge"
    assert step_of_undo("charge") is None
    assert step_of_undo("charge~skipped-1") is None


def test_a_failure_that_ended_a_run_is_named_after_its_step() -> None:
    assert failed_of("charge", 2) == "charge~failed-2"
    assert step_of_failure("charge~failed-2") == "charge"
    assert step_of_failure("charge~undo") is None
    assert step_of_failure("failed-2") is None


async def test_a_journal_of_every_verb(registry: Registry, app: MemoryApp) -> None:
    @registry.job
    async def tell() -> None: ...

    @registry.workflow
    async def child(ctx: WorkflowContext) -> None: ...

    async def step() -> int:
        return 3

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> None:
        ctx.now()
        await ctx.on_failure("intent", step)
        await ctx.step("step", step)
        await ctx.sleep(5)
        tell_handle = await ctx.enqueue(tell)
        run_handle = await ctx.spawn_child(child)
        await ctx.run_child(child, name="waited")
        await ctx.step("remote", tell).on_workers()
        assert tell_handle.id
        assert run_handle.id

    run = await flow.start()
    await app.travel(5, raise_errors=True)
    await run.result()
    found = [(c.name, c.kind, c.data) for c in await app.workflows.timeline(run.id)]
    start = (app.now().timestamp(), found[0][2])
    assert start[1].startswith(b'{"now":"')
    shapes = [(name, kind, data if len(data) < 20 else data[: data.index(b":")]) for name, kind, data in found[1:]]
    assert shapes == [
        ("intent", "value", b'{"intent":true}'),
        ("step", "step", b"3"),
        ("sleep", "sleep", b'{"until"'),
        ("tell", "value", b'{"job"'),
        ("child", "child", b'{"run"'),
        ("waited", "child", b'{"run"'),
        ("remote", "child", b'{"job"'),
    ]
    assert b'"spawned":true' in found[5][2]
    assert b"spawned" not in found[6][2]


def test_edits_reach_into_results() -> None:
    first = checkpoint("a.b", b'{"x": [1, {"y": 2}]}', position=1)
    second = checkpoint("a", b'{"b": 5}', position=2)
    whole = Inherited("end", True, {"a.b": first, "a": second})
    assert edited(whole, {"a.b.x.1.y": 9, "a.b.x.0": 7}) == {"a.b": b'{"x":[7,{"y":9}]}'}
    assert edited(whole, {"a": None}) == {"a": b"null"}
    assert edited(Inherited("a", True, {"a.b": first}), {}) == {}


def test_differences_name_what_only_one_has_and_what_differs() -> None:
    left = [checkpoint("same", b"1"), checkpoint("other", b"1"), checkpoint("left", b"1")]
    right = [checkpoint("same", b"1"), checkpoint("other", b"2"), checkpoint("right", b"1")]
    found = [(name, a is not None, b is not None) for name, a, b in differences(left, right)]
    assert found == [("other", True, True), ("left", True, False), ("right", False, True)]
