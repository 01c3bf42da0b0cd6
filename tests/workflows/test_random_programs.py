"""Random workflow programs come out as a reference interpreter foretells, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatch import Config, Dispatch, testing
from dispatch.current import using_app
from dispatch.engine.runs.deploy import check_runs
from dispatch.engine.runs.writer import RunWriter
from dispatch.jobs.model import CountOptions
from dispatch.testing import Outcome, simulate
from dispatch.workflows import RunHandle, RunState
from dispatch.workflows.model import Record, Recorded

from . import programs
from .fleet import Fleet, Scene, counted
from .programs import Maker, Program, events, foretell, judge, play


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    lines: list[str] = []
    monkeypatch.setattr(programs, "note", lines.append)
    programs.failed_before.clear()
    yield lines
    programs.failed_before.clear()


async def publish(app: Dispatch, run: str, nodes: Program) -> None:
    for name in events(nodes):
        await app.events.publish("told", f"event {name}", key=f"{run}/{name}")


async def check(
    app: Dispatch, run: str, nodes: Program, lines: list[str], handle: RunHandle[object], faults: int
) -> None:
    """What became of one run, against what was foretold."""
    ended = await handle.run()
    assert ended.state in (RunState.COMPLETED, RunState.FAILED), f"{run} is {ended.state}: {nodes}"
    assert not ended.compensation_failed
    timeline = await app.workflows.timeline(handle.id)
    order = [checkpoint.name for checkpoint in sorted(timeline, key=lambda c: -c.position)]
    result = None if ended.result is None else json.loads(ended.result)
    judge(run, nodes, lines, result=result, order=order, faults=faults)


def test_the_programs_are_of_all_kinds() -> None:
    made = [Maker(seed).program() for seed in range(400)]
    verbs = {word for nodes in made for word in json.dumps(nodes).split('"') if word.isalpha()}
    every = "step flaky bad sleep wait never random enqueue intent fan remote parallel catch child kids fail"
    assert verbs >= set(every.split())
    told = [foretell(nodes) for nodes in made]
    assert sum(one.result is None for one in told) > 80
    assert sum(one.result is not None for one in told) > 80
    assert sum(bool(one.undos) for one in told) > 60


def play_in_worlds(seeds: range, notes: list[str]) -> int:
    """Each program in a simulated world of its own, whose workers crash at any await; answers how many did."""
    crashes = 0
    for seed in seeds:
        nodes = Maker(seed).program()
        chance = random.Random(seed)

        async def outside(handle: RunHandle[object], nodes: Program = nodes, chance: random.Random = chance) -> None:
            for name in events(nodes):
                await asyncio.sleep(chance.choice([0.0, 0.1, 5.0]))
                await programs.told.publish(f"event {name}", key=f"r/{name}")

        def invariant(outcome: Outcome, nodes: Program = nodes) -> None:
            order = [checkpoint.name for checkpoint in sorted(outcome.timeline, key=lambda c: -c.position)]
            faults = outcome.faults.crashes + outcome.faults.stalls
            judge("r", nodes, notes, result=outcome.result, order=order, faults=faults)

        def setup() -> None:
            notes.clear()
            programs.failed_before.clear()

        done = simulate(
            *(play, "r", nodes),
            seeds=[seed],
            registry=programs.registry,
            setup=setup,
            outside=outside,
            invariant=invariant,
        )
        crashes += done.faults.crashes
    return crashes


def test_programs_in_simulated_worlds_come_out_as_foretold(notes: list[str]) -> None:
    assert play_in_worlds(range(30), notes) > 10


@pytest.mark.proof
@pytest.mark.timeout(400)
def test_many_programs_in_simulated_worlds_come_out_as_foretold(notes: list[str]) -> None:
    assert play_in_worlds(range(1000, 1600), notes) > 200


async def test_a_check_of_the_same_code_finds_nothing_wherever_runs_stand(notes: list[str]) -> None:
    stood: set[RunState] = set()
    async with testing.app(programs.registry) as app:
        for seed in range(30):
            nodes = Maker(seed).program()
            await app.start_workflow(play, f"r{seed}", nodes)
            await app.run_until_idle()
            for name in events(nodes)[seed % 3 :]:
                await programs.told.publish(f"event {name}", key=f"r{seed}/{name}")
            stood |= {run.state for run in (await app.workflows.list()).items}
            with using_app(app):
                _, concerns = await check_runs(
                    app.store, programs.registry.workflows, queues=["default"], tick=lambda _: None
                )
            assert concerns == [], nodes
            if seed % 4 == 0:
                await app.run_until_idle()
    assert stood >= {RunState.WAITING, RunState.COMPLETED, RunState.FAILED}


FAST = {"heartbeat_interval": "0.1s", "lease": "0.6s", "poll_interval": "0.05s", "park_after": "0.05s", "grace": "0s"}


@pytest.mark.slow
async def test_programs_on_disk_whose_worker_loses_its_leases_come_out_as_foretold(
    tmp_path: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = RunWriter.record
    chance, lost = random.Random(7), []

    async def losing(self: RunWriter, said: Record) -> Recorded | None:
        fate = chance.random() if len(lost) < 25 else 1.0
        if fate < 0.2:
            lost.append(said.run_id)
        if fate < 0.1:
            return None
        answer = await record(self, said)
        return None if fate < 0.2 else answer

    monkeypatch.setattr(RunWriter, "record", losing)
    config = Config.model_validate(FAST | {"max_crashes": 30})
    url = f"sqlite:///{tmp_path}/runs.db"
    made = {f"r{seed}": Maker(seed).program() for seed in range(5000, 5025)}
    async with Dispatch(url, registry=programs.registry, config=config) as app:
        handles = {run: await app.start_workflow(play, run, nodes) for run, nodes in made.items()}
        await app.start()
        for run, nodes in made.items():
            await publish(app, run, nodes)
        for handle in handles.values():
            await app.workflows.wait(handle.id, timeout=30)
        await quiet(app)
        for run, nodes in made.items():
            await check(app, run, nodes, notes, handles[run], faults=25)
    assert len(lost) == 25


async def quiet(app: Dispatch) -> None:
    """Until the jobs that runs have queued are done too."""
    async with asyncio.timeout(30):
        while any(n for state, n in (await app.jobs.count(CountOptions())).items() if not state.terminal):
            await asyncio.sleep(0.05)


async def survive(scene: Scene, *, runs: int, kills: int, first: int) -> None:
    """Many programs over three worker processes of which one after the other is killed."""
    made = {f"r{seed}": Maker(seed).program() for seed in range(first, first + runs)}
    async with scene.app() as app:
        fleet = Fleet(scene.url, scene.namespace, scene.folder, size=3, module="workflows.programs")
        handles: dict[str, RunHandle[object]] = {}
        with fleet:
            each = max(runs // (kills + 1), 1)
            for number, (run, nodes) in enumerate(made.items(), 1):
                handles[run] = await app.start_workflow(play, run, nodes)
                await publish(app, run, nodes)
                if number % each == 0 and fleet.kills < kills:
                    await fleet.until(counted(app, RunState.COMPLETED, number // 8), within=60)
                    fleet.kill()
            for handle in handles.values():

                async def over(handle: RunHandle[object] = handle) -> bool:
                    return (await handle.run()).state.terminal

                await fleet.until(over, within=120)
            await quiet(app)
        lines = (scene.folder / "log").read_text().splitlines()
        for run, nodes in made.items():
            await check(app, run, nodes, lines, handles[run], faults=kills)
    assert fleet.kills == kills


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize("store", ["sqlite", "postgres", "redis"])
async def test_six_hundred_programs_over_killed_workers_come_out_as_foretold(store: str, tmp_path: Path) -> None:
    """On each store 200 with 20 kills."""
    first = {"sqlite": 10_000, "postgres": 20_000, "redis": 30_000}[store]
    await survive(Scene(store, tmp_path, programs.registry), runs=200, kills=20, first=first)
