"""Jobs that nobody alive can run wait out of the way, say why, and run when somebody can."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.clock import boot_seconds
from dispatch.engine.sweeper import BATCH
from dispatch.errors import InvalidArguments
from dispatch.ids import JobID
from dispatch.jobs.model import JobState, NewJob
from dispatch.queues import QueueConfig
from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore

from .conftest import QUICK, Start
from .facts import eventually


async def summary(app: Any, job_id: JobID) -> str:
    return str((await app.jobs.explain(job_id)).summary)


async def test_an_unknown_name_waits_is_explained_and_runs_once_a_worker_knows_it(
    registry: Registry, start: Start
) -> None:
    @registry.job
    async def known() -> None: ...

    store = MemoryStore()
    app = await start(store=store)
    job_id = (await app.jobs.enqueue_named("mystery", {"n": 3})).id
    assert "no live worker announces 'mystery': start one whose module defines it" in await summary(app, job_id)
    other = Registry()

    @other.job
    async def mystery(n: int) -> int:
        return n * 2

    assert mystery.name == "mystery"
    await start(store=store.sibling(), app={"registry": other})
    ended = await app.jobs.wait(job_id, timeout=5)
    assert (ended.state, ended.result) == (JobState.COMPLETED, b"6")


async def test_a_job_nobody_serves_is_set_aside_and_comes_back(registry: Registry, start: Start) -> None:
    @registry.job
    async def known() -> None: ...

    store = MemoryStore()
    app = await start(store=store, **{**QUICK, "unserved_after": 0.05})
    job_id = (await app.jobs.enqueue_named("mystery")).id
    await eventually(lambda: _set_aside(app, job_id))
    assert "(set aside until then)" in await summary(app, job_id)
    other = Registry()

    @other.job
    async def mystery() -> str:
        return "here"

    await start(store=store.sibling(), app={"registry": other})
    assert mystery.name == "mystery"
    assert (await app.jobs.wait(job_id, timeout=5)).result == b'"here"'


async def test_the_log_is_told_once_of_many_jobs_that_nobody_serves(
    registry: Registry, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    app = await start(store=store)
    many = [NewJob(JobID.new(), "mystery", b"[]") for _ in range(2 * BATCH + 3)]
    await store.jobs.enqueue(many)
    await start(store=store.sibling(), **{**QUICK, "unserved_after": 0.05})
    await eventually(lambda: _set_aside(app, many[-1].id))
    await eventually(lambda: _told(caplog))
    told = [record.getMessage() for record in caplog.records if "were set aside" in record.getMessage()]
    assert [line.split()[0] for line in told] == [str(len(many))]


async def _told(caplog: pytest.LogCaptureFixture) -> bool:
    return "were set aside" in caplog.text


async def _set_aside(app: Any, job_id: JobID) -> bool:
    return bool((await app.jobs.get(job_id)).set_aside)


async def test_with_a_grace_what_nobody_knows_becomes_a_dead_letter(
    registry: Registry, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    app = await start(**{**QUICK, "unserved_after": 0.02, "unknown_grace": 0.05})
    job_id = (await app.jobs.enqueue_named("mystery")).id
    ended = await app.jobs.wait(job_id, timeout=5)
    assert (ended.state, ended.reason) == (JobState.FAILED, "no_handler")
    (entry,) = (await app.dlq.list()).items
    assert (entry.job_id, entry.reason) == (job_id, "no_handler")
    assert f"{entry.id} became a dead letter: nobody served it" in caplog.text


async def test_every_gate_explains_itself(registry: Registry, start: Start) -> None:
    @registry.job
    async def work() -> None: ...

    app = await start(store=MemoryStore(), app={"queue_config": [QueueConfig("narrow", max_concurrency=1)]})
    later = await work.options(delay=3600).enqueue()
    assert "not due: scheduled, due in 1.0 h" in await summary(app, later.id) or "60.0 min" in await summary(
        app, later.id
    )
    await app.queues.pause("default", by="ops", reason="database migration", duration=600)
    paused = await work.enqueue()
    assert (await summary(app, paused.id)).startswith(
        "queue 'default' is paused by ops (database migration) for another 10.0 min (until "
    )
    await app.queues.resume("default")
    assert await paused.result(timeout=5) is None
    assert "completed" in await summary(app, paused.id)
    elsewhere = await work.options(queue="nowhere").enqueue()
    assert "no live worker that knows 'work' serves queue 'nowhere': start one with -q nowhere" in await summary(
        app, elsewhere.id
    )
    await app.stop()
    idle = await work.enqueue()
    assert "no worker is alive: start one with `dispatch run" in await summary(app, idle.id)


async def test_a_pause_holds_and_a_resume_wakes(registry: Registry, start: Start) -> None:
    @registry.job
    async def work() -> int:
        return 1

    app = await start()
    await app.queues.pause("default")
    handle = await work.enqueue()
    await eventually(lambda: app.engine is not None and app.engine.idle)
    assert await handle.status() is JobState.PENDING
    assert await app.queues.resume("default") is True
    assert await handle.result(timeout=5) == 1
    assert await app.queues.resume("default") is False


async def test_a_pause_with_an_end_ends_by_itself(registry: Registry, start: Start) -> None:
    @registry.job
    async def work() -> int:
        return 1

    app = await start()
    await app.queues.pause("default", duration=0.1)
    assert await (await work.enqueue()).result(timeout=5) == 1
    assert app.engine is not None


async def test_a_rate_spreads_starts(registry: Registry, start: Start) -> None:
    @registry.job(queue="slow")
    async def work() -> None: ...

    await start(app={"queue_config": [QueueConfig("slow", rate_limit=20, rate_burst=1)]})
    asked = boot_seconds()
    handles = await work.enqueue_many([((), {})] * 6)
    for handle in handles:
        await handle.result(timeout=5)
    assert 0.2 <= boot_seconds() - asked < 2.0


async def test_an_enqueue_by_name_takes_queue_and_schema_from_the_announcement(
    registry: Registry, start: Start
) -> None:
    @registry.job(queue="mails", priority=4)
    async def greet(name: str, times: int = 1) -> str:
        return name * times

    store = MemoryStore()
    await start(store=store)
    client = await start(store=store.sibling(), app={"registry": Registry()})
    await client.stop()
    job_id = (await client.jobs.enqueue_named("greet", {"name": "a", "times": 3})).id
    job = await client.jobs.wait(job_id, timeout=5)
    assert (job.queue, job.priority, job.result) == ("mails", 4, b'"aaa"')
    by_position = (await client.jobs.enqueue_named("greet", ["b"])).id
    assert (await client.jobs.wait(by_position, timeout=5)).result == b'"b"'
    for arguments, message in [
        ({"nam": "a"}, "no parameter 'nam'; did you mean 'name'"),
        ({"name": 5}, "name: 5 is not of type 'string'"),
        (["a", 1, 2], "takes 2 arguments, 3 were given"),
        (5, "a JSON object or list"),
    ]:
        with pytest.raises(InvalidArguments, match=message):
            await client.jobs.enqueue_named("greet", arguments)


async def test_garbage_under_a_known_name_harms_nobody_else(registry: Registry, start: Start) -> None:
    @registry.job
    async def work(n: int) -> int:
        return n

    app = await start()
    bad = JobID.new()
    await app.store.jobs.enqueue([NewJob(bad, "work", b"\xff")])
    good = await work.enqueue(1)
    assert await good.result(timeout=5) == 1
    assert (await app.jobs.wait(bad, timeout=5)).reason == "invalid_payload"
