"""Concurrency keys on SQLite: what the blocked rows cost, and what a repair finds after somebody edited the file."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dispatch.clock import ManualClock
from dispatch.jobs.model import Verdict
from dispatch.stores import sqlite_schema
from dispatch.stores.sql.statements import load
from dispatch.stores.sqlite import SQLiteStore
from dispatch.stores.sqlite_executor import _STATEMENTS
from dispatch.testing.conformance.concurrency import keyed
from dispatch.testing.conformance.env import Env

ROWS = 3_000
PARAMETERS = {
    **{"key": "k", "keys": '["k"]', "queue": "default", "lane": "", "name": "work", "limit": 2, "now": 10**9},
    **{"quarantine": 2, "priority": 0, "run_at": 0, "id": "job_0"},
}


@pytest.fixture
async def env(tmp_path: Path) -> AsyncIterator[Env]:
    clock = ManualClock()
    store = SQLiteStore(tmp_path / "jobs.db", clock=clock)
    await store.open()
    yield Env(store, clock)
    await store.close()


@pytest.mark.parametrize(
    "name", ["key_rooms", "forget_keys", "blocked_places", "blocked_groups", "first_blocked", "blocked_keys"]
)
def test_no_statement_walks_through_the_blocked_rows(name: str) -> None:
    raw = sqlite3.connect(":memory:")
    for _, _, script in sqlite_schema.migrations():
        for statement in sqlite_schema.split(script):
            raw.execute(statement)
    raw.executemany(
        "INSERT INTO jobs (id, ready, state, queue, name, kind, lane, priority, run_at, created_at, updated_at, "
        "app_id, org_id, concurrency_key, concurrency_max, blocked) "
        "VALUES (?, 0, 'pending', 'default', 'work', 'job', '', 0, ?, 0, 0, '', '', 'k', 2, 1)",
        [(f"job_{number:06}", number) for number in range(ROWS)],
    )
    statement = load(_STATEMENTS)[name]
    from_the_start = {"queue": "", "key": ""} if name == "blocked_keys" else {}
    chosen = PARAMETERS | from_the_start
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    raw.set_progress_handler(count, 100)
    raw.execute(statement.text, [chosen[parameter] for parameter in statement.names]).fetchall()
    assert steps * 100 < ROWS, f"{name} took {steps * 100} steps over {ROWS} blocked rows"
    raw.close()


async def test_a_repair_lets_in_what_somebody_blocked_by_hand(env: Env) -> None:
    given = [keyed(), keyed("l")]
    await env.enqueue(*given)
    with sqlite3.connect(env.store.url.removeprefix("sqlite:///")) as raw:
        raw.execute("UPDATE jobs SET ready = 0, blocked = 1")
    raw.close()
    assert await env.claim(10) == []
    assert [await env.store.jobs.unblock(limit=1) for _ in range(3)] == [1, 1, 0]
    jobs = await env.claim(10)
    assert [job.id for job in jobs] == [job.id for job in given]
    for job in jobs:
        await env.finish(job, Verdict.COMPLETE)
