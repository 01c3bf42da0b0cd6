"""Slots of queues: the limit, the turns, the leases, and how a holder hears that it lost its slot."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dispatch import Dispatch, QueueConfig
from dispatch.config import Config
from dispatch.entity import Reply
from dispatch.errors import InvalidArguments, SlotLost, SlotTimeout, StoreUnreachable
from dispatch.queues import QueueManager, Slot
from dispatch.registry import Registry
from dispatch.store import Store
from dispatch.stores.memory import MemoryStore
from dispatch.stores.sqlite import SQLiteStore

SOON = 10.0


@pytest.fixture(params=["memory", "sqlite"])
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Dispatch]:
    store: Store = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "d.db")
    async with Dispatch(store, config=Config(), registry=Registry()) as app:
        yield app


async def held(app: Dispatch, queue: str = "gpu") -> int:
    return len((await app.queues.get(queue)).slots)


async def test_no_more_blocks_are_inside_at_once_than_the_limit_allows(app: Dispatch) -> None:
    inside = most = 0
    full = asyncio.Event()

    async def enter() -> None:
        nonlocal inside, most
        async with app.queues.slot("gpu", limit=3, timeout=SOON):
            inside += 1
            most = max(most, inside)
            if inside == 3:
                full.set()
            await full.wait()
            assert await held(app) <= 3
            inside -= 1

    async with asyncio.timeout(SOON):
        await asyncio.gather(*(enter() for _ in range(12)))
    assert most == 3
    assert await held(app) == 0


async def test_the_queues_own_limit_counts_before_the_callers(app: Dispatch) -> None:
    await app.queues.configure(QueueConfig("gpu", max_concurrency=1))
    async with app.queues.slot("gpu", limit=9):
        with pytest.raises(SlotTimeout, match="`dispatch queue show gpu` tells who holds them"):
            await app.queues.acquire("gpu", limit=9, timeout=0)


async def test_those_who_wait_are_served_in_turn(app: Dispatch) -> None:
    order: list[int] = []

    async def enter(number: int) -> None:
        async with app.queues.slot("gpu", limit=1, timeout=SOON):
            order.append(number)

    first = await app.queues.acquire("gpu", limit=1)
    waiting = [asyncio.create_task(enter(number)) for number in range(5)]
    await asyncio.sleep(0)
    await app.queues.release(first)
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2, 3, 4]


async def test_a_wait_is_bounded_and_leaves_nothing_behind(app: Dispatch) -> None:
    slot = await app.queues.acquire("gpu", limit=1)
    for _ in range(2):
        with pytest.raises(SlotTimeout, match=r"no slot of queue 'gpu' came free within 0\.05 s"):
            await app.queues.acquire("gpu", limit=1, timeout=0.05)
    assert (await app.queues.get("gpu")).slots == [slot.holder]
    await slot.release()
    async with app.queues.slot("gpu", limit=1, timeout=0):
        assert await held(app) == 1


class Counting:
    """A queues part that counts how often somebody asks for a slot."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def take_slot(self, *args: Any, **options: Any) -> Reply:
        self.asked += 1
        reply: Reply = await self._inner.take_slot(*args, **options)
        return reply


async def test_a_wait_looks_when_woken_and_does_not_wake_itself(app: Dispatch) -> None:
    counting = Counting(app.store.queues)
    managers = [QueueManager(counting, app.store.wakeups) for _ in range(3)]
    slot = await managers[0].acquire("gpu", limit=1)
    waiting = [asyncio.create_task(manager.acquire("gpu", limit=1, timeout=SOON)) for manager in managers]
    with pytest.raises(SlotTimeout):
        await managers[0].acquire("gpu", limit=1, timeout=0.5)
    assert counting.asked <= 12, "those who wait wake each other"
    await slot.release()
    for _ in waiting:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            waiting = [other for other in waiting if other is not task]
            await task.result().release()
    assert await held(app) == 0


async def test_a_slot_is_renewed_while_it_is_held(app: Dispatch) -> None:
    async with app.queues.slot("gpu", limit=1, lease=0.3) as slot:
        with pytest.raises(SlotTimeout):
            await app.queues.acquire("gpu", limit=1, timeout=0.9)
        slot.check()


