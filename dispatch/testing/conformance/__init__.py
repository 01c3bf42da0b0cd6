"""The store conformance suite: what every store promises, as plain async functions that need no test framework.

Under pytest, for a store of your own:

    from dispatch.testing.conformance.suite import StoreConformance

    class TestMyStore(StoreConformance):
        async def make_store(self, clock):
            return MyStore(clock=clock)

Without pytest: `results = await verify(make_store)`.
"""

from dispatch.testing.conformance.env import Env, MakeStore
from dispatch.testing.conformance.registry import STORE_INVARIANTS, Case, case, cases
from dispatch.testing.conformance.runner import CaseResult, run_case, verify

__all__ = ["STORE_INVARIANTS", "Case", "CaseResult", "Env", "MakeStore", "case", "cases", "run_case", "verify"]
