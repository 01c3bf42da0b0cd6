"""The engine: the loops that run jobs. Its names load when they are used, so that a job's subprocess starts light."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dispatch.engine.engine import Engine
    from dispatch.engine.settings import Settings

_HOMES = {"Engine": "dispatch.engine.engine", "Settings": "dispatch.engine.settings"}

__all__ = ["Engine", "Settings"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
