"""The measures: each takes a bench with an empty queue and answers figures by name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, nullcontext

from dispatch import Dispatch
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import NewJob
from dispatch.stores.scratch import scratch

from .bench import Bench
from .postgres import deadlocks, is_postgres, open_snapshot
from .work import noop

CHUNK = 1000
CLAIMED = 100
Figures = dict[str, float | list[float]]


def one_blocking(bench: Bench, *, jobs: int) -> Figures:
    """Single enqueues one after the other, from synchronous code."""
    with Dispatch(bench.url):
        enqueue = noop.options(queue=bench.queue).sync.enqueue
        enqueue()
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(jobs):
            enqueue()
        return _rate(jobs, wall, cpu)


def one_awaited(bench: Bench, *, jobs: int) -> Figures:
    """Single enqueues one after the other, on an event loop."""
    return asyncio.run(_awaited(bench, jobs, at_once=1))


def concurrent(bench: Bench, *, jobs: int, at_once: int) -> Figures:
    """Single enqueues by that many tasks of one process."""
    return asyncio.run(_awaited(bench, jobs, at_once=at_once))


def bulk(bench: Bench, *, jobs: int) -> Figures:
    """enqueue_many of CHUNK jobs each."""
    return asyncio.run(preload(bench, jobs))


def drain(bench: Bench, *, jobs: int, workers: int, backlog: int | None = None) -> Figures:
    """Workers take `jobs` of a backlog that was there before them (None: exactly those)."""
    asyncio.run(preload(bench, backlog or jobs))
    for _ in range(workers):
        bench.start_worker()
    begun = bench.wait_for(1)
    cpu = bench.cpu_seconds()
    noted = bench.wait_for(jobs)
    used = bench.cpu_seconds() - cpu
    return {
        "per_second": (noted.started - 1) / ((noted.last - noted.first) / 1e9),
        "cpu_us": used / max(1, noted.started - begun.started) * 1e6,
        "resident_mib": bench.resident_mib(),
    }


def fleet(bench: Bench, *, jobs: int, workers: int) -> Figures:
    """A drain by several processes; on PostgreSQL also how many deadlocks the server had to resolve meanwhile."""
    before = deadlocks(bench.url) if is_postgres(bench.url) else 0
    found = drain(bench, jobs=jobs, workers=workers)
    return found | {"deadlocks": float(deadlocks(bench.url) - before)} if is_postgres(bench.url) else found


def claims(bench: Bench, *, backlogs: Sequence[int], rounds: int = 50) -> dict[str, Figures]:
    """Claims of CLAIMED jobs each from stores in which so many wait, in turn, so that all meet the same machine."""
    return asyncio.run(_claims(bench, backlogs, rounds))


def snapshot(bench: Bench, *, seconds: float, held: bool) -> Figures:
    """A worker never out of work for so long, while another session holds a snapshot open (or not); PostgreSQL only."""
    return asyncio.run(_snapshot(bench, seconds, held))


def latency(bench: Bench, *, jobs: int, period: float = 0.025) -> Figures:
    """From enqueue to start on an idle worker, another process enqueuing one job a period (seconds)."""
    asyncio.run(preload(bench, 1))
    bench.start_worker()
    bench.wait_for(1)
    time.sleep(1)
    asyncio.run(_send(bench, jobs, period))
    waits = bench.wait_for(1 + jobs).waits
    return {"p50_ms": _share(waits, 0.5), "p95_ms": _share(waits, 0.95), "p99_ms": _share(waits, 0.99), "waits": waits}


def cold(bench: Bench) -> Figures:
    """From the start of a worker process to the start of its first job."""
    asyncio.run(preload(bench, 1))
    began = bench.start_worker()
    return {"seconds": bench.wait_for(1).first / 1e9 - began}


def idle(bench: Bench, *, seconds: float) -> Figures:
    """What a worker costs that has nothing to do."""
    asyncio.run(preload(bench, 1))
    bench.start_worker()
    bench.wait_for(1)
    time.sleep(2)
    cpu, wall = bench.cpu_seconds(), time.perf_counter()
    time.sleep(seconds)
    return {"cpu_percent": (bench.cpu_seconds() - cpu) / (time.perf_counter() - wall) * 100}


async def preload(bench: Bench, jobs: int) -> Figures:
    """Puts a backlog into the queue, and tells how fast."""
    async with Dispatch(bench.url):
        many = noop.options(queue=bench.queue).enqueue_many
        wall, cpu = time.perf_counter(), time.process_time()
        for done in range(0, jobs, CHUNK):
            await many([((), {})] * min(CHUNK, jobs - done))
        return _rate(jobs, wall, cpu)


async def _claims(bench: Bench, backlogs: Sequence[int], rounds: int) -> dict[str, Figures]:
    worker = WorkerID.new()
    waits: dict[int, list[float]] = {backlog: [] for backlog in backlogs}
    async with AsyncExitStack() as stack:
        stores = {}
        for backlog in backlogs:
            make = await stack.enter_async_context(scratch(bench.url))
            stores[backlog] = await make(None)
            await stores[backlog].open()
            stack.push_async_callback(stores[backlog].close)
            for _ in range(0, backlog, CHUNK):
                await stores[backlog].jobs.enqueue([NewJob(JobID.new(), noop.name, b"{}") for _ in range(CHUNK)])
        for _ in range(min(rounds, min(backlogs) // CLAIMED)):
            for backlog, store in stores.items():
                began = time.perf_counter()
                shares = {"default": CLAIMED}
                found = await store.jobs.claim(worker, queues=shares, names=[noop.name], limit=CLAIMED, lease=600.0)
                waits[backlog].append((time.perf_counter() - began) * 1000)
                assert len(found.jobs) == CLAIMED
    return {
        str(backlog): {"p50_ms": _share(sorted(found), 0.5), "p95_ms": _share(sorted(found), 0.95)}
        for backlog, found in waits.items()
    }


async def _snapshot(bench: Bench, seconds: float, held: bool) -> Figures:
    made, least = 4 * CHUNK, 2 * CHUNK
    await preload(bench, made)
    async with Dispatch(bench.url), open_snapshot(bench.url) if held else nullcontext():
        many = noop.options(queue=bench.queue).enqueue_many
        bench.start_worker()
        bench.wait_for(1)
        began = time.monotonic()
        seen = [(0.0, bench.wait_for(1).started)]
        while seen[-1][0] < seconds:
            while made - bench.wait_for(1).started < least:
                await many([((), {})] * CHUNK)
                made += CHUNK
            await asyncio.sleep(0.02)
            seen.append((time.monotonic() - began, bench.wait_for(1).started))
    first = next(point for point in seen if point[0] >= seconds / 6)
    last = max(point for point in seen if point[0] <= seconds * 5 / 6)
    return {"first_sixth": _between(seen[0], first), "last_sixth": _between(last, seen[-1])}


def _between(one: tuple[float, int], other: tuple[float, int]) -> float:
    return (other[1] - one[1]) / (other[0] - one[0])


async def _awaited(bench: Bench, jobs: int, *, at_once: int) -> Figures:
    async with Dispatch(bench.url):
        enqueue: Callable[[], Awaitable[object]] = noop.options(queue=bench.queue).enqueue
        await enqueue()

        async def one_after_the_other() -> None:
            for _ in range(jobs // at_once):
                await enqueue()

        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
        return _rate(jobs // at_once * at_once, wall, cpu)


async def _send(bench: Bench, jobs: int, period: float) -> None:
    async with Dispatch(bench.url):
        due = time.monotonic()
        for _ in range(jobs):
            due += period
            await asyncio.sleep(due - time.monotonic())
            await noop.options(queue=bench.queue).enqueue(time.monotonic_ns())


def _rate(jobs: int, wall: float, cpu: float) -> Figures:
    return {
        "per_second": jobs / (time.perf_counter() - wall),
        "cpu_us": (time.process_time() - cpu) / jobs * 1e6,
    }


def _share(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
