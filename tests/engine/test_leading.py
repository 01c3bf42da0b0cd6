"""Leadership and cron in the worker: who leads, what the leader fires, what happens when it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from stores.store_kinds import maker

from dispatch import Dispatch
from dispatch.clock import ManualClock
from dispatch.cluster.model import NewWorker
from dispatch.crons.model import CronSpec
from dispatch.crons.plan import Rules
from dispatch.engine.elector import Campaign, StoreElector
from dispatch.engine.introduction import Introduction
from dispatch.engine.scheduler import AT_ONCE, SETTLE_EVERY, CronScheduler
from dispatch.errors import DataRejected, LeadershipLost
from dispatch.hookspecs import hookimpl
from dispatch.ids import CronID, WorkerID
from dispatch.jobs.context import current_job
from dispatch.jobs.model import ListOptions
from dispatch.registry import Registry
from dispatch.store import Store
from dispatch.stores.memory import MemoryStore

from .conftest import Start
from .facts import eventually

LOGGER = logging.getLogger("test")


class Seconds:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def never(error: BaseException) -> None:
    raise AssertionError(error)


def new_worker() -> NewWorker:
    return NewWorker(
        id=WorkerID.new(), hostname="h", pid=1, queues=("default",), names=("work",), concurrency=1, lease=30
    )


def campaign(elector: Any, clock: Callable[[], float], changes: list[int | None] | None = None) -> Campaign:
    return Campaign(
        elector,
        WorkerID.new(),
        lease=10,
        on_change=(changes if changes is not None else []).append,
        on_death=never,
        logger=LOGGER,
        clock=clock,
    )


def scheduler(store: Store, require: Callable[[], object] = lambda: 1, **options: Any) -> CronScheduler:
    return CronScheduler(
        store,
        require_leadership=require,
        rules=Rules(),
        on_fired=options.pop("on_fired", lambda entry, fired: None),
        on_death=never,
        logger=LOGGER,
        **options,
    )


@pytest.fixture(
    params=[
        "memory",
        "sqlite",
        pytest.param("postgres", marks=pytest.mark.proof),
        pytest.param("redis", marks=pytest.mark.proof),
    ]
)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    clock = ManualClock()
    made: Any = maker(request.param, tmp_path)(clock)
    made.clock = clock
    await made.open()
    yield made
    await made.close()


async def test_one_of_two_campaigns_wins_and_the_other_follows_when_it_resigns(store: Any) -> None:
    clock, changes = Seconds(), list[int | None]()
    one, other = (campaign(StoreElector(store, lease=10), clock, changes) for _ in range(2))
    await one.run_once()
    await other.run_once()
    assert one.require() == one.term
    with pytest.raises(LeadershipLost):
        other.require()
    await one.resign()
    await other.run_once()
    assert one.term is None
    assert other.term is not None
    assert changes == [1, None, other.term]


async def test_a_leader_that_cannot_ask_ceases_to_lead_before_its_lease_ends(store: Any) -> None:
    clock = Seconds()
    lonely = campaign(StoreElector(store, lease=10), clock)
    await lonely.run_once()
    clock.now += 7.9
    assert lonely.term is not None
    clock.now += 0.2
    assert lonely.term is None


async def test_a_leader_whose_term_was_taken_says_so(store: Any) -> None:
    clock, changes = Seconds(), list[int | None]()
    one, other = (campaign(StoreElector(store, lease=10), clock, changes) for _ in range(2))
    await one.run_once()
    store.clock.advance(11)
    await other.run_once()
    await one.run_once()
    assert one.term is None
    assert changes == [1, other.term, None]


async def test_only_the_leader_fires(store: Any) -> None:
    await store.crons.create(
        CronSpec(name="a", schedule="* * * * *", target="work"), entry_id=CronID.new(), next_fire_at=store.clock.now()
    )

    def refuse() -> None:
        raise LeadershipLost("not me")

    assert await scheduler(store, refuse).run_once() == 1.0
    assert (await store.jobs.list(ListOptions())).items == []
    assert await scheduler(store).run_once() == 0.0
    assert len((await store.jobs.list(ListOptions())).items) == 1


async def test_leadership_lost_between_the_look_and_the_fire_fires_nothing(store: Any) -> None:
    await store.crons.create(
        CronSpec(name="a", schedule="* * * * *", target="work"), entry_id=CronID.new(), next_fire_at=store.clock.now()
    )
    asked = iter([None, LeadershipLost("gone")])

    def once() -> None:
        if (answer := next(asked)) is not None:
            raise answer

    await scheduler(store, once).run_once()
    assert (await store.jobs.list(ListOptions())).items == []


async def test_code_is_brought_in_line_and_a_changed_schedule_replaces_the_old_one(store: Any) -> None:
    spec = CronSpec(name="a", schedule="@every 10s", target="work")
    worker = new_worker()
    await Introduction(worker, {spec.digest: spec}).make(store)
    seconds = Seconds()
    rounds = scheduler(store, clock=seconds)
    assert await rounds.run_once() == 1.0
    entry = await store.crons.get("a")
    assert entry.next_fire_at == store.clock.now() + timedelta(seconds=10)
    store.clock.advance(9.5)
    assert await rounds.run_once() == pytest.approx(0.5)
    slower = CronSpec(name="a", schedule="@every 20s", target="work")
    await Introduction(worker, {slower.digest: slower}).make(store)
    seconds.now += SETTLE_EVERY
    await rounds.run_once()
    entry = await store.crons.get("a")
    assert (entry.spec, entry.next_fire_at) == (slower, store.clock.now() + timedelta(seconds=20))


async def test_a_long_period_ticks_although_its_announcer_restarts_all_the_time(store: Any) -> None:
    spec = CronSpec(name="a", schedule="@every 1h", target="work")
    for _ in range(7):
        worker = new_worker()
        await Introduction(worker, {spec.digest: spec}).make(store)
        rounds = scheduler(store)
        while await rounds.run_once() == 0.0:
            pass
        await store.cluster.retire(worker.id)
        store.clock.advance(600)
    (job,) = (await store.jobs.list(ListOptions())).items
    assert job.scheduled_at == ManualClock().now() + timedelta(hours=1)


async def test_an_entry_that_cannot_be_read_holds_up_no_other(store: Any, caplog: pytest.LogCaptureFixture) -> None:
    now = store.clock.now()
    for name, schedule in (("bad", "61 * * * *"), ("good", "* * * * *")):
        await store.crons.create(
            CronSpec(name=name, schedule=schedule, target="work"), entry_id=CronID.new(), next_fire_at=now
        )
    rounds = scheduler(store)
    await rounds.run_once()
    assert len((await store.jobs.list(ListOptions())).items) == 1
    assert "the cron entry bad cannot be read" in caplog.text
    assert (await rounds.run_once() or 0) > 0.5, "what cannot be read must not keep the leader busy"


async def test_more_entries_than_a_page_that_cannot_be_read_hide_no_other(
    store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    now = store.clock.now()
    for number in range(AT_ONCE + 5):
        spec = CronSpec(name=f"bad-{number}", schedule="61 * * * *", target="work")
        await store.crons.create(spec, entry_id=CronID.new(), next_fire_at=now - timedelta(seconds=9))
    good = CronSpec(name="good", schedule="* * * * *", target="work")
    await store.crons.create(good, entry_id=CronID.new(), next_fire_at=now)
    rounds = scheduler(store)
    assert [await rounds.run_once(), await rounds.run_once()] == [0.0, 0.0]
    assert len((await store.jobs.list(ListOptions())).items) == 1
    assert (await rounds.run_once() or 0) > 0.5, "what cannot be read must not keep the leader busy"
    assert caplog.text.count("cannot be read") == AT_ONCE + 5, "each is told once"


async def test_an_entry_whose_job_cannot_be_stored_keeps_no_other_waiting(
    store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for name, payload in (("a", b"{}"), ("b", b"{}"), ("bad", b"{}")):
        options = {"tags": ["a\0b"]} if name == "bad" else {}
        spec = CronSpec(name=name, schedule="* * * * *", target=name, payload=payload, options=options)
        await store.crons.create(spec, entry_id=CronID.new(), next_fire_at=store.clock.now())
    fire = store.crons.fire

    async def refuse(fires: Any) -> Any:
        if any(tick.job.tags for one in fires for tick in one.ticks):
            raise DataRejected("a tag with a NUL")
        return await fire(fires)

    store.crons.fire = refuse
    rounds = scheduler(store)
    await rounds.run_once()
    assert {job.name for job in (await store.jobs.list(ListOptions())).items} == {"a", "b"}
    assert (await rounds.run_once() or 0) > 0.5, "what cannot be stored must not keep the leader busy"
    assert caplog.text.count("the cron entry bad makes what cannot be stored") == 1


async def test_a_worker_fires_a_function_on_its_timetable_and_tells_plugins(registry: Registry, start: Start) -> None:
    ticks: list[datetime | None] = []

    @registry.cron("@every 1s")
    async def beat() -> None:
        ticks.append(current_job().scheduled_at)

    class Plugin:
        def __init__(self) -> None:
            self.fired: list[tuple[str, str]] = []
            self.terms: list[int | None] = []

        @hookimpl
        def cron_fired(self, entry: Any, job_id: Any) -> None:
            self.fired.append((entry.name, job_id))

        @hookimpl
        def leader_changed(self, worker_id: Any, term: Any) -> None:
            self.terms.append(term)

    plugin = Plugin()
    app = await start(app={"plugins": [plugin]}, poll_interval=0.2, heartbeat_interval=5)
    await eventually(lambda: len(ticks) >= 2, within=8)
    entry = await app.crons.get("beat")
    assert entry.code_hash is not None
    assert ticks[0] is not None
    assert ticks[0].tzinfo is UTC
    await eventually(lambda: [name for name, _ in plugin.fired][:2] == ["beat", "beat"])
    await eventually(lambda: plugin.terms == [1])
    await app.stop(0)
    await eventually(lambda: plugin.terms == [1, None])


async def test_two_workers_fire_each_tick_once_and_the_second_takes_over(registry: Registry, start: Start) -> None:
    ran: list[Any] = []

    @registry.cron("@every 1s", overlap="allow")
    async def beat() -> None:
        ran.append(current_job().scheduled_at)

    store = MemoryStore()
    settings: dict[str, Any] = {"poll_interval": 0.1, "leader_lease": 1.0}
    one = await start(store=store, **settings)
    await start(store=store, **settings)
    await eventually(lambda: len(ran) >= 1, within=8)
    await one.stop(0)
    seen = len(ran)
    await eventually(lambda: len(ran) >= seen + 2, within=8)
    await asyncio.sleep(0)
    assert len(ran) == len(set(ran))


async def test_two_leaders_at_once_fire_each_tick_once(
    registry: Registry, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    class AlwaysLeads:
        async def campaign(self, worker_id: WorkerID) -> int | None:
            return 1

        async def resign(self, worker_id: WorkerID) -> None: ...

    ran: list[Any] = []

    @registry.cron("@every 1s", overlap="allow", misfire="all")
    async def beat() -> None:
        ran.append(current_job().scheduled_at)

    store = MemoryStore()
    changes: Any = {"poll_interval": 0.1, "leader_lease": 1.0}
    for _ in range(2):
        await start(store=store, app={"leader_elector": AlwaysLeads()}, **changes)
    await eventually(lambda: len(ran) >= 4, within=10)
    assert caplog.text.count("this worker leads (term 1)") == 2
    assert sorted(ran) == sorted({*ran})
    assert {after - before for before, after in pairwise(sorted(ran))} == {timedelta(seconds=1)}


async def test_schedulers_that_fire_the_same_entries_at_once_make_each_tick_once(store: Any) -> None:
    now = store.clock.now()
    for number in range(30):
        spec = CronSpec(name=f"e{number}", schedule="@every 10s", target="work", overlap="allow", misfire="all")
        await store.crons.create(spec, entry_id=CronID.new(), next_fire_at=now - timedelta(seconds=20))
    leaders = [scheduler(store) for _ in range(3)]
    for _ in range(2):
        await asyncio.gather(*(leader.run_once() for leader in leaders))
    jobs = (await store.jobs.list(ListOptions(limit=200))).items
    assert len(jobs) == 90
    assert Counter(job.scheduled_at for job in jobs) == {now - timedelta(seconds=ago): 30 for ago in (0, 10, 20)}


async def test_an_entry_that_takes_too_long_to_fire_keeps_no_other_waiting(
    store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    now = store.clock.now()
    for name, earlier in (("slow", 2), ("quick", 1)):
        spec = CronSpec(name=name, schedule="* * * * *", target=name)
        await store.crons.create(spec, entry_id=CronID.new(), next_fire_at=now - timedelta(seconds=earlier))
    slow = await store.crons.get("slow")
    fire = store.crons.fire

    async def held_up(fires: Any) -> Any:
        if fires[0].entry_id == slow.id:
            await asyncio.Event().wait()
        return await fire(fires)

    store.crons.fire = held_up
    await scheduler(store, limit=0.2).run_once()
    assert [job.name for job in (await store.jobs.list(ListOptions())).items] == ["quick"]
    assert "took too long to fire the cron entry slow" in caplog.text


async def test_an_entry_whose_ticks_cannot_be_computed_here_holds_up_no_other(
    store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    near = CronSpec(name="near", schedule="@every 10s", target="work")
    elsewhere = CronSpec(name="elsewhere", schedule="@daily", target="work", timezone="Mars/Olympus")
    await Introduction(new_worker(), {spec.digest: spec for spec in (near, elsewhere)}).make(store)
    fired: list[str] = []
    rounds = scheduler(store, on_fired=lambda entry, ticks: fired.append(entry.name))
    await rounds.run_once()
    store.clock.advance(10)
    await rounds.run_once()
    assert fired == ["near"]
    assert (await store.crons.get("elsewhere")).next_fire_at is not None, "left to a leader that has the zone"
    assert "elsewhere cannot be read and does not fire" in caplog.text


async def test_a_worker_that_runs_no_jobs_has_no_room_for_any(registry: Registry) -> None:
    async with Dispatch("memory://", registry=registry) as app:
        engine = app.build_engine(jobs=False)
        await engine.start()
        assert engine._worker is not None
        await engine._worker.run_once()
        assert engine._worker._rooms(5) == {}
        await engine.stop(0)