async def test_the_block_of_a_lost_slot_is_cancelled_and_left_by_slot_lost(
    app: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = False

    async def taken_away(*args: object, **options: object) -> Reply:
        return Reply.STALE

    with pytest.raises(SlotLost, match=r"was lost: its lease of 0\.3 s could not be renewed in time"):
        async with app.queues.slot("gpu", limit=1, lease=0.3):
            monkeypatch.setattr(app.store.queues, "renew_slot", taken_away)
            async with asyncio.timeout(SOON):
                await asyncio.Event().wait()
            reached = True
    assert not reached
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_slot_that_cannot_be_renewed_for_its_lease_is_lost(
    app: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(*args: object, **options: object) -> Reply:
        raise StoreUnreachable("gone")

    slot = await app.queues.acquire("gpu", limit=1, lease=0.3)
    lost = asyncio.Event()
    slot.on_loss(lost.set)
    monkeypatch.setattr(app.store.queues, "renew_slot", unreachable)
    async with asyncio.timeout(SOON):
        await lost.wait()
    with pytest.raises(SlotLost):
        slot.check()
    with pytest.raises(SlotLost):
        await slot.release()


async def test_an_error_or_a_cancellation_inside_goes_on_and_frees_the_slot(app: Dispatch) -> None:
    with pytest.raises(KeyError):
        async with app.queues.slot("gpu", limit=1):
            raise KeyError("mine")
    assert await held(app) == 0

    inside = asyncio.Event()

    async def hold() -> None:
        async with app.queues.slot("gpu", limit=1):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await held(app) == 0


async def test_a_cancelled_wait_takes_no_slot(app: Dispatch) -> None:
    slot = await app.queues.acquire("gpu", limit=1)
    task = asyncio.create_task(app.queues.acquire("gpu", limit=1))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await slot.release()
    async with app.queues.slot("gpu", limit=1, timeout=SOON):
        assert await held(app) == 1


@pytest.mark.parametrize(
    "options",
    [
        *({"limit": limit} for limit in (0, 10**30, "2", 1.5, True)),
        *({"lease": lease} for lease in (0, -1, 1e-9, 1e18)),
    ],
)
async def test_what_makes_no_sense_is_refused(app: Dispatch, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArguments):
        await app.queues.acquire("gpu", **options)


@pytest.mark.parametrize("name", ["", "a b", 5, None, "x" * 10_000, "\0"])
async def test_a_slot_is_of_a_queue_that_can_have_a_name(app: Dispatch, name: Any) -> None:
    with pytest.raises(InvalidArguments, match="is no queue name") as caught:
        await app.queues.acquire(name)
    assert len(str(caught.value)) < 200
    assert await app.queues.list() == []


@pytest.mark.parametrize(
    "limits",
    [
        {"rate_limit": 1e-320},
        {"rate_limit": float("nan")},
        {"rate_limit": -1.0},
        {"rate_limit": 1e300},
        {"max_concurrency": 10**30},
        {"max_concurrency": -1},
        {"rate_limit": 1.0, "rate_burst": 0},
        {"tenant_concurrency": 1.5},
    ],
)
async def test_limits_that_no_store_could_keep_are_refused(app: Dispatch, limits: dict[str, Any]) -> None:
    with pytest.raises(InvalidArguments, match="of queue 'gpu' is "):
        await app.queues.configure(QueueConfig("gpu", **limits))
    with pytest.raises(InvalidArguments, match="of queue 'gpu' is "):
        Dispatch("memory://", config=Config(), registry=Registry(), queue_config=[QueueConfig("gpu", **limits)])
    assert await app.queues.list() == []


def test_synchronous_code_holds_slots_too(tmp_path: Path) -> None:
    with Dispatch(f"sqlite:///{tmp_path}/d.db", config=Config(), registry=Registry()) as app:
        with app.sync.queues.slot("gpu", limit=1) as slot:
            assert isinstance(slot, Slot)
            assert app.sync.queues.get("gpu").slots == [slot.holder]
            with pytest.raises(SlotTimeout):
                app.sync.queues.acquire("gpu", limit=1, timeout=0)
        with pytest.raises(KeyError), app.sync.queues.slot("gpu", limit=1):
            raise KeyError("mine")
        assert app.sync.queues.get("gpu").slots == []


HOLDER = """
import asyncio, sys
from dispatch import Dispatch

async def main():
    async with Dispatch(sys.argv[1]) as app, app.queues.slot("gpu", limit=1, lease=1.0):
        print("held", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_the_slot_of_a_killed_process_is_free_after_its_lease(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/d.db"
    async with Dispatch(url, config=Config(), registry=Registry()) as app:
        process = subprocess.Popen([sys.executable, "-c", HOLDER, url], stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            assert await asyncio.to_thread(process.stdout.readline) == "held\n"
            with pytest.raises(SlotTimeout):
                await app.queues.acquire("gpu", limit=1, timeout=1.5)
            process.send_signal(signal.SIGKILL)
            async with app.queues.slot("gpu", limit=1, timeout=30):
                assert await held(app) == 1
        finally:
            process.kill()
            process.communicate()
