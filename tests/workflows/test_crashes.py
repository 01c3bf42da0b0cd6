"""Workers that die: at every boundary of a run, in its compensation, and for real."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dispatch import Dispatch, WorkflowContext
from dispatch.config import Config
from dispatch.engine.runs.writer import RunWriter
from dispatch.errors import RunFailed, UsageError
from dispatch.registry import Registry
from dispatch.testing import MemoryApp, crash_after
from dispatch.workflows import RunState
from dispatch.workflows.model import Record, Recorded
from tests.workflows.conftest import Effects

STEPS = 10


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("dies_at", range(STEPS))
async def test_a_run_of_ten_steps_survives_a_death_at_every_boundary(
    registry: Registry, app: MemoryApp, effects: Effects, dies_at: int, recorded: bool
) -> None:
    @registry.workflow
    async def flow(ctx: WorkflowContext) -> list[str]:
        return [await ctx.step(f"step-{i}", effects.do, str(i)) for i in range(STEPS)]

    run = await flow.start()
    with crash_after(f"step-{dies_at}", recorded=recorded) as crash:
        await app.run_until_idle(raise_errors=True)
    assert crash.happened == 1
    assert await run.result() == [str(i) for i in range(STEPS)]
    assert [effects.count(str(i)) for i in range(STEPS)] == [
        2 if i == dies_at and not recorded else 1 for i in range(STEPS)
    ]


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("where", ["sleep", "go", "child", "fan[1]", "enqueue", "now", "intent"])
async def test_every_kind_of_visit_survives_a_death(
    registry: Registry, app: MemoryApp, effects: Effects, where: str, recorded: bool
) -> None:
    @registry.job
    async def tell() -> None:
        await effects.do("told")

    @registry.workflow
    async def child(ctx: WorkflowContext, n: int) -> int:
        await ctx.step("work", effects.do, f"child {n}")
        return n

    @registry.workflow
    async def parent(ctx: WorkflowContext) -> list[object]:
        ctx.now()
        await ctx.on_failure("intent", effects.do, "never")
        await ctx.enqueue(tell, name="enqueue")
        await ctx.sleep(10)
        one = await ctx.run_child(child, 1)
        many = await ctx.fan_out("fan", child, [2, 3])
        return [one, many, (await ctx.wait_for_event("go")).data]

    run = await parent.start()
    await app.events.publish("go", "gone")
    with crash_after(where, recorded=recorded):
        await app.travel(20, raise_errors=True)
    assert await run.result() == [1, [2, 3], "gone"]
    assert sorted(effects.log) == ["child 1", "child 2", "child 3", "told"]


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("where", ["one~undo", "two~undo", "three~undo"])
async def test_a_saga_that_dies_while_it_takes_back_goes_on(
    registry: Registry, app: MemoryApp, effects: Effects, where: str, recorded: bool
) -> None:
    @registry.workflow(max_retries=0)
    async def flow(ctx: WorkflowContext) -> None:
        for name in ("one", "two", "three"):
            await ctx.step(name, effects.do, name).compensate(effects.undo)
        raise ValueError("no")

    run = await flow.start()
    with crash_after(where, recorded=recorded):
        await app.run_until_idle()
    with pytest.raises(RunFailed, match="no"):
        await run.result()
    undone = [entry for entry in effects.log if entry.startswith("undo")]
    assert list(dict.fromkeys(undone)) == ["undo three", "undo two", "undo one"]
    assert len(undone) == (3 if recorded else 4)
    assert [effects.count(name) for name in ("one", "two", "three")] == [1, 1, 1]


async def test_a_crash_that_never_happens_is_told_of(registry: Registry, app: MemoryApp) -> None:
    with pytest.raises(UsageError, match=r"crash_after\('missing'\): no run has recorded"), crash_after("missing"):
        await app.run_until_idle()


FAST = Config.model_validate(
    {"heartbeat_interval": "0.1s", "lease": "0.6s", "poll_interval": "0.05s", "park_after": "0.05s", "grace": "0s"}
)


async def test_a_run_goes_on_over_restarts_of_its_worker_on_disk(tmp_path: Path, effects: Effects) -> None:
    registry = Registry()
    halfway = asyncio.Event()

    async def block() -> str:
        halfway.set()
        await asyncio.Event().wait()
        return ""

    blocking = True

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> list[str]:
        first = await ctx.step("first", effects.do, "first")
        await ctx.sleep(0.2)
        if blocking:
            await ctx.step("second", block)
        return [first, await ctx.step("third", effects.do, "third")]

    store = f"sqlite:///{tmp_path}/runs.db"
    async with Dispatch(store, registry=registry, config=FAST) as app:
        run_id = (await app.start_workflow(flow)).id
        await app.start()
        await asyncio.wait_for(halfway.wait(), 10)
        await app.stop(0)
    blocking = False
    async with Dispatch(store, registry=registry, config=FAST) as app:
        await app.start()
        run = await app.workflows.wait(run_id, timeout=10)
        assert run.state is RunState.COMPLETED
        assert run.result == b'["first","third"]'
    assert effects.log == ["first", "third"]


async def test_a_worker_that_loses_its_lease_at_every_boundary_on_disk_repeats_nothing_recorded(
    tmp_path: Path, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry()
    record = RunWriter.record
    lost: set[str] = set()

    async def losing(self: RunWriter, said: Record) -> Recorded | None:
        answer = await record(self, said)
        names = {checkpoint.name for checkpoint in said.checkpoints}
        if names <= lost:
            return answer
        lost.update(names)
        return None

    @registry.workflow
    async def flow(ctx: WorkflowContext) -> list[str]:
        return [await ctx.step(f"step-{i}", effects.do, str(i)) for i in range(STEPS)]

    monkeypatch.setattr(RunWriter, "record", losing)
    async with Dispatch(f"sqlite:///{tmp_path}/runs.db", registry=registry, config=FAST) as app:
        run = await app.start_workflow(flow)
        await app.start()
        assert await run.result(timeout=20) == [str(i) for i in range(STEPS)]
    assert effects.log == [str(i) for i in range(STEPS)]
    assert len(lost) == STEPS


PROGRAM = """
import asyncio, os, signal, sys
from pathlib import Path
from dispatch import Dispatch, WorkflowContext, workflow
from dispatch.config import Config

