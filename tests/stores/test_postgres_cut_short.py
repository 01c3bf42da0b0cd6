"""Calls on PostgreSQL that end early, by a cancellation, a limit or a refusal, leave sound connections and rows."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg
import pytest
from postgres_calls import WORKER, claim, until
from servers.postgres import postgres_url

from dispatch.errors import DataRejected, StoreAway, StoreTimeout
from dispatch.jobs.model import CountOptions, Failure, JobState, Transition, Unique, Verdict
from dispatch.stores.postgres import PostgresStore
from dispatch.stores.sql.plan import Plan, Rows
from dispatch.testing.conformance.env import new


@pytest.mark.slow
async def test_a_call_cancelled_at_any_moment_poisons_no_connection(namespace: str) -> None:
    store = PostgresStore(postgres_url(), namespace=namespace, pool_size=1)
    await store.open()
    try:
        asked = 0
        for turns in range(40):
            for verb in (_enqueue_unique, _claim_and_finish, _count):
                call = asyncio.ensure_future(verb(store, f"k{asked}"))
                asked += 1
                for _ in range(turns):
                    await asyncio.sleep(0)
                call.cancel()
                await asyncio.wait([call])
        # one connection serves all of it: were it left in a transaction, this would see nothing or wait for ever
        job = new(queue="after")
        await store.jobs.enqueue([job])
        assert (await store.jobs.count(CountOptions(queues=["after"])))[JobState.PENDING] == 1
        counts = await store.jobs.count(CountOptions())
        assert sum(counts.values()) <= asked + 1
    finally:
        await store.close()


async def _enqueue_unique(store: PostgresStore, key: str) -> None:
    await store.jobs.enqueue([new(unique=Unique(key))])


async def _claim_and_finish(store: PostgresStore, key: str) -> None:
    for job in await claim(store, 2):
        await store.jobs.finish(WORKER, [Transition(job.id, job.epoch, Verdict.COMPLETE)])


async def _count(store: PostgresStore, key: str) -> None:
    await store.queues.list()


async def test_a_session_that_stood_still_for_too_long_is_told_as_such(namespace: str) -> None:
    store = PostgresStore(postgres_url(), namespace=namespace, command_timeout=4.0)
    await store.open()

    def stands_still() -> Plan[None]:
        yield Rows("own_transaction", {})
        time.sleep(1.2)  # the whole process: the limit is a quarter of the command's
        yield Rows("own_transaction", {})

    with pytest.raises(StoreAway, match="has ended the session, in which this process stood still"):
        await store._executor.run(stands_still)
    assert await store.queues.list() == []
    await store.close()


async def test_a_cancelled_write_is_done_all_the_same(postgres: PostgresStore) -> None:
    job = new()
    call = asyncio.ensure_future(postgres.jobs.enqueue([job]))
    for _ in range(3):
        await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])
    assert await until(lambda: postgres.jobs.get(job.id))


async def test_a_claim_is_not_made_for_a_caller_who_has_left(namespace: str, admin: Any) -> None:
    store = PostgresStore(postgres_url(), namespace=namespace, pool_size=1)
    await store.open()
    try:
        await store.jobs.enqueue([new()])
        async with admin.transaction():
            await admin.execute(f'LOCK TABLE "{namespace}".queues')
            blocker = asyncio.ensure_future(store.queues.list())  # holds the only connection
            await until(lambda: _waiting(namespace))
            late = asyncio.ensure_future(claim(store))
            await asyncio.sleep(0)
            late.cancel()
            await asyncio.wait([late])
        await blocker
        assert (await store.jobs.count(CountOptions()))[JobState.RUNNING] == 0
    finally:
        await store.close()


async def _waiting(namespace: str) -> bool:
    """Whether a session of the namespace waits for a lock."""
    connection = await asyncpg.connect(postgres_url())
    try:
        return bool(
            await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'",
                f"dispatch {namespace}",
            )
        )
    finally:
        await connection.close()


async def test_a_call_that_takes_too_long_is_told_and_its_connection_is_not_used_again(
    namespace: str, admin: Any
) -> None:
    store = PostgresStore(postgres_url(), namespace=namespace, pool_size=1, command_timeout=0.5)
    await store.open()
    try:
        await store.ping()
        async with admin.transaction():
            await admin.execute(f'LOCK TABLE "{namespace}".jobs')
            with pytest.raises(StoreTimeout):
                await store.jobs.enqueue([new()])
        await store.jobs.enqueue([new()])
    finally:
        await store.close()


async def test_a_refused_value_leaves_nothing_of_its_write_and_a_sound_connection(namespace: str) -> None:
    store = PostgresStore(postgres_url(), namespace=namespace, pool_size=1)
    await store.open()
    try:
        for bad in ("\0", "\ud800"):
            for unique in (None, Unique("k")):
                with pytest.raises(DataRejected):
                    await store.jobs.enqueue([new(), new(queue=bad, unique=unique)])
        with pytest.raises(DataRejected):
            await store.jobs.enqueue([new(priority=1 << 70)])
        assert sum((await store.jobs.count(CountOptions())).values()) == 0
        assert (await store.jobs.enqueue([new()]))[0].created
    finally:
        await store.close()


async def test_a_failure_whose_message_holds_a_zero_byte_is_kept(postgres: PostgresStore) -> None:
    await postgres.jobs.enqueue([new()])
    (job,) = await claim(postgres)
    failure = Failure("E", "a\0b", "trace\0back")
    said = Transition(job.id, job.epoch, Verdict.FAIL, failure=failure, dead_letter=True, reason="why\0")
    (answer,) = await postgres.jobs.finish(WORKER, [said])
    assert answer.state is JobState.FAILED
    row = await postgres.jobs.get(job.id)
    assert row is not None
    assert row.error == Failure("E", "a\\x00b", "trace\\x00back")


async def test_a_row_that_no_job_can_be_read_from_is_refused_by_the_table(
    postgres: PostgresStore, namespace: str, admin: Any
) -> None:
    await postgres.jobs.enqueue([new()])
    for change in ("run_at = 1000000000000000000", "state = 'odd'", "lease_until = -100000000000000000"):
        with pytest.raises(asyncpg.CheckViolationError):
            await admin.execute(f'UPDATE "{namespace}".jobs SET {change}')
    assert len(await claim(postgres)) == 1
