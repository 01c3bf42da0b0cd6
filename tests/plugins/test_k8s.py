"""Leader election on a Kubernetes Lease, against a small API that conflicts, lags and drops its answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from dispatch_k8s import KubernetesLeaderElector, KubernetesPlugin

from dispatch import Config, Dispatch
from dispatch.clock import boot_seconds
from dispatch.errors import StoreUnreachable
from dispatch.ids import WorkerID
from dispatch.registry import Registry

from .kubernetes_api import Cluster, kubernetes

LEASE = 10.0
ONE, OTHER = WorkerID.new(), WorkerID.new()


class Seconds:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


OPENED: list[KubernetesLeaderElector] = []


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    with kubernetes() as made:
        yield made
        while OPENED:
            await OPENED.pop().close()


def elector(cluster: Cluster, clock: Any = boot_seconds) -> KubernetesLeaderElector:
    made = KubernetesLeaderElector("app", namespace="jobs", server=cluster.url, clock=clock, lease=LEASE)
    OPENED.append(made)
    return made


def holder(cluster: Cluster) -> str | None:
    found: str | None = cluster.leases["app"]["spec"].get("holderIdentity")
    return found


async def test_the_first_candidate_leads_and_the_second_is_told_nothing(cluster: Cluster) -> None:
    assert await elector(cluster).campaign(ONE) == 1
    assert await elector(cluster).campaign(OTHER) is None
    assert holder(cluster) == ONE


async def test_a_leader_renews_its_own_lease_and_keeps_its_term(cluster: Cluster) -> None:
    mine = elector(cluster)
    assert [await mine.campaign(ONE) for _ in range(3)] == [1, 1, 1]
    assert cluster.writes == 3


async def test_a_lease_that_stands_still_for_its_duration_is_taken_over_in_a_greater_term(cluster: Cluster) -> None:
    clock = Seconds()
    mine, theirs = elector(cluster), elector(cluster, clock)
    await mine.campaign(ONE)
    assert await theirs.campaign(OTHER) is None
    clock.now += LEASE - 0.1
    assert await theirs.campaign(OTHER) is None
    await mine.campaign(ONE)
    clock.now += 0.2
    assert await theirs.campaign(OTHER) is None, "the record changed, so the time counts anew"
    clock.now += LEASE
    assert await theirs.campaign(OTHER) == 2
    assert await mine.campaign(ONE) is None


async def test_a_newcomer_waits_a_whole_lease_however_old_the_record_says_it_is(cluster: Cluster) -> None:
    await elector(cluster).campaign(ONE)
    cluster.leases["app"]["spec"]["renewTime"] = "2001-01-01T00:00:00.000000Z"
    clock = Seconds()
    newcomer = elector(cluster, clock)
    assert await newcomer.campaign(OTHER) is None
    clock.now += LEASE
    assert await newcomer.campaign(OTHER) == 2


async def test_a_resigned_lease_is_taken_at_once(cluster: Cluster) -> None:
    mine = elector(cluster)
    await mine.campaign(ONE)
    await mine.resign(ONE)
    assert await elector(cluster).campaign(OTHER) == 2
    await mine.resign(ONE)
    assert holder(cluster) == OTHER, "only the holder gives it up"


async def test_anybody_is_told_who_leads_and_may_end_the_term(cluster: Cluster) -> None:
    mine, theirs, somebody = (elector(cluster) for _ in range(3))
    assert await somebody.leadership() is None
    await mine.campaign(ONE)
    found = await somebody.leadership()
    assert found is not None
    assert (found.leader, found.term) == (ONE, 1)
    await somebody.resign(ONE)
    assert await somebody.leadership() is None
    assert await mine.campaign(ONE) is None, "who was told to resign lets others go first"
    assert await theirs.campaign(OTHER) == 2
    assert await mine.campaign(ONE) is None


async def test_a_resignation_that_meets_a_renewal_is_written_all_the_same(cluster: Cluster) -> None:
    mine, somebody = elector(cluster), elector(cluster)
    await mine.campaign(ONE)
    read = somebody._read

    async def read_and_be_late() -> Any:
        lease = await read()
        if cluster.writes < 4:
            await mine.campaign(ONE)
        return lease

    somebody._read = read_and_be_late  # type: ignore[method-assign]
    await somebody.resign(ONE)
    assert (holder(cluster), cluster.writes) == ("", 5)


async def test_a_leader_of_long_ago_leads_no_more(cluster: Cluster) -> None:
    await elector(cluster).campaign(ONE)
    cluster.leases["app"]["spec"]["renewTime"] = "2020-01-01T00:00:00.000000Z"
    assert await elector(cluster).leadership() is None


async def test_of_many_candidates_at_once_one_leads(cluster: Cluster) -> None:
    cluster.latency = 0.01
    answers = await asyncio.gather(*(elector(cluster).campaign(WorkerID.new()) for _ in range(8)))
    assert sorted(answers, key=str) == [1, *[None] * 7]


async def test_of_many_candidates_for_a_free_lease_one_leads(cluster: Cluster) -> None:
    mine = elector(cluster)
    await mine.campaign(ONE)
    await mine.resign(ONE)
    cluster.latency = 0.01
    answers = await asyncio.gather(*(elector(cluster).campaign(WorkerID.new()) for _ in range(8)))
    assert sorted(answers, key=str) == [2, *[None] * 7]


@pytest.mark.parametrize("trouble", ["down", "cut"])
async def test_an_api_that_does_not_answer_is_an_error_that_names_the_lease(cluster: Cluster, trouble: str) -> None:
    mine = elector(cluster)
    await mine.campaign(ONE)
    setattr(cluster, trouble, True)
    with pytest.raises(StoreUnreachable, match="the Lease 'app' of Kubernetes"):
        await mine.campaign(ONE)
    setattr(cluster, trouble, False)
    assert await mine.campaign(ONE) == 1, "a write whose answer was lost was its own"


async def test_a_worker_leads_by_the_lease_and_gives_it_up_when_it_stops(cluster: Cluster) -> None:
    plugin = KubernetesPlugin("app", namespace="jobs", server=cluster.url)
    config = Config(store="memory://", auto_open=False, leader_lease=5)
    async with Dispatch(config=config, registry=Registry(), plugins=[plugin]) as app:
        engine = await app.start()
        async with asyncio.timeout(5):
            while not (cluster.leases and holder(cluster) == engine.worker_id):
                await asyncio.sleep(0.01)
        assert await app.store.cluster.leadership() is None, "the store's own election is not asked"
        found = await app.workers.leadership()
        assert found is not None
        assert found.leader == engine.worker_id
        assert await app.workers.resign() == found
        assert [record.verb for record in await app.audit.list()] == ["leader.resign"]
        await app.stop(0)
    assert holder(cluster) == ""