LOG = Path(sys.argv[2])

async def do(name: str) -> str:
    with LOG.open("a") as log:
        log.write(name + "\\n")
    if name == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)
    return name

@workflow
async def order(ctx: WorkflowContext) -> list[str]:
    await ctx.sleep(0.01)
    return [await ctx.step(f"step-{i}", do, f"step-{i}") for i in range(4)]

async def main() -> None:
    config = Config.model_validate({"heartbeat_interval": "0.1s", "lease": "0.6s", "poll_interval": "0.05s"})
    async with Dispatch(sys.argv[1], config=config) as app:
        run = await order.options(unique="one").start()
        await app.start()
        print(await run.result(timeout=20), flush=True)

asyncio.run(main())
"""


@pytest.mark.slow
def test_a_killed_process_s_run_is_finished_by_the_next_one(tmp_path: Path) -> None:
    program, log = tmp_path / "program.py", tmp_path / "log"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), f"sqlite:///{tmp_path}/runs.db", str(log)]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    for victim in ("step-1", "step-3"):
        killed = subprocess.run([*command, victim], env=environment, cwd=tmp_path, timeout=40)
        assert killed.returncode == -signal.SIGKILL
    done = subprocess.run([*command, "none"], env=environment, cwd=tmp_path, timeout=40, capture_output=True, text=True)
    assert done.stdout.strip() == "['step-0', 'step-1', 'step-2', 'step-3']", done.stderr
    lines = log.read_text().split()
    assert {name: lines.count(name) for name in sorted(set(lines))} == {
        "step-0": 1,
        "step-1": 2,
        "step-2": 1,
        "step-3": 2,
    }
