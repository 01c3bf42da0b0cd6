"""A run of very many steps: each costs what the first did, and waking it costs one look at what it has recorded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from dispatch import Config, Dispatch, WorkflowContext
from dispatch.engine.runs.writer import RunWriter
from dispatch.ids import JobID
from dispatch.registry import Registry
from dispatch.testing import MemoryApp
from dispatch.workflows.definition import WorkflowDefinition
from dispatch.workflows.model import Activation, Record, Recorded

from .fleet import Scene


def counting(registry: Registry, steps: int, seen: Callable[[int], object] = int) -> WorkflowDefinition[[], int]:
    """A workflow of so many steps, a wait, and one step more; `seen` is told of each of them."""

    async def one(number: int) -> int:
        seen(number)
        return number

    @registry.workflow
    async def many(ctx: WorkflowContext) -> int:
        total = sum([await ctx.step(f"step-{number}", one, number) for number in range(steps)])
        await ctx.wait_for_event("go")
        return total + await ctx.step("last", one, steps)

    return many


async def test_a_step_writes_itself_and_a_wake_reads_the_journal_once(
    registry: Registry, app: MemoryApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    read: list[int] = []
    record_all, load_all = RunWriter._record_all, RunWriter._load_all

    async def recording(self: RunWriter, records: list[Record]) -> list[Recorded]:
        written.append(sum(len(record.checkpoints) for record in records))
        return await record_all(self, records)

    async def loading(self: RunWriter, drivers: list[JobID]) -> list[Activation | None]:
        found = await load_all(self, drivers)
        read.append(sum(len(loaded.checkpoints) for loaded in found if loaded is not None))
        return found

    monkeypatch.setattr(RunWriter, "_record_all", recording)
    monkeypatch.setattr(RunWriter, "_load_all", loading)
    run = await counting(registry, 500).start()
    await app.run_until_idle(raise_errors=True)
    assert (written, read) == ([1] * 500, [0])
    await app.events.publish("go")
    await app.run_until_idle(raise_errors=True)
    assert await run.result() == sum(range(501))
    assert (written, read) == ([1] * 502, [0, 500]), "the wait is a checkpoint too"


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["sqlite", "postgres", "redis"])
async def test_ten_thousand_steps_of_one_run(
    kind: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Says what the worker's processor spent on a step of each thousand, and on a step that is replayed."""
    registry, marks = Registry(), [time.process_time()]

    def seen(number: int) -> None:
        if number % 1000 == 999:
            marks.append(time.process_time())

    many, scene = counting(registry, 10_000, seen), Scene(kind, tmp_path, registry)
    async with Dispatch(scene.url, config=Config(namespace=scene.namespace), registry=registry) as app:
        await app.start()
        run = await app.start_workflow(many)
        async with asyncio.timeout(900):
            while not await app.workflows.waits(run.id):
                await asyncio.sleep(0.1)
        before = time.process_time()
        await app.events.publish("go")
        assert await run.result(timeout=600) == sum(range(10_001))
        replayed = round((time.process_time() - before) * 100)
        assert len(await app.workflows.timeline(run.id)) == 10_002
    played = [round((end - begin) * 1000) for begin, end in pairwise(marks)]
    record_property("µs a step, by thousands", played)
    record_property("µs a step replayed", replayed)
    print(f"{kind}: µs of CPU a step, by thousands: {played}; replayed: {replayed}")
