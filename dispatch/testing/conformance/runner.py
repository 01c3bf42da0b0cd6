"""Runs cases one by one against fresh stores and says which promises hold."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dispatch.clock import ManualClock
from dispatch.errors import UsageError
from dispatch.testing.conformance.env import Env, MakeStore
from dispatch.testing.conformance.registry import Case, cases

CASE_TIMEOUT = 50.0
"""Seconds of real time that one case may take."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How one case went."""

    name: str
    invariants: tuple[str, ...]
    passed: bool
    error: str = ""
    """What failed and where; empty when it passed."""


async def run_case(case: Case, make_store: MakeStore) -> None:
    """Runs one case against a store of its own; raises what the case raises."""
    clock = ManualClock()
    store = await make_store(clock)
    env = Env(store, clock)
    try:
        await store.open()
        async with asyncio.timeout(CASE_TIMEOUT):
            await case.run(env)
    finally:
        for opened in (*env.opened, store):
            await opened.close()


async def verify(
    make_store: MakeStore,
    only: Sequence[Case] | None = None,
    *,
    tick: Callable[[CaseResult], None] | None = None,
) -> list[CaseResult]:
    """Runs all cases (or `only` some), tells `tick` of each and answers one result each; a failing case does not stop
    the others.

    Raises:
        UsageError: Python runs with -O, which removes the checks.
    """
    if not __debug__:
        raise UsageError("the conformance cases are made of assert statements: run Python without -O / PYTHONOPTIMIZE")
    results = []
    for case in cases() if only is None else only:
        try:
            await run_case(case, make_store)
        except Exception as error:
            results.append(CaseResult(case.name, case.invariants, False, _explain(error)))
        else:
            results.append(CaseResult(case.name, case.invariants, True))
        if tick is not None:
            tick(results[-1])
    return results


def _explain(error: Exception) -> str:
    """The error with the line of the case that noticed it: outside pytest an assert says nothing by itself."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "conformance" in frame.filename and not frame.filename.endswith("runner.py")]
    where = f"{ours[0].filename}:{ours[0].lineno}: {ours[0].line}" if ours else ""
    return f"{type(error).__name__}: {error}".rstrip(": ") + (f" ({where})" if where else "")
