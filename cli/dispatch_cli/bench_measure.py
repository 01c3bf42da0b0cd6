"""What `dispatch bench` measures: enqueues one by one and in bulk, a drain, and the way from enqueue to start."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dispatch import Dispatch
from dispatch.config import Config
from dispatch.engine.run import RunOptions, WorkerReady, run_worker
from dispatch.jobs.definition import JobDefinition
from dispatch.registry import Registry
from dispatch.stores.scratch import MakeScratch

T = TypeVar("T")

SINGLES = 500
SAMPLES = 100
_CHUNK = 1000
_GAP = 0.02
"""Seconds between two enqueues whose way is measured, so that the worker is idle in between."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured."""

    one_per_second: float
    bulk_per_second: float
    drain_per_second: float
    latency_p50_seconds: float
    latency_p95_seconds: float
    latency_p99_seconds: float


class _Runs:
    """Hears of every start of the job."""

    def __init__(self) -> None:
        self.count = 0
        self.waited_for = 0
        self.reached = asyncio.Event()
        self.started: dict[int, float] = {}

    def note(self, number: int) -> None:
        self.count += 1
        self.started[number] = time.perf_counter()
        if self.count >= self.waited_for:
            self.reached.set()

    async def until(self, count: int) -> None:
        self.waited_for = count
        if self.count < count:
            self.reached.clear()
            await self.reached.wait()


async def measure(
    make_store: MakeScratch, config: Config, *, jobs: int, concurrency: int, tick: Callable[[int], None]
) -> Figures:
    """Measures in one process, on one empty store: the worker and who enqueues share this loop.

    Args:
        jobs: how many are enqueued in bulk and drained; the single ones are at most SINGLES more.
        concurrency: jobs at once in the worker.
        tick: told how many more jobs were enqueued or done.
    """
    runs, registry = _Runs(), Registry()

    @registry.job
    async def noop(number: int) -> None:
        runs.note(number)

    plain = config.model_copy(update={"queue": {}, "queues": [], "plugins": []})
    store = await make_store(None)
    async with Dispatch(store, config=plain, registry=registry, concurrency=concurrency) as app:
        singles = min(SINGLES, jobs)
        one = await _one_by_one(noop, singles, tick)
        bulk = await _in_bulk(noop, jobs, tick)
        ready, stop = asyncio.Event(), asyncio.Event()

        def on_ready(worker: WorkerReady) -> None:
            ready.set()

        began = time.perf_counter()
        worker = asyncio.create_task(run_worker(app, RunOptions(signals=False, on_ready=on_ready), stop=stop))
        try:
            await _or_death(ready.wait(), worker)
            await _or_death(runs.until(singles + jobs), worker)
            drain = (singles + jobs) / (time.perf_counter() - began)
            tick(singles + jobs)
            ways = await _or_death(_ways(noop, runs, tick), worker)
        finally:
            stop.set()
            await worker
    return Figures(one, bulk, drain, *(percentile(ways, share) for share in (50, 95, 99)))


async def _one_by_one(noop: JobDefinition[[int], None], count: int, tick: Callable[[int], None]) -> float:
    began = time.perf_counter()
    for number in range(count):
        await noop.enqueue(number)
        tick(1)
    return count / (time.perf_counter() - began)


async def _in_bulk(noop: JobDefinition[[int], None], count: int, tick: Callable[[int], None]) -> float:
    began = time.perf_counter()
    for start in range(0, count, _CHUNK):
        numbers = range(start, min(start + _CHUNK, count))
        await noop.enqueue_many([((number,), {}) for number in numbers])
        tick(len(numbers))
    return count / (time.perf_counter() - began)


async def _ways(noop: JobDefinition[[int], None], runs: _Runs, tick: Callable[[int], None]) -> list[float]:
    """Seconds from the call that enqueues to the start of the job, on an idle worker."""
    ways = []
    for number in range(SAMPLES):
        await asyncio.sleep(_GAP)
        before = runs.count
        began = time.perf_counter()
        await noop.enqueue(-number)
        await runs.until(before + 1)
        ways.append(runs.started[-number] - began)
        tick(1)
    return ways


async def _or_death(work: Coroutine[Any, Any, T], worker: asyncio.Task[Any]) -> T:
    """What the work answers; a worker that dies meanwhile raises what killed it."""
    task = asyncio.ensure_future(work)
    await asyncio.wait([task, worker], return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        worker.result()
        raise RuntimeError("the worker stopped in the middle of the measurement")
    return task.result()


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` percent of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * share / 100) - 1)]
