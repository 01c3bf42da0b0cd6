"""Jobs from enqueue to end, on a worker that neither polls nor beats in time: everything here is told to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from dispatch.backoff import Constant
from dispatch.clock import ManualClock, SystemClock, boot_seconds, utc_now
from dispatch.current import using_app
from dispatch.dlq.model import DLQState
from dispatch.errors import (
    Fail,
    JobCancelled,
    JobExpired,
    JobFailed,
    JobPurged,
    ResourceFailed,
    ResultNotKept,
    Retry,
    Snooze,
    WaitRefused,
    WaitTimeout,
)
from dispatch.ids import JobID
from dispatch.jobs.context import current_job
from dispatch.jobs.handle import JobHandle
from dispatch.jobs.model import JobState, NewJob
from dispatch.queues import QueueConfig
from dispatch.registry import Registry
from dispatch.scope import Scope, capture, use_scope
from dispatch.stores.memory import MemoryStore

from .conftest import QUICK, Start
from .facts import eventually

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
        await _with(app, work.options(priority=priority).enqueue(n))
    await app.start()
    await eventually(lambda: len(order) == 5)
    assert order == [2, 4, 0, 1, 3]


async def _with(app: Any, call: Any) -> Any:
    with using_app(app):
        return await call


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


# failing


async def test_a_failure_is_retried_until_it_works(registry: Registry, start: Start) -> None:
    seen: list[int] = []

    @registry.job(max_retries=5, backoff=AT_ONCE)
    async def work() -> str:
        seen.append(current_job().attempt)
        if len(seen) < 3:
            raise ValueError(f"not yet {len(seen)}")
        return "done"

    app = await start()
    handle = await app.enqueue(work)
    assert await handle.result(timeout=5) == "done"
    assert seen == [1, 2, 3]
    history = await app.jobs.attempts(handle.id)
    assert [(a.number, a.kind, a.failure.message) for a in history] == [
        (1, "failed", "not yet 1"),
        (2, "failed", "not yet 2"),
    ]
    assert history[0].failure.traceback is not None
    assert __file__ in history[0].failure.traceback


async def test_retries_run_out_and_the_job_becomes_a_dead_letter(registry: Registry, start: Start) -> None:
    starts = 0

    @registry.job(max_retries=2, backoff=AT_ONCE)
    async def work(n: int) -> None:
        nonlocal starts
        starts += 1
        raise ValueError("never")

    app = await start()
    handle = await app.enqueue(work, 7)
    with pytest.raises(JobFailed, match="failed: ValueError: never") as caught:
        await handle.result(timeout=5)
    assert caught.value.type == "ValueError"
    assert starts == 3
    (entry,) = (await app.dlq.list()).items
    assert (entry.job_id, entry.reason, entry.failures, entry.payload) == (handle.id, "exhausted", 3, b'{"n":7}')
    job = await handle.job()
    assert (job.state, job.reason, job.failures) == (JobState.FAILED, "exhausted", 3)


async def test_the_pause_between_attempts_is_the_backoff_s(registry: Registry, start: Start) -> None:
    @registry.job(backoff=Constant(3600))
    async def work() -> None:
        raise ValueError

    app = await start()
    handle = await app.enqueue(work)
    job = await eventually(lambda: _in_state(handle, JobState.RETRYING))
    assert timedelta(seconds=3590) < job.run_at - utc_now() < timedelta(seconds=3610)
    assert (job.failures, job.attempt, job.worker_id) == (1, 2, None)


async def _in_state(handle: Any, state: JobState) -> Any:
    job = await handle.job()
    return job if job.state is state else None


@pytest.mark.parametrize("where", ["definition", "row", "app"])
async def test_options_of_every_level_are_honoured(registry: Registry, start: Start, where: str) -> None:
    starts = 0

    async def work() -> None:
        nonlocal starts
        starts += 1
        raise ValueError

    settings: dict[str, Any] = {"max_retries": 1, "backoff": AT_ONCE}
    definition: Any = registry.job(**settings if where == "definition" else {"max_retries": 9})(work)
    if where == "app":
        definition = registry.job(name="other")(work)
    app = await start(max_retries=1 if where == "app" else 3, app={"backoff": AT_ONCE})
    options = settings if where == "row" else {}
    handle = await _with(app, definition.options(**options).enqueue())
    with pytest.raises(JobFailed):
        await handle.result(timeout=5)
    assert starts == 2


async def test_retry_counts_and_chooses_its_own_pause(registry: Registry, start: Start) -> None:
    attempts: list[int] = []

    @registry.job(max_retries=2, backoff=Constant(3600))
    def work() -> str:
        attempts.append(current_job().attempt)
        raise Retry("again", delay=0)

    app = await start()
    with pytest.raises(JobFailed, match="Retry: again"):
        await (await app.enqueue(work)).result(timeout=5)
    assert attempts == [1, 2, 3]


async def test_a_snooze_counts_nothing(registry: Registry, start: Start) -> None:
    attempts: list[int] = []

    @registry.job(max_retries=0)
    async def work() -> int:
        attempts.append(current_job().attempt)
        if len(attempts) < 4:
            raise Snooze(0.01)
        return len(attempts)

    app = await start()
    handle = await app.enqueue(work)
    assert await handle.result(timeout=5) == 4
    assert attempts == [1, 1, 1, 1]
    assert await app.jobs.attempts(handle.id) == []
    assert app.engine is not None
    assert app.engine.tally.snoozed == 3


@pytest.mark.parametrize("dead_letter", [True, False])
async def test_fail_ends_a_job_for_good(registry: Registry, start: Start, dead_letter: bool) -> None:
    @registry.job(max_retries=9)
    async def work() -> None:
        raise Fail("no such customer", dead_letter=dead_letter)

    app = await start()
    with pytest.raises(JobFailed, match="no such customer"):
        await (await app.enqueue(work)).result(timeout=5)
    assert await app.dlq.count() == int(dead_letter)


async def test_types_of_errors_decide_where_the_definition_says_so(registry: Registry, start: Start) -> None:
    starts: list[str] = []

    @registry.job(max_retries=1, backoff=AT_ONCE, retry_on=(OSError,), fail_on=(FileNotFoundError,))
    async def work(kind: str) -> None:
        starts.append(kind)
        raise {"os": OSError, "missing": FileNotFoundError, "value": ValueError}[kind]

    app = await start()
    for kind in ("os", "missing", "value"):
        with pytest.raises(JobFailed):
            await (await app.enqueue(work, kind)).result(timeout=5)
    assert starts == ["os", "os", "missing", "value"]


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()])
@pytest.mark.parametrize("plain", [False, True])
async def test_a_handler_cannot_end_its_worker(
    registry: Registry, start: Start, error: BaseException, plain: bool
) -> None:
    def raising() -> None:
        raise error

    async def raising_later() -> None:
        raise error

    @registry.job
    async def fine() -> str:
        return "alive"

    work: Any = registry.job(name="work", max_retries=0)(raising if plain else raising_later)
    app = await start()
    with pytest.raises(JobFailed, match=type(error).__name__):
        await (await app.enqueue(work)).result(timeout=5)
    assert await (await app.enqueue(fine)).result(timeout=5) == "alive"
    assert app.engine is not None
    assert app.engine.running


async def test_odd_errors_do_not_hold_a_slot(registry: Registry, start: Start) -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    class Broken:
        def delay(self, attempt: int, rng: Any = None) -> Any:
            raise RuntimeError("bug")

    @registry.job(max_retries=1, backoff=Broken())
    async def work() -> None:
        raise Unprintable

    app = await start(concurrency=1)
    handle = await app.enqueue(work)
    await eventually(lambda: _in_state(handle, JobState.RETRYING))
    assert app.engine is not None
    await eventually(lambda: app.engine is not None and app.engine.held == 0)


async def test_a_traceback_is_capped(registry: Registry, start: Start) -> None:
    @registry.job(max_retries=0)
    async def work() -> None:
        raise ValueError("x" * 50_000)

    app = await start(limits={"traceback": 1000})
    handle = await app.enqueue(work)
    with pytest.raises(JobFailed):
        await handle.result(timeout=5)
    error = (await handle.job()).error
    assert error is not None
    assert error.traceback is not None
    assert len(error.traceback) < 1100
    assert len(error.message) == 4096


# payloads and results


@pytest.mark.parametrize("payload", [b"", b"{", b"[1]", b'{"n":"many"}', b'{"m":1}', b"\xff\xfe\x00"])
async def test_a_payload_that_no_longer_fits_goes_to_the_dead_letters_as_it_is(
    registry: Registry, start: Start, payload: bytes
) -> None:
    starts = 0

    @registry.job(max_retries=5)
    async def work(n: int) -> None:
        nonlocal starts
        starts += 1

    app = await start()
    job_id = JobID.new()
    await app.store.jobs.enqueue([NewJob(job_id, "work", payload)])
    job = await app.jobs.wait(job_id, timeout=5)
    assert (job.state, job.reason, job.payload) == (JobState.FAILED, "invalid_payload", payload)
    (entry,) = (await app.dlq.list()).items
    assert (entry.payload, entry.reason) == (payload, "invalid_payload")
    assert entry.error is not None
    assert entry.error.message.startswith("work: ")
    assert starts == 0


@pytest.mark.parametrize("value", [object(), float("nan"), {"deep": [float("inf")]}, "x" * 2000, b"\xff" * 2000])
async def test_work_whose_result_cannot_be_kept_is_done_once(registry: Registry, start: Start, value: Any) -> None:
    starts = 0

    @registry.job(max_retries=5)
    async def work() -> Any:
        nonlocal starts
        starts += 1
        return value

    app = await start(limits={"result": 1000})
    with pytest.raises(JobFailed, match="ResultNotStorable"):
        await (await app.enqueue(work)).result(timeout=5)
    assert starts == 1
    assert (await app.dlq.list()).items[0].reason == "result_not_storable"


async def test_a_result_is_kept_unless_told_otherwise(registry: Registry, start: Start) -> None:
    @registry.job(keep_result=False)
    async def work() -> int:
        return 7

    app = await start()
    with pytest.raises(ResultNotKept):
        await (await app.enqueue(work)).result(timeout=5)
    assert await (await work.options(keep_result=True).enqueue()).result(timeout=5) == 7


async def test_waiting_has_an_end_and_the_job_goes_on(registry: Registry, start: Start) -> None:
    go = asyncio.Event()

    @registry.job
    async def work() -> str:
        await go.wait()
        return "late"

    app = await start()
    handle = await app.enqueue(work)
    with pytest.raises(WaitTimeout, match=r"is still (pending|running) after 0.02 s; it goes on"):
        await handle.result(timeout="20ms")
    go.set()
    assert await handle.result(timeout=5) == "late"


async def test_waiting_for_what_is_gone_says_so(registry: Registry, start: Start) -> None:
    app = await start()
    gone: JobHandle[Any] = JobHandle(JobID.new(), app=app, created=True)
    with pytest.raises(JobPurged, match="retention or an operator removed it"):
        await gone.result(timeout=5)


async def test_a_handler_may_not_wait_for_another_job(registry: Registry, start: Start) -> None:
    @registry.job
    async def other() -> int:
        return 1

    @registry.job(max_retries=0)
    async def waits() -> int:
        return await (await other.enqueue()).result()

    @registry.job(max_retries=0)
    def waits_in_a_thread() -> int:
        return other.sync.enqueue().result()

    app = await start()
    for work in (waits, waits_in_a_thread):
        with pytest.raises(JobFailed, match=r"WaitRefused.*enqueue the follow-up") as caught:
            await (await app.enqueue(work)).result(timeout=5)
        assert caught.value.type == WaitRefused.__name__


async def test_an_expired_job_is_not_started(registry: Registry, start: Start, clock: ManualClock) -> None:
    starts = 0

    @registry.job
    async def work() -> None:
        nonlocal starts
        starts += 1

    app = await start(store=MemoryStore(clock=clock))
    await app.stop()
    handle = await work.options(expires_in=60).enqueue()
    clock.advance(61)
    await app.start()
    with pytest.raises(JobExpired, match="was not started within its expires_in"):
        await handle.result(timeout=5)
    assert (await handle.job()).reason == "expired"
    assert starts == 0
    with pytest.raises(JobCancelled):
        await handle.result()


# what a handler sees


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

    with pytest.raises(ResourceFailed, match=r"second \(.*test_running.py:\d+\) could not .* ConnectionError: no mail"):
        await start()
    assert life == ["open", "closed"]


# timeouts


async def test_a_timeouts_traceback_is_the_users_place_alone(registry: Registry, start: Start) -> None:
    @registry.job(timeout=0.01, max_retries=0)
    async def endless() -> None:
        await asyncio.Event().wait()

    app = await start()
    job = await app.jobs.wait((await app.enqueue(endless)).id, timeout=5)
    (attempt,) = await app.jobs.attempts(job.id)
    assert attempt.failure.type == "HandlerTimeout"
    assert attempt.failure.traceback is not None
    assert attempt.failure.traceback.count("Traceback") == 1
    assert "in endless" in attempt.failure.traceback
    assert "dispatch/middleware" not in attempt.failure.traceback


async def test_a_coroutine_that_overruns_is_cancelled(registry: Registry, start: Start) -> None:
    unwound = asyncio.Event()

    @registry.job(timeout=0.02, max_retries=0)
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            unwound.set()

    app = await start()
    with pytest.raises(JobFailed, match=r"HandlerTimeout: work .* took longer than its timeout of 0.02 s"):
        await (await app.enqueue(work)).result(timeout=5)
    assert unwound.is_set()


async def test_a_thread_that_overruns_is_told_and_keeps_its_slot_until_it_ends(
    registry: Registry, start: Start
) -> None:
    go, told = threading.Event(), threading.Event()

    @registry.job(timeout=0.02, max_retries=0)
    def work() -> str:
        while not current_job().cancelled:
            threading.Event().wait(0.001)
        told.set()
        go.wait(10)
        return "too late"

    @registry.job
    async def next_one() -> str:
        return "ran"

    app = await start(concurrency=1)
    handle, following = await app.enqueue(work), await app.enqueue(next_one)
    await eventually(told.is_set)
    assert (await handle.status(), await following.status()) == (JobState.RUNNING, JobState.PENDING)
    go.set()
    with pytest.raises(JobFailed, match="HandlerTimeout"):
        await handle.result(timeout=5)
    assert await following.result(timeout=5) == "ran"


async def test_a_timeout_of_the_handler_s_own_is_an_ordinary_failure(registry: Registry, start: Start) -> None:
    @registry.job(timeout=30, max_retries=0)
    async def work() -> None:
        raise TimeoutError("the mail server took too long")

    app = await start()
    with pytest.raises(JobFailed, match="failed: TimeoutError: the mail server took too long"):
        await (await app.enqueue(work)).result(timeout=5)


async def test_a_timed_out_attempt_counts_and_is_repeated(registry: Registry, start: Start) -> None:
    @registry.job(timeout=0.02, max_retries=1, backoff=AT_ONCE)
    async def work() -> int:
        if current_job().attempt == 1:
            await asyncio.Event().wait()
        return current_job().attempt

    app = await start()
    assert await (await app.enqueue(work)).result(timeout=5) == 2


@pytest.mark.slow
async def test_a_subprocess_runs_jobs_and_is_killed_when_it_overruns(start: Start, tmp_path: Path) -> None:
    from . import process_jobs

    app = await start(app={"registry": process_jobs.registry}, max_retries=0)
    assert await (await app.enqueue(process_jobs.add, 2, 3)).result(timeout=20) == 5
    handle = await _with(app, process_jobs.hang.options(timeout=0.5).enqueue(str(tmp_path / "begun")))
    asked = boot_seconds()
    with pytest.raises(JobFailed, match="HandlerTimeout"):
        await handle.result(timeout=20)
    assert boot_seconds() - asked < 10
    assert await (await app.enqueue(process_jobs.add, 4, 5)).result(timeout=20) == 9


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
