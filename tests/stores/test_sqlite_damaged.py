"""Rows of a SQLite store that somebody edited into nonsense: they become dead letters, and the others are claimed."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dispatch.clock import ManualClock
from dispatch.dlq import DLQState, ListOptions
from dispatch.entity import Reply
from dispatch.ids import JobID
from dispatch.jobs.model import JobState, Unique, Verdict
from dispatch.stores.sqlite import SQLiteStore
from dispatch.testing.conformance.env import Env, new

PAYLOAD = b'{"a": [1]}\x00\xff'


@pytest.fixture
async def env(tmp_path: Path) -> AsyncIterator[Env]:
    clock = ManualClock()
    store = SQLiteStore(tmp_path / "jobs.db", clock=clock)
    await store.open()
    yield Env(store, clock)
    await store.close()


def edit(env: Env, change: str, job_id: JobID) -> None:
    with sqlite3.connect(env.store.url.removeprefix("sqlite:///")) as raw:
        assert raw.execute(f"UPDATE jobs SET {change} WHERE id = ?", [str(job_id)]).rowcount == 1
    raw.close()


DAMAGE = [
    "created_at = 'today'",
    "updated_at = x'00'",
    f"run_at = {-(2**62)}",
    "run_at = 'soon'",
    "started_at = 'then'",
    "expires_at = 'later'",
    "scheduled_at = 1e300",
    "priority = 'high'",
    "failures = 'many'",
    "crashes = 'some'",
    "epoch = 'last'",
    "state = 'bogus'",
    "app_id = x'ff'",
    "timeout = 'long'",
    "max_retries = 'ever'",
]


@pytest.mark.parametrize("change", DAMAGE)
async def test_a_damaged_row_becomes_a_dead_letter_and_the_others_are_claimed(env: Env, change: str) -> None:
    before, damaged, after = (
        await env.add(),
        await env.add(payload=PAYLOAD, unique=Unique("u"), concurrency_key="k", concurrency_max=1),
        await env.add(concurrency_key="k", concurrency_max=1),
    )
    edit(env, change, damaged)
    taken = [job.id for job in await env.claim(10)]
    taken += [job.id for job in await env.claim(10)]
    row = await env.job(damaged)
    assert sorted(taken) == [before, after]
    assert (row.state, row.reason, row.payload) == (JobState.FAILED, "row_damaged", PAYLOAD)
    (letter,) = (await env.store.dlq.list(ListOptions(states=(DLQState.OPEN,)))).items
    assert (letter.job_id, letter.payload, letter.reason) == (damaged, PAYLOAD, "row_damaged")
    assert letter.error is not None
    assert "replay or discard" in letter.error.message
    await env.add(unique=Unique("u"))
    assert len(await env.jobs()) == 4


async def test_a_replay_of_a_damaged_job_runs_with_its_payload(env: Env) -> None:
    damaged = await env.add(payload=PAYLOAD)
    edit(env, "created_at = 'today'", damaged)
    assert await env.claim(10) == []
    (letter,) = (await env.store.dlq.list(ListOptions())).items
    new_id = JobID.new()
    assert (await env.store.dlq.replay(letter.id, new_id)).reply is Reply.APPLIED
    (job,) = await env.claim(10)
    assert (job.id, job.payload) == (new_id, PAYLOAD)


async def test_many_damaged_rows_do_not_hold_up_a_claim(env: Env) -> None:
    await env.enqueue(*(new(priority=9) for _ in range(700)))
    with sqlite3.connect(env.store.url.removeprefix("sqlite:///")) as raw:
        raw.execute("UPDATE jobs SET created_at = 'today'")
    raw.close()
    sound = await env.add()
    assert [job.id for job in await env.claim(10)] == [sound]
    assert await env.store.dlq.count(ListOptions()) == 700


async def test_a_running_row_that_was_damaged_is_mended_and_stolen(env: Env) -> None:
    job = await env.start(payload=PAYLOAD)
    other = await env.start()
    edit(env, "created_at = 'today', metadata = 5", job.id)
    env.clock.advance(60)
    assert {stolen.job.id for stolen in await env.steal()} == {job.id, other.id}
    (again, _) = sorted(await env.claim(10), key=lambda found: found.payload != PAYLOAD)
    assert (again.id, again.payload) == (job.id, PAYLOAD)
    assert (await env.finish(again, Verdict.COMPLETE)).reply is Reply.APPLIED
