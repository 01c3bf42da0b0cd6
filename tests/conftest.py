"""What every test may use: a registry and a plugin manager of its own, and a clock that it moves."""

from __future__ import annotations

import gc
import os
import sys

import pytest

from dispatch.clock import ManualClock
from dispatch.plugins import PluginManager
from dispatch.registry import Registry


def pytest_collection() -> None:
    """What is found stays: looking through it for garbage, again and again, takes a third of the time to find it."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Modules that tests write are not kept compiled: one that is written twice in a second would not be seen anew."""
    gc.enable()
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def manager() -> PluginManager:
    return PluginManager(hook_timeout=5.0)
