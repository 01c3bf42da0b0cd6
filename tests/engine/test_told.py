"""A store that can tells the worker of changes itself; the listener sees to the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from dispatch.registry import Registry
from dispatch.stores.memory import MemoryStore

from .conftest import Start
from .facts import eventually


class Telling:
    """Wakeups that only tell: whoever waits for them waits in vain."""

    version = 0

    def __init__(self) -> None:
        self.told: list[Callable[[], object]] = []

    async def wait(self, seen: int, timeout: float) -> int:
        await asyncio.Event().wait()
        return seen

    def tell(self, changed: Callable[[], object]) -> Callable[[], object]:
        self.told.append(changed)
        return lambda: self.told.remove(changed)


async def test_a_worker_that_the_store_tells_claims_without_the_listener(registry: Registry, start: Start) -> None:
    ran = asyncio.Event()

    @registry.job
    async def note() -> None:
        ran.set()

    store: Any = MemoryStore()
    store.wakeups = wakeups = Telling()
    app = await start(store=store)
    assert app.engine is not None
    await eventually(lambda: app.engine is not None and app.engine.idle)
    await note.enqueue()
    assert not ran.is_set()
    for changed in wakeups.told:
        changed()
    async with asyncio.timeout(10):
        await ran.wait()


async def test_a_worker_that_has_stopped_is_told_no_more(registry: Registry, start: Start) -> None:
    store: Any = MemoryStore()
    store.wakeups = wakeups = Telling()
    app = await start(store=store)
    assert len(wakeups.told) == 1
    async with asyncio.timeout(10):
        await app.stop(0)
    assert wakeups.told == []
