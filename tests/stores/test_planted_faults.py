"""The conformance suite notices: with each planted fault at least one case of the invariant goes red."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from mutants import ANYWHERE, Fault, Sabotaged
from mutants_concurrency import CONCURRENCY, CONCURRENCY_MEMORY, CONCURRENCY_SQLITE
from mutants_crons import CRON_RUNS, CRON_RUNS_MEMORY, CRON_RUNS_SQLITE, CRONS, CRONS_MEMORY, CRONS_SQLITE
from mutants_feed import FEED, FEED_MEMORY, FEED_REDIS, FEED_SQLITE
from mutants_memory import MEMORY
from mutants_more import FAULTS
from mutants_redis import REDIS
from mutants_retention import RETENTION, RETENTION_MEMORY, RETENTION_SQLITE
from mutants_run_concurrency import RUN_CONCURRENCY_MEMORY, RUN_CONCURRENCY_REDIS, RUN_CONCURRENCY_SQLITE
from mutants_runs import RUNS, RUNS_MEMORY, RUNS_SQLITE
from mutants_sqlite import SQLITE
from mutants_transfer import TRANSFER, TRANSFER_MEMORY, TRANSFER_RUNS, TRANSFER_SQLITE
from servers.again import give_back
from store_kinds import KINDS, maker

from dispatch.clock import ManualClock
from dispatch.errors import Conflict
from dispatch.testing.conformance import cases, run_case

PLANTED = [(kind, fault) for kind in KINDS for fault in ANYWHERE + FAULTS + RETENTION + TRANSFER + CRONS + CONCURRENCY]
PLANTED += [(kind, fault) for kind in KINDS for fault in RUNS + CRON_RUNS + TRANSFER_RUNS + FEED]
ON_REDIS = REDIS + FEED_REDIS + RUN_CONCURRENCY_REDIS
PLANTED += [("redis", fault) for fault in ON_REDIS]
PLANTED += [
    ("memory", fault)
    for fault in MEMORY + RETENTION_MEMORY + TRANSFER_MEMORY + CRONS_MEMORY + CONCURRENCY_MEMORY + RUNS_MEMORY
]
PLANTED += [("memory", fault) for fault in CRON_RUNS_MEMORY + FEED_MEMORY + RUN_CONCURRENCY_MEMORY]
ON_SQLITE = SQLITE + RETENTION_SQLITE + TRANSFER_SQLITE + CRONS_SQLITE + CONCURRENCY_SQLITE + RUNS_SQLITE
ON_SQLITE += CRON_RUNS_SQLITE + FEED_SQLITE + RUN_CONCURRENCY_SQLITE
PLANTED += [("sqlite", fault) for fault in ON_SQLITE]

RED = (AssertionError, ValueError, Conflict)
"""How a case goes red: an assert, an unpacking, a refusal. A store that errs (StoreError) does not count."""


PARAMETERS = [
    pytest.param(
        kind,
        fault,
        id=f"{kind}: {fault.name}",
        marks=() if kind == "memory" or fault in ON_SQLITE or fault in ON_REDIS else pytest.mark.proof,
    )
    for kind, fault in PLANTED
]
"""What is broken over any store is seen over the quickest; over the others it is tried again in the proof tier."""


@pytest.mark.parametrize(("kind", "fault"), PARAMETERS)
async def test_a_planted_fault_turns_a_case_red(kind: str, fault: Fault, tmp_path: Path) -> None:
    make = maker(kind, tmp_path, anew=fault.plant is not None)

    async def make_store(clock: ManualClock) -> Any:
        store = make(clock)
        return Sabotaged(store, fault.verbs) if fault.verbs else store

    tried = [case for case in cases(*fault.invariant.split()) if case.name.partition(".")[0] in fault.modules]
    with fault.plant() if fault.plant else nullcontext():
        for case in tried:
            try:
                await run_case(case, make_store)
            except RED:
                return
            finally:
                give_back()
    pytest.fail(f"{fault.name!r} in {kind} passed all {len(tried)} cases of {fault.invariant!r} in {fault.modules}")


def test_the_faults_are_many_and_have_names_of_their_own() -> None:
    for faults in (
        ANYWHERE + FAULTS + RETENTION + TRANSFER + CRONS + CONCURRENCY,
        MEMORY + RETENTION_MEMORY + TRANSFER_MEMORY + CRONS_MEMORY + CONCURRENCY_MEMORY,
        SQLITE + RETENTION_SQLITE + TRANSFER_SQLITE + CRONS_SQLITE + CONCURRENCY_SQLITE,
    ):
        assert len({fault.name for fault in faults}) == len(faults)
    assert len(PLANTED) >= 100
