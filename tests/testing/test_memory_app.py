"""The life of a memory app: what it is made of, when it is entered and left, and what is refused afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar

import pytest

from dispatch import testing
from dispatch.errors import NoOpenApp, UsageError
from dispatch.jobs.context import current_job
from dispatch.registry import Registry
from dispatch.testing import MemoryApp, WorkDone


async def test_closing_cancels_what_still_runs(registry: Registry) -> None:
    begun, ended = asyncio.Event(), []

    @registry.job
    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    async with testing.app(registry) as app:
        await wait.enqueue()
        run = asyncio.create_task(app.run_until_idle())
        await begun.wait()
        run.cancel()
        await asyncio.wait([run])
    assert ended == [1]


async def test_a_started_worker_and_run_until_idle_do_not_mix(registry: Registry) -> None:
    async with testing.app(registry) as app:
        await app.start()
        with pytest.raises(UsageError, match=r"app\.stop"):
            await app.run_until_idle()
        await app.stop()
        assert await app.run_until_idle() == WorkDone()


async def test_the_environment_does_not_reach_into_the_app(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPATCH_MAX_RETRIES", "77")
    async with testing.app(registry) as app:
        assert app.config.max_retries == 3
        assert app.store.url == "memory://"


async def test_definitions_may_come_after_the_first_run(registry: Registry) -> None:
    async with testing.app(registry) as app:
        await app.run_until_idle()

        @registry.job(queue="late")
        async def late() -> None: ...

        await late.enqueue()
        assert await app.run_until_idle() == WorkDone(completed=1)


async def test_the_worker_is_seen_alive_while_the_clock_moves(registry: Registry) -> None:
    async with testing.app(registry) as app:
        assert await app.workers.list(live=True) == []
        await app.travel("3d")
        assert len(await app.workers.list(live=True)) == 1


async def test_a_closed_app_says_so(registry: Registry) -> None:
    with pytest.raises(NoOpenApp, match="this app is not open"):
        await testing.app(registry).run_until_idle()


async def test_lifespans_are_entered_at_the_first_run_and_left_where_they_were_entered(registry: Registry) -> None:
    seen: list[object] = []
    var: ContextVar[str] = ContextVar("var", default="outside")

    @registry.lifespan
    async def resource() -> AsyncIterator[list[object]]:
        task = asyncio.current_task()
        var.set("inside")
        async with asyncio.TaskGroup():
            yield seen
        seen.append(asyncio.current_task() is task)

    @registry.job
    async def use() -> None:
        current_job().resources(list).append(var.get())

    app = await testing.app(registry).open()
    await use.enqueue()
    await asyncio.create_task(_run(app))
    await asyncio.create_task(app.close())
    assert seen == ["inside", True]
    assert var.get() == "outside"


async def _run(app: MemoryApp) -> None:
    await app.run_until_idle()


async def test_a_lifespan_that_fails_raises_where_the_run_was_asked_for(registry: Registry) -> None:
    @registry.lifespan
    async def broken() -> AsyncIterator[int]:
        raise OSError("no database")
        yield 1

    async with testing.app(registry) as app:
        for _ in range(2):
            with pytest.raises(OSError, match="no database"):
                await app.run_until_idle()
