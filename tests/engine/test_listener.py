"""When a change of the store makes the worker look: unless it has looked since."""

from __future__ import annotations

import logging
from typing import Any, cast

import pytest

from dispatch.engine.listener import Listener
from dispatch.engine.worker import Worker
from dispatch.ids import WorkerID
from dispatch.stores.memory import MemoryStore
from dispatch.testing.conformance.env import new


class Looking:
    """As much of a worker as the listener needs."""

    held: dict[Any, Any] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.claimed_of = -1
        self.nudges = 0

    def nudge(self) -> None:
        self.nudges += 1


@pytest.mark.parametrize(("looks", "nudges"), [("before", 1), ("after", 0)])
async def test_a_change_wakes_the_worker_unless_it_has_claimed_since(looks: str, nudges: int) -> None:
    store = MemoryStore()
    await store.open()
    worker = Looking()
    listener = Listener(
        store,
        WorkerID.new(),
        cast(Worker, worker),
        call_timeout=5.0,
        on_death=lambda error: None,
        logger=logging.getLogger("test"),
    )
    if looks == "before":
        worker.claimed_of = store.wakeups.version
    await store.jobs.enqueue([new()])
    if looks == "after":
        worker.claimed_of = store.wakeups.version
    await listener.run_once()
    assert worker.nudges == nudges
    await store.close()
