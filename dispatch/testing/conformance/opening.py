"""A store's life: schema, siblings on the same data, wake-ups, closing."""

from __future__ import annotations

import asyncio

from dispatch.errors import StoreError
from dispatch.jobs.model import Verdict
from dispatch.testing.conformance.env import Env, new, raises
from dispatch.testing.conformance.registry import case


@case()
async def an_open_store_answers_and_has_the_schema_it_wants(env: Env) -> None:
    await env.store.ping()
    schema = await env.store.schema()
    assert (schema.current, schema.pending) == (schema.wanted, ())
    assert schema.current >= 1
    assert await env.store.migrate() == []
    assert "://" in env.store.url


@case("I1")
async def a_sibling_sees_and_changes_the_same_data(env: Env) -> None:
    sibling = await env.sibling()
    job_id = await env.add()
    job = await env.take(via=sibling)
    assert job.id == job_id
    assert (await env.job(job_id)).worker_id == env.worker
    await env.finish(job, Verdict.COMPLETE, via=sibling)
    assert (await env.job(job_id)).state.terminal
    await sibling.close()
    assert (await env.job(job_id)).state.terminal, "closing a sibling leaves the store open"


@case()
async def closing_twice_is_no_error_and_a_closed_store_says_so(env: Env) -> None:
    sibling = await env.sibling()
    await sibling.close()
    await sibling.close()
    with raises(StoreError):
        await sibling.ping()


@case()
async def a_write_wakes_who_waits(env: Env) -> None:
    sibling = await env.sibling()
    for writer in (env.store, sibling):
        seen = env.store.wakeups.version
        waiter = asyncio.ensure_future(env.store.wakeups.wait(seen, timeout=20.0))
        await asyncio.sleep(0)
        await writer.jobs.enqueue([new()])
        async with asyncio.timeout(10):
            assert await waiter != seen


@case()
async def a_change_that_came_before_the_wait_is_not_slept_through(env: Env) -> None:
    sibling = await env.sibling()
    seen = env.store.wakeups.version
    job = await env.start()
    await env.finish(job, Verdict.COMPLETE, via=sibling)
    async with asyncio.timeout(10):
        assert await env.store.wakeups.wait(seen, timeout=20.0) != seen


@case()
async def a_wait_in_vain_ends_with_its_timeout(env: Env) -> None:
    seen = env.store.wakeups.version
    async with asyncio.timeout(10):
        assert await env.store.wakeups.wait(seen, timeout=0.01) >= seen
