"""run_until_idle: everything due runs, really and at once; nothing else does."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from pydantic import BaseModel

from dispatch import hookimpl, testing
from dispatch.backoff import Constant
from dispatch.errors import HandlerTimeout, JobFailed, Retry, Snooze, UsageError, WaitTimeout
from dispatch.jobs.context import current_job
from dispatch.jobs.handler import Next
from dispatch.jobs.model import Job, JobState, ListOptions
from dispatch.queues import QueueConfig
from dispatch.registry import Registry
from dispatch.scope import Scope, capture, use_scope
from dispatch.testing import MemoryApp, WorkDone


class Email(BaseModel):
    to: str


async def test_what_is_due_runs_and_what_is_due_later_does_not(registry: Registry) -> None:
    @registry.job
    async def greet(name: str) -> str:
        return f"hello {name}"

    async with testing.app(registry) as app:
        now, later = await greet.enqueue("ada"), await greet.options(delay=1).enqueue("bob")
        assert await app.run_until_idle() == WorkDone(completed=1)
        assert (await now.status(), await later.status()) == (JobState.COMPLETED, JobState.PENDING)
        assert await now.result() == "hello ada"
        assert await app.run_until_idle() == WorkDone()


async def test_nothing_runs_before_it_is_told_to(registry: Registry) -> None:
    ran = []

    @registry.job
    async def note() -> None:
        ran.append(1)

    async with testing.app(registry):
        await note.enqueue()
        await asyncio.sleep(0)
    assert ran == []


async def test_arguments_and_results_go_through_json(registry: Registry) -> None:
    seen: list[Email] = []

    @registry.job
    async def send(email: Email) -> Email:
        seen.append(email)
        return email

    given = Email(to="ada@example.com")
    async with testing.app(registry):
        result = await (await send.enqueue(given)).result()
    assert seen == [given] == [result]
    assert seen[0] is not given and result is not given


async def test_what_a_job_enqueues_runs_in_the_same_go_on_any_queue(registry: Registry) -> None:
    @registry.job
    async def child(n: int) -> None: ...

    @registry.job
    def parent_in_a_thread() -> None:
        child.options(queue="elsewhere").sync.enqueue(1)

    @registry.job
    async def parent() -> None:
        await child.options(queue="odd").enqueue(2)
        await parent_in_a_thread.enqueue()

    async with testing.app(registry) as app:
        await parent.enqueue()
        assert await app.run_until_idle() == WorkDone(completed=4)


async def test_an_app_that_is_told_its_queues_serves_only_those(registry: Registry) -> None:
    @registry.job
    async def note() -> None: ...

    async with testing.app(registry, queues=["default"]) as app:
        await note.enqueue()
        left = await note.options(queue="other").enqueue()
        assert await app.run_until_idle() == WorkDone(completed=1)
        assert await left.status() is JobState.PENDING


async def test_jobs_run_side_by_side_as_far_as_concurrency_and_limits_allow(registry: Registry) -> None:
    met = asyncio.Barrier(2)

    @registry.job
    async def meet() -> None:
        await met.wait()

    running: list[int] = [0, 0]

    @registry.job(queue="narrow")
    async def alone() -> None:
        running[0] += 1
        running[1] = max(running)
        await asyncio.sleep(0)
        running[0] -= 1

    async with testing.app(registry, queue_config=[QueueConfig("narrow", max_concurrency=1)]) as app:
        await meet.enqueue_many([meet.call(), meet.call()])
        await alone.enqueue_many([alone.call() for _ in range(5)])
        assert await app.run_until_idle() == WorkDone(completed=7)
    assert running == [0, 1]


async def test_a_running_job_may_wait_for_one_that_it_enqueued(registry: Registry) -> None:
    done = asyncio.Event()

    @registry.job
    async def second() -> None:
        done.set()

    @registry.job
    async def first() -> None:
        await second.enqueue()
        await done.wait()

    async with testing.app(registry) as app:
        await first.enqueue()
        assert await app.run_until_idle() == WorkDone(completed=2)


async def test_every_kind_of_end_is_counted(registry: Registry) -> None:
    @registry.job(max_retries=0)
    async def fail() -> None:
        raise ValueError("no")

    @registry.job(max_retries=1)
    async def retry() -> None:
        raise Retry(delay=60)

    @registry.job
    async def snooze() -> None:
        raise Snooze(60)

    @registry.job
    async def cancel() -> None:
        await app.jobs.cancel(current_job().id)
        await asyncio.Event().wait()

    async with testing.app(registry) as app:
        for definition in (fail, retry, snooze, cancel):
            await definition.enqueue()
        assert await app.run_until_idle() == WorkDone(failed=1, retried=1, snoozed=1, cancelled=1)
        assert len((await app.dlq.list()).items) == 1


async def test_timeouts_are_real(registry: Registry) -> None:
    @registry.job(timeout=0.01, max_retries=0)
    async def hang() -> None:
        await asyncio.Event().wait()

    async with testing.app(registry) as app:
        await hang.enqueue()
        with pytest.raises(HandlerTimeout):
            await app.run_until_idle(raise_errors=True)


async def test_hooks_have_run_and_what_they_enqueued_has_too(registry: Registry) -> None:
    heard: list[str] = []

    @registry.job
    async def welcome() -> None: ...

    @registry.job
    async def sign_up() -> None: ...

    class Follow:
        @hookimpl
        async def job_completed(self, job: Job) -> None:
            await asyncio.sleep(0)
            heard.append(job.name)
            if job.name == "sign_up":
                await welcome.enqueue()

        @hookimpl
        def worker_started(self) -> None:
            heard.append("started")

        @hookimpl
        def worker_stopped(self) -> None:
            heard.append("stopped")

    async with testing.app(registry, plugins=[Follow()]) as app:
        await sign_up.enqueue()
        assert await app.run_until_idle() == WorkDone(completed=2)
        assert set(heard) == {"started", "sign_up", "welcome"}, "a plain hook has a thread of its own, so any order"
    assert heard[-1] == "stopped"


async def test_middleware_and_scope_are_the_real_ones(registry: Registry) -> None:
    seen: list[object] = []

    @registry.job
    async def note() -> None:
        seen.append(capture())

    async def around(job: Job, call_next: Next) -> Any:
        seen.append("before")
        value = await call_next(job)
        seen.append("after")
        return value

    async with testing.app(registry, middleware=[around]) as app:
        with use_scope("shop", "t-1"):
            await note.enqueue()
        await app.run_until_idle()
    assert seen == ["before", Scope("shop", "t-1"), "after"]


async def test_progress_is_seen_while_the_job_runs(registry: Registry) -> None:
    go = asyncio.Event()

    @registry.job
    async def note() -> None:
        current_job().progress(0.5, "half")
        await go.wait()

    async with testing.app(registry) as app, asyncio.timeout(10):
        handle = await note.enqueue()
        run = asyncio.create_task(app.run_until_idle())
        while (await handle.job()).progress_note != "half":
            await asyncio.sleep(0.01)
        go.set()
        assert await run == WorkDone(completed=1)


async def test_waiting_for_a_result_runs_what_is_due(registry: Registry) -> None:
    @registry.job(backoff=Constant(60), max_retries=1)
    async def flaky() -> str:
        if current_job().attempt == 1:
            raise ValueError("once")
        return "fine"

    async with testing.app(registry) as app:
        handle = await flaky.enqueue()
        with pytest.raises(WaitTimeout, match=r"retrying, due at .*app\.travel"):
            await handle.result()
        await app.travel(60)
        assert await handle.result() == "fine"


async def test_a_run_that_was_cut_short_can_be_continued(registry: Registry) -> None:
    go, begun = asyncio.Event(), asyncio.Event()

    @registry.job
    async def wait() -> str:
        begun.set()
        await go.wait()
        return "gone"

    async with testing.app(registry) as app:
        handle = await wait.enqueue()
        run = asyncio.create_task(app.run_until_idle())
        await begun.wait()
        run.cancel()
        await asyncio.wait([run])
        assert await handle.status() is JobState.RUNNING
        go.set()
        await app.run_until_idle()
        assert await handle.result() == "gone"


async def test_a_job_that_enqueues_itself_without_end_is_named(registry: Registry) -> None:
    @registry.job
    async def again() -> None:
        await again.enqueue()

    async with testing.app(registry) as app:
        await again.enqueue()
        with pytest.raises(UsageError, match=r"50 attempts did not make the app idle \(again 51\)"):
            await app.run_until_idle(limit=50)


async def test_a_job_cannot_run_the_app(registry: Registry) -> None:
    @registry.job(max_retries=0)
    async def greedy() -> None:
        await app.run_until_idle()

    async with testing.app(registry) as app:
        await greedy.enqueue()
        with pytest.raises(UsageError, match="cannot run the app that runs it"):
            await app.run_until_idle(raise_errors=True)


async def test_jobs_of_another_registry_are_left_and_named(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    @registry.job
    async def stray() -> None: ...

    async with testing.app(Registry()) as app:
        await stray.enqueue()
        assert await app.run_until_idle() == WorkDone()
    assert "registry does not know them: stray" in caplog.text


async def test_plain_functions_run_in_threads(registry: Registry) -> None:
    @registry.job
    def where() -> int:
        return threading.get_ident()

    async with testing.app(registry):
        assert await (await where.enqueue()).result() != threading.get_ident()


async def test_process_jobs_run_in_a_subprocess() -> None:
    import os

    from testing.process_jobs import registry, whereabouts

    async with MemoryApp(registry) as app:
        handle = await whereabouts.enqueue()
        assert await app.run_until_idle() == WorkDone(completed=1)
        assert await handle.result() != os.getpid()
        await whereabouts.enqueue(fail=True)
        with pytest.raises(JobFailed, match="ValueError: in another process"):
            await app.run_until_idle(raise_errors=True)


async def test_what_is_left_at_the_end_can_be_listed_as_usual(registry: Registry) -> None:
    @registry.job
    async def note() -> None: ...

    async with testing.app(registry) as app:
        await note.options(delay=5).enqueue()
        await app.run_until_idle()
        assert [job.name for job in (await app.jobs.list(ListOptions())).items] == ["note"]
