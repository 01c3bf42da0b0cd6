"""What is special about runs on PostgreSQL: two connections meet at one row, in either order, and never deadlock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from servers.postgres import new_namespace, postgres_url

from dispatch.clock import ManualClock
from dispatch.entity import Reply
from dispatch.events.model import Event
from dispatch.ids import JobID
from dispatch.jobs.model import Job, Transition, Verdict
from dispatch.store import Store
from dispatch.stores import postgres_executor
from dispatch.stores.postgres import PostgresStore
from dispatch.testing.conformance import Env
from dispatch.testing.conformance.flows import Driven, begin, drive, idle, results, with_job, with_run
from dispatch.workflows.model import FinishRun, Group, RunState, WaitFor

FIRST_OR_SECOND = pytest.mark.parametrize("first", [True, False], ids=["in this order", "the other way round"])


class Crossing:
    """Two clients on one namespace, and a third that holds rows until both wait for them."""

    def __init__(self, env: Env, other: Store, namespace: str, admin: Any) -> None:
        self.env = env
        self.other = other
        self._namespace = namespace
        self._admin = admin

    async def meet(
        self, held: JobID, one: Callable[[], Awaitable[Any]], two: Callable[[], Awaitable[Any]], *, first: bool
    ) -> tuple[Any, Any]:
        """Answers both acts, of which `one` (or, with first=False, `two`) was the first to wait for what is held."""
        tasks: list[asyncio.Task[Any]] = []
        async with self._admin.transaction():
            await self._admin.execute(f'SELECT 1 FROM "{self._namespace}".jobs WHERE id = $1 FOR UPDATE', held)
            for act in (one, two) if first else (two, one):
                tasks.append(asyncio.ensure_future(act()))
                await self._until_waiting(len(tasks))
        early, late = await asyncio.gather(*tasks)
        return (early, late) if first else (late, early)

    async def _until_waiting(self, number: int) -> None:
        async with asyncio.timeout(10):
            while await self._waiting() < number:
                await asyncio.sleep(0.005)

    async def _waiting(self) -> int:
        await self._admin.execute("SELECT pg_stat_clear_snapshot()")
        found: int = await self._admin.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = $1",
            f"dispatch {self._namespace}",
        )
        return found


@pytest.fixture
async def crossing(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Crossing]:
    # a deadlock, which is otherwise tried again, ends the test
    monkeypatch.setattr(postgres_executor, "AGAIN", ())
    clock, namespace = ManualClock(), new_namespace()
    admin = await asyncpg.connect(postgres_url())
    store = PostgresStore(postgres_url(), namespace=namespace, clock=clock)
    await store.open()
    env = Env(store, clock)
    yield Crossing(env, await env.sibling(), namespace, admin)
    for opened in env.opened:
        await opened.close()
    await store.close()
    await admin.close()


def completed(job: Job) -> Transition:
    return Transition(job.id, job.epoch, Verdict.COMPLETE)


async def family(env: Env, *names: str) -> tuple[Driven, list[Driven]]:
    """A parent, and its claimed child runs."""
    held = await begin(env)
    return held, [await drive(env, await with_run(held, name)) for name in names]


@FIRST_OR_SECOND
async def test_a_park_and_a_publish(crossing: Crossing, first: bool) -> None:
    env = crossing.env
    held = await begin(env)
    assert (await held.wait("w", "paid")).event is None
    seen = (await held.load()).run.wake_seq
    parked, _ = await crossing.meet(
        held.driver.id,
        lambda: held.park(seen=seen),
        lambda: crossing.other.events.publish(Event("paid")),
        first=first,
    )
    assert parked is (Reply.APPLIED if first else Reply.CONFLICT)
    if first:
        held = await drive(env, held.id)
    assert (await held.wait("w", "paid")).event is not None


@FIRST_OR_SECOND
@pytest.mark.parametrize("child", ["job", "run"])
async def test_a_park_and_the_end_of_a_child(crossing: Crossing, child: str, first: bool) -> None:
    env = crossing.env
    held = await begin(env)
    if child == "run":
        driven = await drive(env, await with_run(held, "a"))
    else:
        await with_job(held, "a")
        (job,) = await env.claim(1, names=["task"])
    seen = (await held.load()).run.wake_seq

    async def end() -> Any:
        if child == "run":
            return await driven.finish(via=crossing.other)
        return await env.finish(job, Verdict.COMPLETE, via=crossing.other)

    parked, ended = await crossing.meet(
        held.driver.id, lambda: held.park(Group(("a",), "all"), seen=seen), end, first=first
    )
    assert (parked, ended.reply) == (Reply.APPLIED if first else Reply.CONFLICT, Reply.APPLIED)
    if first:
        held = await drive(env, held.id)
    assert set((await held.load()).children) == {"a"}


@FIRST_OR_SECOND
async def test_two_last_children_wake_their_parent_once(crossing: Crossing, first: bool) -> None:
    env = crossing.env
    held, (a, b) = await family(env, "a", "b")
    assert await held.park(Group(("a", "b"), "all")) is Reply.APPLIED
    await crossing.meet(held.driver.id, lambda: a.finish(via=crossing.other), b.finish, first=first)
    woken = await drive(env, held.id)
    assert (await woken.run()).wake_seq == 2
    assert set(await results(env, held.id)) == {"a", "b"}
    assert await idle(env)


@FIRST_OR_SECOND
async def test_a_cancel_and_a_finish(crossing: Crossing, first: bool) -> None:
    held = await begin(crossing.env)
    cancelled, finished = await crossing.meet(
        held.driver.id, lambda: crossing.other.workflows.cancel(held.id), held.finish, first=first
    )
    assert cancelled.reply is (Reply.APPLIED if first else Reply.CONFLICT)
    assert (finished.reply, finished.state) == (Reply.APPLIED, RunState.COMPLETED)
    assert await idle(crossing.env)


@FIRST_OR_SECOND
@pytest.mark.parametrize("kind", ["job", "run"])
async def test_batches_of_children_of_the_same_parents_do_not_wait_in_a_circle(
    crossing: Crossing, kind: str, first: bool
) -> None:
    env = crossing.env
    parents = [await begin(env) for _ in range(2)]
    for parent in parents:
        for name in ("a", "b"):
            await (with_run if kind == "run" else with_job)(parent, name)
    jobs = await env.claim(4, names=["child@1" if kind == "run" else "task"])
    assert [job.kind == "workflow" for job in jobs] == [kind == "run"] * 4
    # one batch names the parents upwards, the other downwards
    up, down = [jobs[0], jobs[2]], [jobs[3], jobs[1]]

    async def end(store: Store, batch: list[Job]) -> Any:
        if kind == "job":
            return await store.jobs.finish(env.worker, list(map(completed, batch)))
        return await store.workflows.finish(
            env.worker, [FinishRun(_run(job), job.id, job.epoch, "completed") for job in batch]
        )

    one, two = await crossing.meet(
        parents[0].driver.id, lambda: end(env.store, up), lambda: end(crossing.other, down), first=first
    )
    assert [answer.reply for answer in (*one, *two)] == [Reply.APPLIED] * 4
    assert [set(await results(env, parent.id)) for parent in parents] == [{"a", "b"}] * 2


@FIRST_OR_SECOND
async def test_a_wait_that_looks_again_and_a_publish_do_not_wait_in_a_circle(crossing: Crossing, first: bool) -> None:
    held = await begin(crossing.env)
    assert (await held.wait("w", "paid")).event is None
    asked = WaitFor(**held.fence, name="w", events=("paid",))
    ((waited,), _) = await crossing.meet(
        held.driver.id,
        lambda: crossing.other.workflows.wait(held.worker, [asked]),
        lambda: crossing.env.store.events.publish(Event("paid")),
        first=first,
    )
    assert waited.reply is Reply.APPLIED
    assert (waited.event is None) == first
    assert (await held.wait("w", "paid")).event is not None
    assert (await held.load()).run.wake_seq == 1


@FIRST_OR_SECOND
@pytest.mark.parametrize("kind", ["job", "run"])
async def test_a_parent_that_ends_and_its_child_that_ends_do_not_wait_in_a_circle(
    crossing: Crossing, kind: str, first: bool
) -> None:
    env = crossing.env
    held = await begin(env)
    await (with_run if kind == "run" else with_job)(held, "a")
    (job,) = await env.claim(1, names=["child@1" if kind == "run" else "task"])

    async def end() -> Any:
        if kind == "job":
            return await env.finish(job, Verdict.COMPLETE, via=crossing.other)
        (answer,) = await crossing.other.workflows.finish(
            env.worker, [FinishRun(_run(job), job.id, job.epoch, "completed")]
        )
        return answer

    failed, ended = await crossing.meet(held.driver.id, lambda: held.finish("failed"), end, first=first)
    assert (failed.reply, ended.reply) == (Reply.APPLIED, Reply.APPLIED)
    assert (await held.run()).state is RunState.FAILED
    assert ended.state == "completed"


def _run(job: Job) -> Any:
    assert job.run_id is not None
    return job.run_id
