"""Concurrency of runs over workers that are killed: never too many of a key are open, and none is left behind."""

from __future__ import annotations

import sqlite3
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

STORES = ("sqlite", "postgres", "redis")
KEYS = ("a", "b")
OPEN = (RunState.RUNNING, RunState.WAITING, RunState.COMPENSATING, RunState.BLOCKED)
_SQLITE = """
CREATE TABLE noted (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT, state TEXT);
CREATE TRIGGER noted_runs AFTER UPDATE OF state ON runs WHEN NEW.state <> OLD.state
BEGIN INSERT INTO noted (id, state) VALUES (NEW.id, NEW.state); END;
"""
_POSTGRES = """
SET search_path TO "{0}";
CREATE TABLE noted (number BIGINT GENERATED ALWAYS AS IDENTITY, id TEXT, state TEXT);
CREATE FUNCTION note_run() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO "{0}".noted (id, state) VALUES (NEW.id, NEW.state); RETURN NULL; END $$;
CREATE TRIGGER noted_runs AFTER UPDATE OF state ON runs FOR EACH ROW WHEN (NEW.state <> OLD.state)
  EXECUTE FUNCTION note_run();
"""


@pytest.fixture(params=STORES)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    return Scene(request.param, tmp_path, registry)


async def note_states(scene: Scene) -> None:
    """Makes an SQL store note every change of a run's state, in the order of their transactions."""
    if scene.url.startswith("sqlite"):
        connection = sqlite3.connect(scene.folder / "runs.db", timeout=30)
        connection.executescript(_SQLITE)
        connection.close()
    elif scene.url.startswith("postgres"):
        import asyncpg

        server = await asyncpg.connect(scene.url)
        await server.execute(_POSTGRES.format(scene.namespace))
        await server.close()


async def noted_states(scene: Scene) -> list[tuple[str, str]]:
    """Run and new state of every change."""
    select = "SELECT id, state FROM {}noted ORDER BY number"
    if scene.url.startswith("sqlite"):
        connection = sqlite3.connect(scene.folder / "runs.db", timeout=30)
        rows = connection.execute(select.format("")).fetchall()
        connection.close()
        return rows
    if not scene.url.startswith("postgres"):
        return []
    import asyncpg

    server = await asyncpg.connect(scene.url)
    found = await server.fetch(select.format(f'"{scene.namespace}".'))
    await server.close()
    return [(row["id"], row["state"]) for row in found]


def most_open(changes: list[tuple[str, str]], customers: dict[str, str]) -> Counter[str]:
    """How many runs of each customer were open at most, but for those that were cancelled before their first start."""
    standing: dict[str, str] = {}
    never_began: set[str] = set()
    most: Counter[str] = Counter()
    for run_id, state in changes:
        if run_id not in standing and state == RunState.COMPENSATING:
            never_began.add(run_id)
        standing[run_id] = state
        opened = (id_ for id_, state in standing.items() if state in OPEN and id_ not in never_began)
        most |= Counter(customers[id_] for id_ in opened)
    return most


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
