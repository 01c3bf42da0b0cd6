"""The Broker over the memory store: channels, tenants, resuming, slow subscribers, leases, trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from dispatch import Dispatch
from dispatch.errors import InvalidArguments, NoOpenApp, StoreUnreachable
from dispatch.stores.memory import MemoryStore
from dispatch.streams import Broker, Event, Item, Lagged, StreamEntry, Subscription

WITHIN = 5.0


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    store = MemoryStore()
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def broker(store: MemoryStore) -> AsyncIterator[Broker]:
    broker = Broker(store.stream, hints=store.wakeups)
    yield broker
    await broker.close()


def entry(number: int, kind: str = "job.enqueued", *, tenant: str = "", queue: str = "default") -> StreamEntry:
    data = f'{{"job_id":"job_{number}","queue":"{queue}"}}'.encode()
    return StreamEntry(kind, f"job_{number}:{number}", kind, data, tenant)


async def take(subscription: Subscription, count: int) -> list[Item]:
    found: list[Item] = []
    async with asyncio.timeout(WITHIN):
        while len(found) < count:
            found += await subscription.pull(count - len(found))
    return found


def ids(items: Sequence[Item]) -> list[str]:
    return [item.id if isinstance(item, Event) else type(item).__name__ for item in items]


async def test_events_reach_every_subscriber_in_order(store: MemoryStore, broker: Broker) -> None:
    one = await broker.subscribe("jobs", tenant=None)
    other = await broker.subscribe("firehose", tenant=None)
    await store.stream.append([entry(1), entry(2), entry(3, "job.started")])
    expected = ["job_1:1", "job_2:2", "job_3:3"]
    assert ids(await take(one, 3)) == expected
    assert ids(await take(other, 3)) == expected
    await store.stream.append([entry(4)])
    (event,) = await take(one, 1)
    assert isinstance(event, Event)
    assert (event.type, event.topic, event.data) == (
        "job.enqueued",
        "job:job_4",
        {"job_id": "job_4", "queue": "default"},
    )


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ("job:job_2", ["job_2:2"]),
        ("queue:mail", ["job_3:3"]),
        ("job.started", ["job_4:4"]),
        ("jobs", ["job_1:1", "job_2:2", "job_3:3", "job_4:4"]),
    ],
)
async def test_a_channel_lets_its_own_events_through(
    store: MemoryStore, broker: Broker, channel: str, expected: list[str]
) -> None:
    async with await broker.subscribe(channel, tenant=None) as subscription:
        everything = await broker.subscribe("jobs", tenant=None)
        for round in (0, 1):  # while it catches up, and live
            await store.stream.append([entry(1), entry(2), entry(3, queue="mail"), entry(4, "job.started")])
            assert ids(await take(subscription, len(expected))) == expected, round
            await take(everything, 4)


async def test_a_tenant_sees_its_own_events_only(store: MemoryStore, broker: Broker) -> None:
    mine = await broker.subscribe("jobs", tenant="shop/a")
    nobodys = await broker.subscribe("jobs", tenant="")
    await store.stream.append([entry(1, tenant="shop/b"), entry(2, tenant="shop/a"), entry(3)])
    assert ids(await take(mine, 1)) == ["job_2:2"]
    assert ids(await take(nobodys, 1)) == ["job_3:3"]


async def test_after_goes_on_behind_the_last_event_seen(store: MemoryStore, broker: Broker) -> None:
    async with await broker.subscribe("jobs", tenant=None) as first:
        await store.stream.append([entry(n) for n in range(5)])
        *_, last = await take(first, 2)
    assert isinstance(last, Event)
    await store.stream.append([entry(n) for n in range(5, 8)])
    again = await broker.subscribe("jobs", tenant=None, after=last.position)
    assert ids(await take(again, 6)) == [f"job_{n}:{n}" for n in range(2, 8)]


async def test_a_broker_that_starts_anew_goes_on_where_the_other_ended(store: MemoryStore) -> None:
    first = Broker(store.stream, hints=store.wakeups)
    subscription = await first.subscribe("jobs", tenant=None)
    await store.stream.append([entry(1), entry(2)])
    *_, last = await take(subscription, 1)
    assert isinstance(last, Event)
    await first.close()
    assert await subscription.pull() == []
    await store.stream.append([entry(3)])
    second = Broker(store.stream, hints=store.wakeups)
    again = await second.subscribe("jobs", tenant=None, after=last.position)
    assert ids(await take(again, 2)) == ["job_2:2", "job_3:3"]
    await second.close()


async def test_who_comes_back_too_late_is_told_to_start_anew(store: MemoryStore, broker: Broker) -> None:
    await store.stream.listen(["job.enqueued"], "me", lease=60)
    await store.stream.append([entry(1)])
    await store.stream.unlisten("me")
    await store.stream.append([entry(2)])
    subscription = await broker.subscribe("jobs", tenant=None, after=2)
    await store.stream.append([entry(3)])
    assert ids(await take(subscription, 2)) == ["Reset", "job_3:3"]


async def test_a_slow_subscriber_is_told_how_many_it_missed_and_holds_nobody_up(
    store: MemoryStore, broker: Broker
) -> None:
    slow = await broker.subscribe("jobs", tenant=None, buffer=3)
    quick = await broker.subscribe("jobs", tenant=None)
    await store.stream.append([entry(0)])
    assert ids(await take(slow, 1)) == ["job_0:0"]
    assert ids(await take(quick, 1)) == ["job_0:0"]
    await _until(lambda: slow.live and quick.live, slow, quick)
    await store.stream.append([entry(n) for n in range(1, 11)])
    assert len(await take(quick, 10)) == 10
    items = await take(slow, 4)
    assert ids(items) == ["job_1:1", "job_2:2", "job_3:3", "Lagged"]
    lagged = items[-1]
    assert isinstance(lagged, Lagged)
    assert lagged.missed == 7
    await store.stream.append([entry(11)])
    assert ids(await take(slow, 1)) == ["job_11:11"]
    again = await broker.subscribe("jobs", tenant=None, after=lagged.position)
    assert ids(await take(again, 8)) == [f"job_{n}:{n}" for n in range(4, 12)]


async def _until(true: Any, *subscriptions: Subscription) -> None:
    async with asyncio.timeout(WITHIN):
        while not true():
            for subscription in subscriptions:
                try:
                    async with asyncio.timeout(0.01):
                        await subscription.pull()
                except TimeoutError:
                    continue


async def test_a_later_type_joins_without_loss_or_a_false_alarm(store: MemoryStore, broker: Broker) -> None:
    jobs = await broker.subscribe("jobs", tenant=None)
    await store.stream.append([entry(1)])
    assert ids(await take(jobs, 1)) == ["job_1:1"]
    crons = await broker.subscribe("crons", tenant=None)
    fired = StreamEntry("cron.fired", "nightly:2", "cron.fired", b'{"entry_name":"nightly"}')
    await store.stream.append([fired, entry(2)])
    assert ids(await take(jobs, 1)) == ["job_2:2"]
    (event,) = await take(crons, 1)
    assert isinstance(event, Event)
    assert event.topic == "cron:nightly"


async def test_only_what_is_subscribed_to_is_kept(store: MemoryStore, broker: Broker) -> None:
    subscription = await broker.subscribe("job.started", tenant=None)
    start = subscription.position
    await store.stream.append([entry(1), entry(2, "job.started")])
    page = await store.stream.read_after(["job.enqueued", "job.started"], start)
    assert [one.id for one in page.entries] == ["job_2:2"]


async def test_programs_publish_types_of_their_own(broker: Broker) -> None:
    subscription = await broker.subscribe("shop.opened", tenant=None)
    event_id = await broker.publish("shop.opened", {"city": "Bern"}, tenant="shop/a")
    (event,) = await take(subscription, 1)
    assert isinstance(event, Event)
    assert (event.id, event.data, event.tenant, event.topic) == (event_id, {"city": "Bern"}, "shop/a", "")
    with pytest.raises(InvalidArguments, match="of your own"):
        await broker.publish("job.completed", {})


async def test_what_is_no_json_holds_nobody_up(store: MemoryStore, broker: Broker) -> None:
    subscription = await broker.subscribe("jobs", tenant=None)
    for data in (b"\xff", b"[1]", b'{"job_id":[1]}'):
        await store.stream.append([StreamEntry("job.started", "x:1", "job.started", data)])
    await store.stream.append([entry(1)])
    assert ids(await take(subscription, 4))[-1] == "job_1:1"


async def test_an_outage_of_the_store_is_waited_out(store: MemoryStore) -> None:
    broken = False

    class Stream:
        """The store's own, which is not always there."""

        def __getattr__(self, name: str) -> Any:
            if broken and name == "read_after":
                raise StoreUnreachable("the cable is cut")
            return getattr(store.stream, name)

    broker = Broker(Stream(), hints=store.wakeups)
    subscription = await broker.subscribe("jobs", tenant=None)
    await store.stream.append([entry(1)])
    assert ids(await take(subscription, 1)) == ["job_1:1"]
    broken = True
    await store.stream.append([entry(2)])
    waiting = asyncio.create_task(take(subscription, 1))
    await asyncio.wait([waiting], timeout=0.1)
    assert not waiting.done()
    broken = False
    assert ids(await waiting) == ["job_2:2"]
    await broker.close()


