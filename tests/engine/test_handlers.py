"""What a handler sees: its job, tenant, progress, effect key and resources."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dispatch.backoff import Constant
from dispatch.dlq.model import DLQState
from dispatch.errors import (
    JobFailed,
    ResourceFailed,
)
from dispatch.ids import JobID
from dispatch.jobs.context import current_job
from dispatch.jobs.model import JobState
from dispatch.registry import Registry
from dispatch.scope import Scope, capture, use_scope

from .conftest import Start
from .facts import eventually

AT_ONCE = Constant(0)


async def test_a_handler_sees_its_job(registry: Registry, start: Start) -> None:
    @registry.job(queue="mails")
    async def work() -> dict[str, Any]:
        ctx = current_job()
        return {
            "id": ctx.id,
            "queue": ctx.queue,
            "attempt": ctx.attempt,
            "metadata": ctx.metadata,
            "tenant": ctx.scope.tenant,
            "effect_key": ctx.effect_key,
            "epoch": ctx.epoch > 0,
        }

    await start()
    handle = await work.options(metadata={"by": "me"}).enqueue()
    assert await handle.result(timeout=5) == {
        "id": handle.id,
        "queue": "mails",
        "attempt": 1,
        "metadata": {"by": "me"},
        "tenant": "",
        "effect_key": handle.id,
        "epoch": True,
    }


@pytest.mark.parametrize("plain", [False, True])
async def test_the_tenant_travels_with_the_job_and_into_what_it_enqueues(
    registry: Registry, start: Start, plain: bool
) -> None:
    @registry.job
    async def child() -> str:
        return capture().tenant

    @registry.job
    async def parent() -> tuple[str, str]:
        return capture().tenant, (await child.enqueue()).id

    @registry.job
    def plain_parent() -> tuple[str, str]:
        return capture().tenant, child.sync.enqueue().id

    app = await start()
    with use_scope("shop", "t-42"):
        handle = await app.enqueue(plain_parent if plain else parent)
    tenant, child_id = await handle.result(timeout=5)
    assert tenant == "shop/t-42"
    grandchild = await app.jobs.wait(JobID(child_id), timeout=5)
    assert (grandchild.scope, grandchild.result) == (Scope("shop", "t-42"), b'"shop/t-42"')
    assert capture() == Scope()


async def test_progress_is_stored_while_the_job_runs(registry: Registry, start: Start) -> None:
    go = asyncio.Event()

    @registry.job
    async def work() -> None:
        current_job().progress(0.1, "one")
        current_job().progress(0.5, "half way")
        await go.wait()

    @registry.job
    def plain() -> None:
        current_job().progress(0.75)
        while not go.is_set():
            threading.Event().wait(0.001)

    app = await start()
    handles = [await app.enqueue(work), await app.enqueue(plain)]

    async def reported() -> bool:
        return [((j := await h.job()).progress, j.progress_note) for h in handles] == [(0.5, "half way"), (0.75, None)]

    await eventually(reported)
    go.set()
    for handle in handles:
        await handle.result(timeout=5)


async def test_an_effect_key_survives_retries_and_replay(registry: Registry, start: Start) -> None:
    keys: list[str] = []
    fixed = False

    @registry.job(max_retries=1, backoff=AT_ONCE)
    async def pay() -> None:
        keys.append(current_job().effect_key)
        if not fixed:
            raise ValueError("bug")

    app = await start()
    handle = await app.enqueue(pay)
    with pytest.raises(JobFailed):
        await handle.result(timeout=5)
    fixed = True
    (entry,) = (await app.dlq.list()).items
    new_id = await app.dlq.replay(entry.id)
    assert (await app.jobs.wait(new_id, timeout=5)).state is JobState.COMPLETED
    assert new_id != handle.id
    assert keys == [handle.id] * 3
    assert (await app.dlq.get(entry.id)).state is DLQState.REPLAYED


async def test_a_failed_job_can_be_retried_as_itself(registry: Registry, start: Start) -> None:
    fixed = False

    @registry.job(max_retries=0)
    async def work() -> str:
        if not fixed:
            raise ValueError("bug")
        return "fixed"

    app = await start()
    handle = await app.enqueue(work)
    with pytest.raises(JobFailed):
        await handle.result(timeout=5)
    fixed = True
    await app.jobs.retry(handle.id)
    assert await handle.result(timeout=5) == "fixed"
    assert await app.dlq.count() == 0


async def test_resources_live_as_long_as_the_worker(registry: Registry, start: Start) -> None:
    life: list[str] = []

    class Mailer:
        async def send(self) -> str:
            return "sent"

    @registry.lifespan
    async def mailer() -> AsyncIterator[Mailer]:
        life.append("open")
        yield Mailer()
        life.append("closed")

    @registry.job
    async def work() -> str:
        return await current_job().resources(Mailer).send()

    @registry.job(max_retries=0)
    async def wrong() -> object:
        return current_job().resources(Registry)

    app = await start()
    assert [await (await app.enqueue(work)).result(timeout=5) for _ in range(3)] == ["sent"] * 3
    with pytest.raises(JobFailed, match=r"no @lifespan function yields a Registry \(they yield Mailer\)"):
        await (await app.enqueue(wrong)).result(timeout=5)
    assert life == ["open"]
    await app.stop()
    assert life == ["open", "closed"]


async def test_a_lifespan_that_fails_fails_the_start_and_closes_the_others(registry: Registry, start: Start) -> None:
    life: list[str] = []

    @registry.lifespan
    async def first() -> AsyncIterator[int]:
        life.append("open")
        yield 1
        life.append("closed")

    @registry.lifespan
    async def second() -> AsyncIterator[str]:
        raise ConnectionError("no mail server")
        yield ""

    with pytest.raises(ResourceFailed, match=r"second \(.*test_handlers.py:\d+\) could not .* ConnectionError: no"):
        await start()
    assert life == ["open", "closed"]
