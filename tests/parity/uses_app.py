"""What is promised of the app, its errors, and jobs, used."""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dispatch.registry import Registry as Names

from .promised import QUIET, get, row


@row(1)
async def use_dispatch(dispatch: Any) -> None:
    log = logging.getLogger("parity")
    opened = dispatch("memory://", logger=log, concurrency=3, queues=["a"], registry=Names(), config=QUIET)
    async with opened:
        engine = await opened.start()
        assert (engine.settings.concurrency, list(engine.settings.queues)) == (3, ["a"])


@row(2)
def use_config(config: Any) -> None:
    default = config.default()
    assert (default.concurrency, default.poll_interval, default.grace) == (
        10,
        timedelta(seconds=1),
        timedelta(seconds=25),
    )
    assert (default.heartbeat_interval, default.lease) == (timedelta(seconds=5), timedelta(seconds=30))


@row(3)
async def use_store(store: Any) -> None:
    parts = {name for name in vars(store) if not name.startswith("_")}
    assert {
        "jobs",
        "workflows",
        "dlq",
        "events",
        "cluster",
        "queues",
        "records",
        "stream",
        "migrate",
        "ping",
        "close",
    } <= parts
    made = get("dispatch.stores.memory.MemoryStore")()
    await made.open()
    await made.ping()
    assert [name for name in parts if not hasattr(made, name)] == []
    await made.close()


@row(4)
def use_entity(entity: Any) -> None:
    now = datetime.now(UTC)
    made = entity(id=get("dispatch.ids.JobID").new(), created_at=now, updated_at=now)
    assert made.created_at is now


@row(5)
def use_not_found(*names: Any) -> None:
    *missing, not_found, base, no_app, duplicate, invalid = names
    for kind in missing:
        with pytest.raises(LookupError):
            raise kind("gone")
        assert issubclass(kind, not_found)
    assert all(issubclass(kind, base) for kind in (not_found, no_app, duplicate, invalid))


@row(6)
async def use_conflicts(complete: Any, not_cancellable: Any, no_store: Any, app: Any) -> None:
    @app.registry.job
    async def work() -> None: ...

    await app.start()
    done = await work.enqueue()
    await done.result(timeout=5)
    with pytest.raises(complete):
        await done.cancel()
    await app.stop()
    waiting = await work.enqueue()
    await waiting.cancel()
    with pytest.raises(not_cancellable):
        await waiting.cancel()
    with pytest.raises(no_store):
        get("dispatch.Dispatch")(None)


@row(7)
async def use_engine(engine: Any, app: Any) -> None:
    assert app.engine is None
    await app.start()
    assert isinstance(app.engine, engine)
    assert app.engine.running


@row(8)
async def use_decorator(decorator: Any, register: Any, app: Any) -> None:
    other = Names()

    @other.job
    async def borrowed() -> int:
        return 1

    assert register(app, borrowed) is app.registry.jobs["borrowed"]
    assert decorator.__func__ is Names.job


@row(9)
async def use_enqueue(enqueue: Any, through_app: Any, options: Any, app: Any) -> None:
    @app.registry.job
    async def work(n: int) -> None: ...

    first = await enqueue(work, 1)
    second = await through_app(app, work, 2)
    when = datetime(2040, 1, 1, tzinfo=UTC)
    third = await options(work, run_at=when, priority=5, queue="other").enqueue(3)
    rows = [await handle.job() for handle in (first, second, third)]
    assert [job.payload for job in rows] == [b'{"n":1}', b'{"n":2}', b'{"n":3}']
    assert (rows[2].run_at, rows[2].priority, rows[2].queue) == (when, 5, "other")


@row(10)
async def use_start(start: Any, through_app: Any, execute: Any, register: Any, app: Any) -> None:
    other = Names()

    @other.workflow
    async def double(ctx: Any, n: int) -> int:
        return n * 2

    assert register(app, double) is app.registry.workflows["double", 1]
    await app.start()
    assert await (await start(double, 2)).result(timeout=5) == 4
    assert await (await through_app(app, double, 3)).result(timeout=5) == 6
    assert await execute(double, 4, timeout=5) == 8


@row(11)
async def use_settings_of_the_app(middleware: Any, hookimpl: Any, constant: Any, queue_config: Any) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    seen: list[str] = []

    async def around(job: Any, call_next: Any) -> Any:
        seen.append("middleware")
        return await call_next(job)

    class Plugin:
        @hookimpl
        def job_retrying(self, job: Any) -> None:
            seen.append("plugin")

    registry = Names()

    @registry.job
    async def work() -> int:
        if seen.count("middleware") == 1:
            raise ValueError
        return 7

    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    async with get("dispatch.Dispatch")(
        "memory://",
        registry=registry,
        config=QUIET,
        middleware=[around],
        plugins=[Plugin()],
        backoff=constant(0),
        queue_config=[queue_config("default", max_concurrency=2)],
        meter_provider=meters,
    ) as app:
        await app.start()
        assert await (await app.enqueue(work)).result(timeout=5) == 7
        assert (await app.queues.get("default")).config.max_concurrency == 2
    assert sorted(seen) == ["middleware", "middleware", "plugin"]
    assert reader.get_metrics_data() is not None
    meters.shutdown()
    assert middleware is get("dispatch.middleware.Middleware")


@row(12)
async def use_job(job: Any, state: Any, app: Any) -> None:
    assert [str(s) for s in state] == ["pending", "running", "retrying", "completed", "failed", "cancelled"]

    @app.registry.job
    async def work() -> None: ...

    handle = await work.enqueue()
    stored = await handle.job()
    assert isinstance(stored, job)
    assert stored.state is state.PENDING
    assert await handle.cancel() is state.CANCELLED


@row(13)
async def use_definition(definition: Any, app: Any) -> None:
    starts = 0

    @app.registry.job(max_retries=1, timeout=0.01, backoff=get("dispatch.backoff.Constant")(0))
    async def work() -> None:
        nonlocal starts
        starts += 1
        await asyncio.Event().wait()

    assert isinstance(work, definition)
    await app.start()
    job_id = (await app.jobs.enqueue_named("work")).id
    ended = await app.jobs.wait(job_id, timeout=5)
    assert (starts, ended.error.type) == (2, "HandlerTimeout")


@row(14)
def use_registry(registry: Any, handler: Any, tmp_path: Path) -> None:
    made = registry()

    @made.job
    async def work() -> None: ...

    assert (list(made.jobs), made.workflows, made.crons) == (["work"], {}, {})
    other = registry()
    assert other.add(work) is other.jobs["work"]
    (tmp_path / "parity_found.py").write_text("seen = True\n")
    try:
        assert made.discover("parity_found", folder=tmp_path).modules == ("parity_found",)
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["parity_found"]
    assert callable(handler)


@row(15)
async def use_job_store(store: Any, list_options: Any, count_options: Any, enqueue_options: Any, app: Any) -> None:
    await app.jobs.enqueue_named("work", {}, enqueue_options(queue="q", delay=60, max_retries=2, timeout=5))
    (job,) = (await app.store.jobs.list(list_options(queues=["q"]))).items
    assert (job.max_retries, job.timeout) == (2, 5.0)
    assert sum((await app.store.jobs.count(count_options(queues=["q"]))).values()) == 1
    assert [verb for verb in vars(store) if not verb.startswith("_") and not hasattr(app.store.jobs, verb)] == []