async def test_the_lease_ends_after_the_last_subscriber_but_not_at_once(store: MemoryStore) -> None:
    broker = Broker(store.stream, hints=store.wakeups, lease=0.06, linger=600.0)
    subscription = await broker.subscribe("crons", tenant=None)
    log = store.stream._session.data.stream
    now = store._session.data.clock.now
    async with asyncio.timeout(WITHIN):
        before = next(iter(log.listeners["cron.fired"].values()))
        while next(iter(log.listeners["cron.fired"].values())) <= before:
            await asyncio.sleep(0)
    await subscription.close()
    async with asyncio.timeout(WITHIN):
        while (next(iter(log.listeners["cron.fired"].values())) - now()).total_seconds() < 500:
            await asyncio.sleep(0)
    await broker.close()


@pytest.mark.parametrize("channel", ["", "job", "job:", "nothing", "tenant:x"])
async def test_a_channel_that_does_not_exist_is_refused(broker: Broker, channel: str) -> None:
    with pytest.raises(InvalidArguments, match="there is no channel"):
        await broker.subscribe(channel, tenant=None)


async def test_a_closed_broker_takes_nobody(broker: Broker) -> None:
    subscription = await broker.subscribe("jobs", tenant=None)
    waiting = asyncio.create_task(subscription.pull())
    await asyncio.wait([waiting], timeout=0)
    await broker.close()
    assert await waiting == []
    assert [item async for item in subscription] == []
    with pytest.raises(InvalidArguments, match="closed"):
        await broker.subscribe("jobs", tenant=None)


async def test_an_app_has_one_broker_and_closes_it() -> None:
    app = Dispatch("memory://")
    with pytest.raises(NoOpenApp):
        _ = app.feed
    async with app:
        assert app.feed is app.feed
        subscription = await app.feed.subscribe("jobs", tenant=None)
    assert subscription.closed
