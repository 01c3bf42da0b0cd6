"""The conformance suite under pytest: subclass StoreConformance, say how a store is made, and run it."""

from __future__ import annotations

import asyncio
import sys
from abc import ABC, abstractmethod

import pytest

from dispatch.clock import ManualClock
from dispatch.store import Store
from dispatch.testing.conformance.registry import MODULES, Case, cases
from dispatch.testing.conformance.runner import run_case

_MODULES = [f"dispatch.testing.conformance.{module}" for module in ("env", *MODULES)]
pytest.register_assert_rewrite(*(module for module in _MODULES if module not in sys.modules))


class StoreConformance(ABC):
    """One test a case; name the subclass Test… so that pytest collects it. Needs no asyncio plugin."""

    @abstractmethod
    async def make_store(self, clock: ManualClock) -> Store:
        """Answers an empty store that is not open yet and takes its time from `clock`."""

    @pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
    def test_store(self, case: Case) -> None:
        asyncio.run(run_case(case, self.make_store))
