"""Concurrency of runs over workers that are killed: never too many of a key are open, and none is left behind."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from dispatch.clock import boot_seconds
from dispatch.errors import RunEnded
from dispatch.ids import RunID
from dispatch.workflows import RunState

from .fleet import Fleet, Scene
from .open_runs import MOST, registry, visit
from .places import most_open, note_states, noted_states

STORES = ("sqlite", "postgres", "redis")
KEYS = ("a", "b")
OPEN = (RunState.RUNNING, RunState.WAITING, RunState.COMPENSATING, RunState.BLOCKED)


@pytest.fixture(params=STORES)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    return Scene(request.param, tmp_path, registry)


async def storm(scene: Scene, *, runs: int, kills: int, within: float) -> None:
    """Three workers, one of which is killed now and then, until every run has ended."""
    random = Random(7)
    async with scene.app() as app:
        await note_states(scene)
        calls = [visit.call(KEYS[number % len(KEYS)], number) for number in range(runs)]
        made = [str(run.id) for run in await app.workflows.start(calls)]
        customers = {id_: KEYS[number % len(KEYS)] for number, id_ in enumerate(made)}
        most, next_kill = 0, boot_seconds() + 2

        async def ended() -> bool:
            nonlocal most, next_kill
            counts = await app.workflows.count()
            # those that compensate may have been cancelled before they had a place
            most = max(most, sum(counts[state] for state in OPEN if state is not RunState.COMPENSATING))
            if fleet.kills < kills and boot_seconds() >= next_kill:
                fleet.kill()
                next_kill = boot_seconds() + random.uniform(0.3, 2.5)
                with suppress(RunEnded):
                    await app.workflows.cancel(RunID(random.choice(made)))
            return sum(count for state, count in counts.items() if state.terminal) == runs

        with Fleet(scene.url, scene.namespace, scene.folder, size=3, module="workflows.open_runs") as fleet:
            await fleet.until(ended, within=within)
            assert fleet.kills == kills
        counts = await app.workflows.count()
        assert counts[RunState.COMPLETED] >= runs // 4
        assert most <= MOST * len(KEYS)
        changes = await noted_states(scene)
        found = most_open(changes, customers)
        assert not changes or found == Counter(dict.fromkeys(KEYS, MOST))
        for key in KEYS:
            assert (await app.store.jobs.holders(f"@|visit|{key}", limit=10)).running == []


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_few_runs_of_a_key_are_open_while_workers_die(scene: Scene) -> None:
    await storm(scene, runs=16, kills=3, within=120)


@pytest.mark.proof
@pytest.mark.timeout(400)
async def test_never_more_runs_of_a_key_are_open_in_a_storm(scene: Scene) -> None:
    await storm(scene, runs=72, kills=15, within=360)
