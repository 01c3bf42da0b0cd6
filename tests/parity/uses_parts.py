"""What is promised of crons, dead letters, events, the cluster and queues, used."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from plugins.kubernetes_api import kubernetes

from .promised import get, row


async def eventually(question: Callable[[], Awaitable[bool]]) -> None:
    """Returns once the answer is yes."""
    async with asyncio.timeout(20):
        while not await question():
            await asyncio.sleep(0.02)


@row(27)
async def use_crons(entry: Any, scheduler: Any, store: Any, options: Any, register: Any, app: Any) -> None:
    @app.registry.job
    async def tidy(room: str) -> None: ...

    made = register(app, "tidy-attic", "@every 1h", tidy, "attic")
    assert app.registry.crons["tidy-attic"] is made
    created = await app.crons.create("tidy-cellar", "@daily", tidy.call("cellar"))
    assert isinstance(created, entry)
    assert (created.name, created.spec.schedule, created.enabled, created.last_fired_at) == (
        *("tidy-cellar", "@daily"),
        *(True, None),
    )
    await app.crons.disable("tidy-cellar")
    assert [found.name for found in (await app.crons.list(options(enabled=False))).items] == ["tidy-cellar"]
    assert {"fire", "due", "enable", "disable"} <= set(vars(store))
    assert scheduler.name == "scheduler"


@row(28)
async def use_per_tenant_crons(scheduler: Any, service: Any, app: Any) -> None:
    @app.registry.job
    async def digest(n: int) -> None: ...

    assert isinstance(app.crons, service)
    everything = get("dispatch.jobs.ListOptions")()
    tenants = [get("dispatch.Scope")("shop", name) for name in ("t-1", "t-2")]
    for number, tenant in enumerate(tenants):
        await app.crons.create("digest", "@every 1s", digest.call(number), scope=tenant)
    await app.crons.disable("digest", scope=tenants[1])

    def refuse() -> None:
        raise get("dispatch.errors.LeadershipLost")("another leads")

    def on(require: Callable[[], object]) -> Any:
        return scheduler(
            app.store,
            require_leadership=require,
            rules=get("dispatch.crons.plan.Rules")(),
            on_fired=lambda entry, fired: None,
            on_death=print,
            logger=logging.getLogger("parity"),
        )

    async def due() -> bool:
        return len((await app.store.crons.due()).entries) == 1

    await eventually(due)
    await on(refuse).run_once()
    assert (await app.jobs.list(everything)).items == [], "only the leader fires"
    await on(lambda: None).run_once()
    assert {job.scope for job in (await app.jobs.list(everything)).items} == {tenants[0]}
    assert await app.crons.enable("digest", scope=tenants[1]) is True


@row(29)
async def use_dlq(entry: Any, store: Any, options: Any, service: Any, app: Any) -> None:
    @app.registry.job(max_retries=0)
    async def work() -> None:
        raise ValueError

    await app.start()
    for _ in range(2):
        with pytest.raises(get("dispatch.errors.JobFailed")):
            await (await work.enqueue()).result(timeout=5)
    assert isinstance(app.dlq, service)
    dead = (await app.dlq.list(options(names=["work"]))).items
    assert [type(item) for item in dead] == [entry, entry]
    await app.stop()
    assert await app.dlq.replay(dead[0].id) != dead[0].job_id
    assert await app.dlq.purge() == 2
    assert [verb for verb in vars(store) if not verb.startswith("_") and not hasattr(app.store.dlq, verb)] == []


@row(30)
async def use_events(event: Any, store: Any, options: Any, same: Any, app: Any) -> None:
    published = await app.events.publish("paid", {"n": 1}, key="k")
    assert isinstance(published, event)
    assert event is same
    assert [e.data for e in (await app.events.list(options(names=["paid"], key="k"))).items] == [{"n": 1}]
    assert hasattr(store, "prune")


@row(31)
async def use_worker(worker: Any, state: Any, app: Any) -> None:
    engine = await app.start()
    found = await app.workers.get(engine.worker_id)
    assert isinstance(found, worker)
    assert found.state is state.ACTIVE
    assert (found.queues, found.concurrency, found.pid) == (("default",), 10, os.getpid())
    await app.stop()
    assert (await app.workers.get(engine.worker_id)).state is state.STOPPED


@row(32)
async def use_cluster_store(store: Any, app: Any) -> None:
    cluster = app.store.cluster
    first, second = get("dispatch.ids.WorkerID").new(), get("dispatch.ids.WorkerID").new()
    applied, stale = get("dispatch.entity.Reply").APPLIED, get("dispatch.entity.Reply").STALE
    term = (await cluster.acquire_leadership(first, lease=30)).term
    assert (await cluster.acquire_leadership(second, lease=30)).leader == first
    assert await cluster.renew_leadership(first, term, lease=30) is applied
    assert await cluster.renew_leadership(second, term, lease=30) is stale
    assert await cluster.resign(first, term) is applied
    assert (await cluster.acquire_leadership(second, lease=30)).term > term
    assert {"register", "update", "list"} <= set(vars(store))


@row(33)
async def use_cluster(worker: Any, leadership: Any, elector: Any, state: Any, app: Any) -> None:
    @app.registry.job(name="left")
    async def left() -> str:
        return "done"

    handle = await left.enqueue()
    dead = get("dispatch.ids.WorkerID").new()
    claimed = await app.store.jobs.claim(dead, queues={"default": 1}, names=["left"], limit=1, lease=0.05)
    assert [job.state for job in claimed.jobs] == [state.RUNNING]
    engine = await app.start()
    assert await handle.result(timeout=20) == "done", "what a dead worker held is stolen"
    assert {"campaign", "resign"} <= set(vars(elector))

    async def leads() -> bool:
        found = await app.workers.leadership()
        return isinstance(found, leadership) and found.leader == engine.worker_id

    await eventually(leads)
    seen = await app.workers.get(engine.worker_id)
    assert isinstance(seen, worker)

    async def beats() -> bool:
        return (await app.workers.get(engine.worker_id)).last_seen > seen.last_seen

    await eventually(beats)


@row(34)
async def use_kubernetes(elector: Any, plugin: Any, open_elector: Any) -> None:
    with kubernetes() as cluster:
        made = elector("app", namespace="jobs", server=cluster.url, lease=10)
        assert isinstance(made, open_elector)
        worker_id = get("dispatch.ids.WorkerID").new()
        assert await made.campaign(worker_id) == 1
        assert cluster.leases["app"]["spec"]["holderIdentity"] == worker_id
        assert (await made.leadership()).leader == worker_id
        await made.close()
        brought = plugin("app", namespace="jobs", server=cluster.url).register_leader_elector(lease=10)
        assert isinstance(brought, elector)


@row(35)
async def use_queues(config: Any, store: Any, manager: Any, app: Any) -> None:
    await app.queues.configure(config("q", max_concurrency=1, rate_limit=5, rate_burst=2))
    applied, conflict = get("dispatch.entity.Reply").APPLIED, get("dispatch.entity.Reply").CONFLICT
    assert await app.store.queues.take_slot("q", "me", lease=30) is applied
    assert await app.store.queues.take_slot("q", "you", lease=30) is conflict
    assert (await app.queues.get("q")).slots == ["me"]
    assert await app.store.queues.free_slot("q", "me") is applied
    assert hasattr(store, "renew_slot")
    async with app.queues.slot("q", timeout=1) as slot:
        assert (await app.queues.get("q")).slots == [slot.holder]
    assert (await app.queues.get("q")).slots == []
    assert hasattr(manager, "acquire")
