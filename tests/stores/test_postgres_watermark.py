"""Where claims on PostgreSQL begin while what is dead stands before what waits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dispatch.clock import utc_now
from dispatch.ids import WorkerID
from dispatch.stores import postgres_watermark
from dispatch.stores.postgres import PostgresStore
from dispatch.stores.postgres_watermark import Watermark
from dispatch.testing.conformance.env import new

WORKER = WorkerID.new()


def watch(store: PostgresStore) -> list[int]:
    """What each claim tells of how much it has met, as a list that grows."""
    met = [0]
    drive = store._executor._drive

    async def watched(connection: Any, plan: Any) -> Any:
        answer = await drive(connection, plan)
        met.append(getattr(answer, "met", met[-1]))
        return answer

    store._executor._drive = watched  # type: ignore[method-assign]
    return met


async def test_claims_behind_an_open_snapshot_begin_where_the_last_one_ended_and_still_find_what_comes_before(
    postgres: PostgresStore, admin: Any
) -> None:
    time = [0.0]
    postgres.jobs._watermark = Watermark(clock=lambda: time[0])
    met = watch(postgres)
    taken: list[str] = []

    async def take(limit: int) -> list[str]:
        claimed = await postgres.jobs.claim(WORKER, queues={"default": limit}, names=["work"], limit=limit, lease=60)
        taken.extend(job.id for job in claimed.jobs)
        return [job.id for job in claimed.jobs]

    async def enqueue_early() -> str:
        other = postgres.sibling()
        await other.open()
        (early,) = await other.jobs.enqueue([new("work", run_at=utc_now() - timedelta(days=1))])
        await other.close()
        return early.id

    async with admin.transaction(isolation="repeatable_read"):
        await admin.fetch(f'SELECT count(*) FROM "{postgres._place.namespace}".jobs')
        await postgres.jobs.enqueue([new("work") for _ in range(5_000)])
        while met[-1] <= 2_000 + 4 * 500:
            assert len(await take(500)) == 500
        await take(100)
        assert met[-1] < 500, "it went again through what is dead"
        early = await enqueue_early()
        assert early not in await take(1)
        time[0] += 1.0
        assert await take(1) == [early], "what another process put before the place is found a second later"
        (own,) = await postgres.jobs.enqueue([new("work", run_at=utc_now() - timedelta(days=1))])
        assert await take(1) == [own.id], "what this process put there is found at once"
        early = await enqueue_early()
        while await take(500):
            pass
        assert early in taken, "a claim that finds too little looks from the beginning"
    assert len(taken) == len(set(taken)) == 5_003


async def test_claims_behind_what_was_taken_and_not_vacuumed_begin_where_the_last_one_ended(
    postgres: PostgresStore, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    heavy, time = 200, [0.0]
    monkeypatch.setattr(postgres_watermark, "_HEAVY", heavy)
    postgres.jobs._watermark = Watermark(clock=lambda: time[0])
    met = watch(postgres)

    async def take(limit: int) -> int:
        claimed = await postgres.jobs.claim(WORKER, queues={"default": limit}, names=["work"], limit=limit, lease=60)
        return len(claimed.jobs)

    await admin.execute(f'ALTER TABLE "{postgres._place.namespace}".jobs SET (autovacuum_enabled = off)')
    await postgres.jobs.enqueue([new("work") for _ in range(4_500)])
    for _ in range(4):
        assert await take(1_000) == 1_000
    for _ in range(3):
        time[0] += 1.0
        assert await take(1) == 1
        assert met[-1] > heavy, "the index has dozens of pages of what was taken"
    assert await take(1) == 1
    assert met[-1] < heavy, "it went through them again"
