"""The list of cases: each registers itself with the invariants that it proves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module

from dispatch.testing.conformance.env import Env

STORE_INVARIANTS = [
    "I1",
    "I2",
    "I3",
    "I4",
    "I5",
    "I6",
    "I7",
    "I8",
    "I10",
    "I11",
    "I12",
    "I14",
    "I15",
    "I16",
    "I18",
    "I19",
    "I20",
    "I21",
    "I22",
    "I23",
    "I24",
    "I25",
    "I26",
    "I28",
    "I29",
    "I31",
]
"""The invariants that a store by itself can keep or break; each has at least one case."""

MODULES = (
    "jobs_enqueue",
    "jobs_claim",
    "jobs_gates",
    "concurrency",
    "concurrency_ways",
    "jobs_lease",
    "jobs_finish",
    "jobs_fence",
    "jobs_cancel",
    "jobs_retry",
    "jobs_read",
    "followups",
    "unique",
    "successors",
    "expired_holders",
    "expired_lines",
    "idempotency",
    "steal",
    "aside",
    "dlq",
    "dlq_read",
    "retention",
    "payloads",
    "queues",
    "cluster",
    "leadership",
    "records",
    "stream",
    "events",
    "runs",
    "run_journal",
    "run_waits",
    "run_parking",
    "run_children",
    "run_families",
    "run_ends",
    "run_errors",
    "run_forks",
    "run_concurrency",
    "opening",
    "races",
    "life",
    "transfer",
    "run_transfer",
    "run_moves",
    "crons",
    "crons_code",
    "run_ticks",
    "feed",
    "feed_runs",
)

Run = Callable[[Env], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Case:
    """One promise and how to check it."""

    name: str
    """module.function, as in `jobs_claim.a_claim_takes_no_more_than_it_asked_for`."""
    invariants: tuple[str, ...]
    run: Run

    @property
    def title(self) -> str:
        """The promise as a sentence."""
        return self.name.rpartition(".")[2].replace("_", " ")


_CASES: dict[str, Case] = {}


def case(*invariants: str) -> Callable[[Run], Run]:
    """Registers an async function as a case that proves `invariants` (none: plain behaviour)."""

    def register(run: Run) -> Run:
        name = f"{run.__module__.rpartition('.')[2]}.{run.__name__}"
        _CASES[name] = Case(name, invariants, run)
        return run

    return register


def cases(*invariants: str) -> list[Case]:
    """All cases in a fixed order, or those that prove one of `invariants`."""
    for module in MODULES:
        import_module(f"dispatch.testing.conformance.{module}")
    return [c for c in _CASES.values() if not invariants or set(invariants) & set(c.invariants)]
