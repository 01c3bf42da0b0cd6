"""The fleet: workers that live, drain, fall silent and retire; announced definitions."""

from __future__ import annotations

from dispatch.cluster import Announcement, WorkerState
from dispatch.entity import Reply
from dispatch.ids import WorkerID
from dispatch.testing.conformance.env import Env
from dispatch.testing.conformance.registry import case


@case()
async def a_registered_worker_is_active_with_all_it_said(env: Env) -> None:
    assert await env.register(
        queues=["a", "b"], names=["x"], concurrency=7, lease=12.5, version="1.2", labels={"zone": "eu"}
    ) == 0  # fmt: skip
    worker = await env.store.cluster.get(env.worker)
    assert worker is not None
    assert (worker.hostname, worker.pid, worker.state, worker.queues, worker.names) == (
        "host", 7, WorkerState.ACTIVE, ("a", "b"), ("x",),
    )  # fmt: skip
    assert (worker.concurrency, worker.lease, worker.version, worker.labels) == (7, 12.5, "1.2", {"zone": "eu"})
    assert (worker.created_at, worker.last_seen) == (env.clock.now(), env.clock.now())
    assert (worker.running, worker.drain_requested) == (0, False)
    assert await env.store.cluster.get(WorkerID.new()) is None


@case()
async def a_beat_says_the_worker_lives_and_what_it_runs(env: Env) -> None:
    await env.register(lease=30)
    env.clock.advance(20)
    assert await env.store.cluster.beat(env.worker, running=3) is Reply.APPLIED
    worker = await env.store.cluster.get(env.worker)
    assert worker is not None
    assert (worker.last_seen, worker.running) == (env.clock.now(), 3)
    assert await env.store.cluster.beat(env.other, running=0) is Reply.MISSING


@case()
async def a_silent_worker_is_dead_after_its_own_lease_and_lives_again_with_a_beat(env: Env) -> None:
    await env.register(lease=30)
    await env.register(id=env.other, lease=300)
    env.clock.advance(31)
    assert [worker.id for worker in await env.store.cluster.list(live=True)] == [env.other]
    silent = await env.store.cluster.get(env.worker)
    assert silent is not None
    assert silent.state is WorkerState.DEAD
    states = {worker.id: worker.state for worker in await env.store.cluster.list()}
    assert states == {env.worker: WorkerState.DEAD, env.other: WorkerState.ACTIVE}
    assert await env.store.cluster.beat(env.worker, running=0) is Reply.APPLIED
    assert len(await env.store.cluster.list(live=True)) == 2


@case()
async def a_retired_worker_has_stopped_at_once_and_for_good(env: Env) -> None:
    await env.register(lease=300)
    assert await env.store.cluster.retire(env.worker) is Reply.APPLIED
    assert await env.store.cluster.list(live=True) == []
    assert await env.store.cluster.beat(env.worker, running=1) is Reply.MISSING
    assert await env.store.cluster.list(live=True) == []
    retired = await env.store.cluster.get(env.worker)
    assert retired is not None
    assert retired.state is WorkerState.STOPPED
    env.clock.advance(301)
    assert [worker.state for worker in await env.store.cluster.list()] == [WorkerState.STOPPED]
    assert await env.store.cluster.retire(env.other) is Reply.MISSING


@case()
async def a_drain_is_a_stored_request(env: Env) -> None:
    await env.register()
    cluster = env.store.cluster
    assert not await cluster.drain_requested(env.worker)
    assert await cluster.drain(env.worker) is Reply.APPLIED
    assert await cluster.drain_requested(env.worker)
    assert await cluster.drain(env.other) is Reply.MISSING
    assert not await cluster.drain_requested(env.other)
    assert await cluster.update(env.worker, WorkerState.DRAINING) is Reply.APPLIED
    worker = await cluster.get(env.worker)
    assert worker is not None
    assert (worker.state, worker.drain_requested) == (WorkerState.DRAINING, True)
    assert [w.id for w in await cluster.list(live=True)] == [env.worker]
    assert await cluster.update(env.other, WorkerState.DRAINING) is Reply.MISSING


@case()
async def workers_are_listed_newest_first(env: Env) -> None:
    ids = []
    for _ in range(4):
        ids.append(WorkerID.new())
        await env.register(id=ids[-1])
        env.clock.advance(1)
    assert [worker.id for worker in await env.store.cluster.list()] == ids[::-1]


@case()
async def a_worker_that_registers_again_is_one_worker(env: Env) -> None:
    started = env.clock.now()
    await env.register(names=["a"], lease=30)
    env.clock.advance(60)
    await env.register(names=["a", "b"], lease=30)
    workers = await env.store.cluster.list(live=True)
    assert [(worker.id, worker.names) for worker in workers] == [(env.worker, ("a", "b"))]
    assert (workers[0].created_at, workers[0].last_seen) == (started, env.clock.now())


@case()
async def announced_definitions_are_found_by_name_newest_version_first(env: Env) -> None:
    cluster = env.store.cluster
    v1 = Announcement("checkout", "workflow", queue="a", version=1)
    v2 = Announcement("checkout", "workflow", queue="b", schema={"type": "object"}, options={"o": [1]}, version=2)
    job = Announcement("send", "job", schema={"properties": {"to": {"type": "string"}}})
    await cluster.announce([v2, job, v1])
    assert await cluster.definition("checkout") == v2
    assert await cluster.definition("send") == job
    assert await cluster.definition("nothing") is None
    assert [a.name for a in await cluster.definitions()] == ["checkout", "checkout", "send"]
    assert {a.version for a in await cluster.definitions() if a.name == "checkout"} == {1, 2}


@case()
async def an_announcement_replaces_that_of_the_same_name_kind_and_version(env: Env) -> None:
    cluster = env.store.cluster
    await cluster.announce([Announcement("send", "job", queue="a")])
    await cluster.announce([Announcement("send", "job", queue="b")])
    assert [a.queue for a in await cluster.definitions()] == ["b"]
    await cluster.announce([Announcement("send", "cron")])
    assert len(await cluster.definitions()) == 2
    found = await cluster.definition("send")
    assert found is not None
    assert found.kind == "job"
