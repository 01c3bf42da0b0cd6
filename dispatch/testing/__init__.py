"""Tools for testing with Dispatch; each is imported when it is first used.

    from dispatch import testing

    async with testing.app(registry) as app:
        await send_email.enqueue(email)
        await app.run_until_idle()

`testing.app` is `MemoryApp`. The store suite for third parties is `dispatch.testing.conformance`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dispatch.testing.crashes import crash_after
    from dispatch.testing.enqueued import EnqueuedCall
    from dispatch.testing.memory_app import MemoryApp
    from dispatch.testing.memory_app import MemoryApp as app
    from dispatch.testing.report import WorkDone
    from dispatch.testing.simulation import Outcome, Simulation, SimulationFailed, simulate
    from dispatch.testing.sync_app import SyncMemoryApp

_HOMES = {
    "EnqueuedCall": ("dispatch.testing.enqueued", "EnqueuedCall"),
    "MemoryApp": ("dispatch.testing.memory_app", "MemoryApp"),
    "Outcome": ("dispatch.testing.simulation", "Outcome"),
    "Simulation": ("dispatch.testing.simulation", "Simulation"),
    "SimulationFailed": ("dispatch.testing.simulation", "SimulationFailed"),
    "SyncMemoryApp": ("dispatch.testing.sync_app", "SyncMemoryApp"),
    "WorkDone": ("dispatch.testing.report", "WorkDone"),
    "app": ("dispatch.testing.memory_app", "MemoryApp"),
    "crash_after": ("dispatch.testing.crashes", "crash_after"),
    "simulate": ("dispatch.testing.simulation", "simulate"),
}

__all__ = [
    "EnqueuedCall",
    "MemoryApp",
    "Outcome",
    "Simulation",
    "SimulationFailed",
    "SyncMemoryApp",
    "WorkDone",
    "app",
    "crash_after",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
