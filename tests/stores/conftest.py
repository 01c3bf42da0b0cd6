"""The stores that this suite runs over, each empty, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dispatch.clock import ManualClock
from dispatch.store import Store

Make = Callable[[ManualClock], Store]
KINDS = ("memory", "sqlite")


def maker(kind: str, folder: Path) -> Make:
    """Makes empty, unopened stores of one kind; each call gives another one."""
    count = 0

    def make(clock: ManualClock) -> Store:
        nonlocal count
        count += 1
        if kind == "memory":
            from dispatch.stores.memory import MemoryStore

            return MemoryStore(clock=clock)
        from dispatch.stores.sqlite import SQLiteStore

        return SQLiteStore(folder / f"store-{count}.db", clock=clock)

    return make


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """A maker of empty stores, once for each kind."""
    return maker(request.param, tmp_path)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(make: Make, clock: ManualClock) -> AsyncIterator[Store]:
    """An open, empty store, once for each kind."""
    made = make(clock)
    await made.open()
    yield made
    await made.close()
