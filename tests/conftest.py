"""What every test may use: a registry and a plugin manager of its own, and a clock that it moves."""

from __future__ import annotations

import pytest

from dispatch.clock import ManualClock
from dispatch.plugins import PluginManager
from dispatch.registry import Registry


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def manager() -> PluginManager:
    return PluginManager(hook_timeout=5.0)
