"""Jobs from enqueue to end, on a worker that neither polls nor beats in time: everything here is told to it."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from dispatch.backoff import Constant
from dispatch.clock import SystemClock, boot_seconds, utc_now
from dispatch.current import using_app
from dispatch.jobs.context import current_job
from dispatch.queues import QueueConfig
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore

from .conftest import QUICK, Start
from .facts import enqueued, eventually

AT_ONCE = Constant(0)


class Order(BaseModel):
    id: int
    lines: list[str] = []


async def test_a_coroutine_and_a_plain_function_are_run_with_typed_arguments(registry: Registry, start: Start) -> None:
    @registry.job
    async def later(order: Order, *, factor: int = 2) -> Order:
        return Order(id=order.id * factor, lines=[threading.current_thread().name])

    @registry.job
    def now(order: Order) -> list[str]:
        return [*order.lines, threading.current_thread().name]

    app = await start()
    result = await (await app.enqueue(later, Order(id=4), factor=5)).result(timeout=5)
    assert result == Order(id=20, lines=["MainThread"])
    assert "dispatch-job-" in (await (await app.enqueue(now, Order(id=1, lines=["a"]))).result(timeout=5))[1]


async def test_an_enqueue_wakes_an_idle_worker(registry: Registry, start: Start) -> None:
    @registry.job
    async def work() -> float:
        return boot_seconds()

    app = await start()
    await eventually(lambda: app.engine is not None and app.engine.idle)
    asked = boot_seconds()
    begun = await (await app.enqueue(work)).result(timeout=5)
    assert begun - asked < 0.5


async def test_as_many_run_at_once_as_there_are_slots(registry: Registry, start: Start) -> None:
    running, most = 0, 0
    go = asyncio.Event()

    @registry.job
    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1

    app = await start(concurrency=3)
    handles = await _many(app, work, 10)
    await eventually(lambda: running == 3)
    go.set()
    await asyncio.gather(*(handle.result(timeout=5) for handle in handles))
    assert most == 3


async def _many(app: Any, definition: Any, count: int) -> list[Any]:
    with using_app(app):
        handles: list[Any] = await definition.enqueue_many([((), {})] * count)
    return handles


async def test_a_queue_s_own_cap_holds_and_does_not_slow_it_down(registry: Registry, start: Start) -> None:
    running, most = 0, 0

    @registry.job(queue="narrow")
    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    app = await start(concurrency=10)
    await app.stop()
    engine = app.build_engine(queues={"narrow": 2, "default": 0})
    await engine.start()
    app.engine = engine
    handles = await _many(app, work, 40)
    async with asyncio.timeout(3):
        await asyncio.gather(*(handle.result() for handle in handles))
    assert most == 2


async def test_a_store_wide_limit_holds_and_does_not_slow_a_queue_down(registry: Registry, start: Start) -> None:
    running, most = 0, 0

    @registry.job(queue="limited")
    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    app = await start(app={"queue_config": [QueueConfig("limited", max_concurrency=2)]})
    handles = await _many(app, work, 40)
    async with asyncio.timeout(3):
        await asyncio.gather(*(handle.result() for handle in handles))
    assert most == 2


async def test_higher_priorities_go_first_and_equals_in_order(registry: Registry, start: Start) -> None:
    order: list[int] = []

    @registry.job
    async def work(n: int) -> None:
        order.append(n)

    store = MemoryStore()
    app = await start(store=store, concurrency=1)
    await app.stop()
    for n, priority in enumerate([0, 0, 5, -5, 5]):
        await enqueued(app, work.options(priority=priority).enqueue(n))
    await app.start()
    await eventually(lambda: len(order) == 5)
    assert order == [2, 4, 0, 1, 3]


async def test_a_delayed_job_starts_on_time(registry: Registry, start: Start) -> None:
    @registry.job
    async def work() -> float:
        return boot_seconds()

    app = await start()
    asked = boot_seconds()
    handle = await work.options(delay=0.3).enqueue()
    at = await work.options(run_at=utc_now() + timedelta(seconds=0.2)).enqueue()
    assert 0.3 <= await handle.result(timeout=5) - asked < 0.6
    assert 0.19 <= await at.result(timeout=5) - asked < 0.5
    assert app.engine is not None


async def test_an_earlier_job_overtakes_the_wait_for_a_later_one(registry: Registry, start: Start) -> None:
    @registry.job
    async def work() -> None: ...

    await start()
    await work.options(delay=3600).enqueue()
    await (await work.options(delay=0.05).enqueue()).result(timeout=5)


async def test_the_store_s_clock_says_when_a_job_is_due(registry: Registry, start: Start) -> None:
    class Ahead(SystemClock):
        def now(self) -> Any:
            return super().now() + timedelta(hours=3)

    @registry.job
    async def work() -> None: ...

    await start(store=MemoryStore(clock=Ahead()))
    asked = boot_seconds()
    await (await work.options(delay=0.2).enqueue()).result(timeout=5)
    assert boot_seconds() - asked < 1.0


async def test_many_jobs_of_every_kind_end_exactly_once(registry: Registry, start: Start) -> None:
    ends: dict[str, int] = {}

    @registry.job(max_retries=3, backoff=AT_ONCE)
    async def work(n: int) -> int:
        if n % 7 == 0 and current_job().attempt < 3:
            raise ValueError(str(n))
        ends[current_job().id] = ends.get(current_job().id, 0) + 1
        return n

    @registry.job
    def plain(n: int) -> int:
        return n

    app = await start(**{**QUICK, "lease": 30, "heartbeat_interval": 1})
    handles = await work.enqueue_many([((n,), {}) for n in range(300)])
    handles += await plain.enqueue_many([((n,), {}) for n in range(100)])
    results = await asyncio.gather(*(handle.result(timeout=10) for handle in handles))
    assert results == [*range(300), *range(100)]
    assert set(ends.values()) == {1}
    assert app.engine is not None
    assert app.engine.tally.completed == 400
    assert app.engine.tally.stale == 0
