"""What every test may use: a registry of its own and a clock that it moves."""

from __future__ import annotations

import pytest

from dispatch.clock import ManualClock
from dispatch.registry import Registry


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
