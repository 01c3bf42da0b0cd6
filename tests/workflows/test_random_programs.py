"""Random workflow programs come out as a reference interpreter foretells, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dispatch import Config, Dispatch, Limit, testing
from dispatch.current import open_app, using_app
from dispatch.engine.runs.deploy import check_runs
from dispatch.engine.runs.writer import RunWriter
from dispatch.entity import LARGEST_PAGE
from dispatch.jobs.model import CountOptions
from dispatch.jobs.model import ListOptions as JobOptions
from dispatch.stores.memory.concurrency import Concurrency, Key
from dispatch.stores.memory.rows import Row
from dispatch.testing import Outcome, SimulationFailed, simulate
from dispatch.testing.simulation.world import at_once
from dispatch.workflows import RunHandle, RunState
from dispatch.workflows.model import ListOptions, Record, Recorded

from . import programs
from .fleet import Fleet, Scene, counted
from .places import Places, most_open, note_states, noted_states
from .programs import CHILDREN, play
from .random_programs import Maker, Program, events, foretell, judge


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


async def check(app: Dispatch, run: str, nodes: Program, lines: list[str], handle: RunHandle[Any], faults: int) -> None:
    """What became of one run, against what was foretold."""
    ended = await handle.run()
    assert ended.state in (RunState.COMPLETED, RunState.FAILED), f"{run} is {ended.state}: {nodes}"
    assert ended.reason != "worker_lost", f"{run} has lost more workers than it may: {nodes}"
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


class Onlooker:
    """Looks at the runs of the world's store after everything that happens there."""

    def __init__(self) -> None:
        self.places = Places()
        self._keys: dict[str, str] = {}
        self._seen: dict[str, RunState] = {}

    def look(self) -> None:
        """Notes which runs have changed; no key has more of them open than it may."""
        app = open_app()
        assert isinstance(app, Dispatch)
        page = at_once(app.store.workflows.list(ListOptions(names=["part"], limit=LARGEST_PAGE)))
        changed = [run for run in page.items if self._seen.get(run.id) is not run.state]
        for run in changed:
            self._seen[run.id] = run.state
            if run.id not in self._keys:
                driver = at_once(app.store.jobs.get(run.driver))
                assert driver is not None
                self._keys[run.id] = str(driver.concurrency_key)
        self.places.note((run.id, self._keys[run.id], run.state) for run in changed)
        most = max(self.places.most.values(), default=0)
        assert most <= CHILDREN, f"{most} runs of one key are open: {self.places.most}"


def play_in_worlds(seeds: Iterable[int], notes: list[str]) -> tuple[int, int]:
    """Each program in a simulated world of its own, whose workers crash at any await; answers how many did, and in how
    many worlds a key was full."""
    crashes = full = 0
    for seed in seeds:
        nodes = Maker(seed).program()
        chance = random.Random(seed)
        onlooker = Onlooker()

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
            always=onlooker.look,
        )
        crashes += done.faults.crashes
        full += max(onlooker.places.most.values(), default=0) == CHILDREN
    return crashes, full


def test_programs_in_simulated_worlds_come_out_as_foretold(notes: list[str]) -> None:
    crashes, full = play_in_worlds(range(30), notes)
    assert crashes > 10
    assert full > 2


@pytest.mark.proof
@pytest.mark.timeout(400)
def test_many_programs_in_simulated_worlds_come_out_as_foretold(notes: list[str]) -> None:
    crashes, full = play_in_worlds(range(1000, 1600), notes)
    assert crashes > 200
    assert full > 60


def _stops_every_row(self: Concurrency, row: Row) -> None:
    """A driver that stops running gives its place up, as a job does."""
    if row.concurrency_key is not None:
        self.keys[row.concurrency_key].running.pop(row.id, None)


def _is_full_for_all(self: Concurrency, row: Row) -> bool:
    """Who holds a place needs another."""
    return row.concurrency_key is not None and self.keys[row.concurrency_key].room == 0


def _keeps_its_place(self: Concurrency, row: Row) -> None:
    """An ended run goes on holding its place."""
    key = self.keys.get(row.concurrency_key or "")
    if key is not None:
        key.unfinished -= 1


def _room_for_one_more(self: Key) -> int:
    """One run too many is let in."""
    return max(0, self.most + 1 - len(self.running))


@pytest.mark.parametrize(
    ("target", "name", "instead", "seen"),
    [
        pytest.param(Concurrency, "stop", _stops_every_row, "runs of one key are open", id="parked"),
        pytest.param(Key, "room", property(_room_for_one_more), "runs of one key are open", id="one more"),
        pytest.param(Concurrency, "full", _is_full_for_all, "the run is", id="woken"),
        pytest.param(Concurrency, "part", _keeps_its_place, "the run is", id="ended"),
    ],
)
def test_a_fault_in_the_places_of_runs_is_seen(
    target: type, name: str, instead: object, seen: str, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, name, instead)
    with pytest.raises(SimulationFailed, match=seen):
        play_in_worlds([seed for seed in range(1000, 1100) if '"kids"' in json.dumps(Maker(seed).program())], notes)


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


ROOTS = 6
"""How many runs that nobody waits for may be open at once where workers die."""


async def survive(scene: Scene, *, runs: int, kills: int, first: int) -> None:
    """Many programs over three worker processes of which one after the other is killed."""
    made = {f"r{seed}": Maker(seed).program() for seed in range(first, first + runs)}
    one_of_few = play.options(concurrency=Limit(max=ROOTS))
    async with scene.app() as app:
        await note_states(scene)
        fleet = Fleet(scene.url, scene.namespace, scene.folder, size=3, module="workflows.programs")
        handles: dict[str, RunHandle[Any]] = {}
        with fleet:
            each = max(runs // (kills + 1), 1)
            for number, (run, nodes) in enumerate(made.items(), 1):
                (handles[run],) = await app.start_runs([one_of_few.call(run, nodes)])
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
        changes = await noted_states(scene)
        most = most_open(changes, await keys_of_runs(app))
    assert fleet.kills == kills
    assert {key: count for key, count in most.items() if count > (ROOTS if key == "@|play|" else CHILDREN)} == {}
    assert not changes or (most["@|play|"] == ROOTS and sorted(most.values())[-2] == CHILDREN)


async def keys_of_runs(app: Dispatch) -> dict[str, str]:
    """The concurrency key of every run."""
    keys: dict[str, str] = {}
    options = JobOptions(kinds=("workflow",), limit=LARGEST_PAGE)
    while True:
        page = await app.jobs.list(options)
        keys |= {str(job.run_id): str(job.concurrency_key) for job in page.items}
        if page.next_cursor is None:
            return keys
        options = replace(options, cursor=page.next_cursor)


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize("store", ["sqlite", "postgres", "redis"])
async def test_six_hundred_programs_over_killed_workers_come_out_as_foretold(store: str, tmp_path: Path) -> None:
    """On each store 200 with 20 kills."""
    first = {"sqlite": 10_000, "postgres": 20_000, "redis": 30_000}[store]
    await survive(Scene(store, tmp_path, programs.registry), runs=200, kills=20, first=first)
