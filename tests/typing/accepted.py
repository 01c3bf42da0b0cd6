"""Calls that type checkers must accept, with the types they must see."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

from pydantic import BaseModel

from dispatch import (
    Dispatch,
    Job,
    JobHandle,
    Limit,
    Next,
    Registry,
    Scope,
    SyncJobHandle,
    backoff,
    cron,
    current_job,
    job,
    lifespan,
)
from dispatch.jobs import Call, JobState
from dispatch.jobs.definition import AsyncJobDefinition, BoundJob, PlainJobDefinition


class Email(BaseModel):
    to: str


class Mailer:
    async def send(self, email: Email) -> str:
        return email.to


async def audit(job: Job, call_next: Next) -> Any:
    return await call_next(job)


@job(
    queue="mailers",
    max_retries=5,
    timeout=timedelta(seconds=30),
    backoff=backoff.Exponential(base="5s"),
    middleware=[audit],
)
async def send_email(email: Email, *, track: bool = False) -> str:
    mailer = current_job().resources(Mailer)
    assert_type(mailer, Mailer)
    return await mailer.send(email)


@job
def crunch(n: int) -> int:
    return n


@job
async def bare(n: int, /, *rest: str) -> list[str]:
    return list(rest)


@job(executor="process", timeout=60, retry_on=(OSError,), fail_on=(KeyError,))
def render(path: str) -> bytes:
    return path.encode()


@job(unique=lambda n: n, on_conflict="replace", unique_for="1h", tags=["a"], metadata={"k": 1}, scope=Scope("shop"))
def unique(n: int) -> None: ...


@cron("@daily", call=lambda: crunch.call(5), jitter="30s", overlap="skip")
@job(queue="reports")
async def nightly(n: int = 1) -> None: ...


@lifespan
async def mailer() -> AsyncIterator[Mailer]:
    yield Mailer()


mine = Registry()


@mine.job(name="mine.work")
async def work(n: int) -> float:
    return n / 2


def kinds() -> None:
    definition: AsyncJobDefinition[[int], float] = work
    plain: PlainJobDefinition[[str], bytes] = render
    assert_type(definition.name, str)
    assert_type(plain.executor in ("process",), bool)


async def calls(app: Dispatch) -> None:
    coroutine: Coroutine[Any, Any, str] = send_email(Email(to="x"), track=True)
    assert_type(await coroutine, str)
    assert_type(crunch(5), int)
    assert_type(await bare(1, "a", "b"), list[str])

    handle = await send_email.enqueue(Email(to="x"), track=True)
    assert_type(handle, JobHandle[str])
    assert_type(await handle.result(timeout="5s"), str)
    assert_type(await handle.status(), JobState)
    assert_type(await crunch.enqueue(5), JobHandle[int])
    assert_type(await bare.enqueue(1, "a"), JobHandle[list[str]])
    assert_type(await work.enqueue(n=1), JobHandle[float])
    assert_type(await crunch.options(connection=object()).enqueue(5), JobHandle[int])

    assert_type(crunch.call(5), Call[int])
    assert_type(await crunch.enqueue_many([crunch.call(1), ((2,), {}), ([], {"n": 3})]), list[JobHandle[int]])

    bound = crunch.options(queue="critical", priority=10, delay=600, idempotency_key="order-42")
    same: BoundJob[[int], int] = bound
    assert_type(await same.enqueue(5), JobHandle[int])
    assert_type(await bound.enqueue(5), JobHandle[int])
    assert_type(await bound.options(run_at=datetime.now(UTC)).enqueue(5), JobHandle[int])
    assert_type(bound.call(5), Call[int])

    assert_type(await app.enqueue(send_email, Email(to="x"), track=False), JobHandle[str])
    assert_type(await app.enqueue(crunch, 5), JobHandle[int])
    assert_type(app.register(crunch).name, str)


def synchronous(app: Dispatch) -> None:
    handle = send_email.sync.enqueue(Email(to="x"))
    assert_type(handle, SyncJobHandle[str])
    assert_type(handle.result(timeout=5), str)
    assert_type(crunch.options(priority=1).sync.enqueue(5), SyncJobHandle[int])
    assert_type(crunch.sync.enqueue_many([crunch.call(1)]), list[SyncJobHandle[int]])
    assert_type(app.sync.enqueue(crunch, 5), SyncJobHandle[int])
    with app as opened:
        assert_type(opened, Dispatch)


@job(concurrency=Limit(key=lambda customer: customer, max=2))
async def sync(customer: str) -> int:
    return len(customer)


async def limited() -> None:
    assert_type(await sync.options(concurrency=Limit(max=1)).enqueue("ada"), JobHandle[int])
