"""What `store verify --data` finds in workflow runs: each damage alone, and none in what only verbs have written."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from dispatch.clock import ManualClock
from dispatch.jobs.model import Unique, Verdict
from dispatch.services.damage import Damage
from dispatch.services.integrity import examine
from dispatch.stores.memory import MemoryStore
from dispatch.stores.sqlite import SQLiteStore
from dispatch.testing.conformance.env import Env
from dispatch.testing.conformance.flows import begin, drive, new_run, with_job, with_run
from dispatch.testing.conformance.run_transfer import populate_runs
from dispatch.workflows.model import Group


async def look(env: Env) -> tuple[int, list[Damage]]:
    found: list[Damage] = []
    seen = await examine(env.store, found=found.append, tick=lambda steps: None)
    return seen, found


async def world(env: Env) -> None:
    """Runs in every state, and a parent of which one child run and one child job have ended."""
    await populate_runs(env)
    parent = await begin(env, name="old")
    child = await with_run(parent, "run", priority=9)
    job = await with_job(parent, "job", priority=9)
    await parent.park(Group(("run", "job", "nobody"), "all"))
    await (await drive(env, child)).finish()
    taken = await env.take(names=["task"])
    assert taken.id == job
    await env.finish(taken, Verdict.COMPLETE)


async def test_runs_that_only_verbs_have_written_are_whole() -> None:
    clock = ManualClock()
    env = Env(MemoryStore(clock=clock), clock)
    await env.store.open()
    await world(env)
    seen, found = await look(env)
    assert found == []
    assert seen == sum((await env.store.transfer.count()).values())


async def test_a_run_that_passed_its_key_on_and_compensates_is_whole() -> None:
    clock = ManualClock()
    env = Env(MemoryStore(clock=clock), clock)
    await env.store.open()
    await env.store.workflows.create([new_run(unique=Unique("k"), expires_in=5)])
    clock.advance(6)
    await env.store.workflows.create([new_run(unique=Unique("k"))])
    assert (await look(env))[1] == []


@pytest.mark.parametrize(
    ("edit", "kind", "text"),
    [
        ("DELETE FROM jobs WHERE name = 'waiting@1'", "runs", "has lost its driver"),
        ("DELETE FROM runs WHERE name = 'pending'", "jobs", "is gone"),
        ("DELETE FROM runs WHERE name = 'running'", "checkpoints", "belongs to a run that is gone"),
        ("DELETE FROM runs WHERE name = 'waiting'", "waits", "belongs to a run that is gone"),
        ("DELETE FROM runs WHERE name = 'parent'", "child_results", "belongs to a run that is gone"),
        ("UPDATE jobs SET state = 'completed' WHERE name = 'waiting@1'", "runs", "nobody goes on with it"),
        ("UPDATE jobs SET state = 'pending' WHERE name = 'completed@1'", "runs", "it would run again"),
        ("UPDATE jobs SET kind = 'job' WHERE name = 'waiting@1'", "runs", "does not know it"),
        ("UPDATE jobs SET name = 'waiting@2' WHERE name = 'waiting@1'", "runs", "is of version 1"),
        ("UPDATE jobs SET run_id = NULL WHERE name = 'waiting@1'", "jobs", "drives a run"),
        ("UPDATE runs SET state = 'asleep' WHERE name = 'waiting'", "runs", "has the state 'asleep'"),
        ("UPDATE runs SET finished_at = NULL WHERE name = 'completed'", "runs", "it is never pruned"),
        ("UPDATE waits SET run_id = (SELECT id FROM runs WHERE name = 'completed')", "runs", "still waits for"),
        ("DELETE FROM child_results WHERE step = 'run'", "runs", "never heard of it"),
        ("DELETE FROM child_results WHERE step = 'job'", "jobs", "never heard of it"),
    ],
)
async def test_each_damage_of_a_run_is_found_and_told_with_advice(
    tmp_path: Path, edit: str, kind: str, text: str
) -> None:
    clock = ManualClock()
    env = Env(SQLiteStore(tmp_path / "store.db", clock=clock), clock)
    await env.store.open()
    await world(env)
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.execute(edit)
    connection.commit()
    connection.close()
    _, found = await look(env)
    await env.store.close()
    assert any(damage.kind == kind and text in damage.text for damage in found), found
    assert all(damage.advice for damage in found)
