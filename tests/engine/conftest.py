"""Workers in this process, on a memory store, slow to poll and to beat unless a test says otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest

from dispatch.app import Dispatch
from dispatch.config import Config
from dispatch.registry import Registry
from dispatch.store import Store
from dispatch.stores.memory import MemoryStore

PATIENT: dict[str, Any] = {
    "auto_open": False,
    "poll_interval": 20,
    "heartbeat_interval": 20,
    "lease": 120,
    "grace": 5,
}
"""Nothing here happens by polling or beating within a test: it happens because somebody was told."""
QUICK: dict[str, Any] = {**PATIENT, "poll_interval": 0.05, "heartbeat_interval": 0.05, "lease": 0.6, "grace": 5}


class Start(Protocol):
    async def __call__(
        self, *, store: Store | None = None, app: dict[str, Any] | None = None, **config: Any
    ) -> Dispatch: ...


@pytest.fixture
async def start(registry: Registry) -> AsyncIterator[Start]:
    """Opens an app with a worker; several may share a store."""
    apps: list[Dispatch] = []

    async def begin(*, store: Store | None = None, app: dict[str, Any] | None = None, **config: Any) -> Dispatch:
        settings = Config(store="memory://", **{**PATIENT, **config})
        opened = Dispatch(store or MemoryStore(), config=settings, **{"registry": registry, **(app or {})})
        apps.append(opened)
        await opened.open()
        await opened.start()
        return opened

    yield begin
    for opened in reversed(apps):
        await opened.stop(0)
        await opened.close()
