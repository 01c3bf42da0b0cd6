"""Faults planted inside the memory store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from mutants import Fault, Plant

from dispatch.dlq import DLQState
from dispatch.jobs.model import WAITING, JobState, Verdict
from dispatch.stores.memory import aside, changes, claim, expiry, finish, keys, leases, ready, run_changes
from dispatch.stores.memory.data import Data


def _around(target: Any, name: str, make: Callable[[Any], Any]) -> Plant:
    """Puts `make(original)` in the place of an attribute."""
    return lambda: patch.object(target, name, make(getattr(target, name)))


def _renew_any_epoch(true: Any) -> Any:
    def renew(data: Any, worker_id: Any, named: Any, *rest: Any) -> Any:
        return true(data, worker_id, [(i, data.rows[i].epoch if i in data.rows else e) for i, e in named], *rest)

    return renew


def _renew_revives(true: Any) -> Any:
    def renew(data: Any, worker_id: Any, named: Any, lease: float, now: Any) -> Any:
        for job_id, epoch in named:
            row = data.rows.get(job_id)
            if row is not None and row.state in WAITING and row.epoch == epoch:
                data.withdraw(row)
                data.start(row, worker_id, now, now, 0)
                row.epoch = epoch
        return true(data, worker_id, named, lease, now)

    return renew


def _leaking_stop(true: Any) -> Any:
    def stop(data: Any, row: Any) -> None:
        true(data, row)
        row.tally.queue.running += 1

    return stop


def _lost_successor(true: Any) -> Any:
    def end(data: Any, row: Any, *rest: Any) -> None:
        row.successors = []
        true(data, row, *rest)

    return end


def _start_with_clock_epoch(true: Any) -> Any:
    def start(data: Any, row: Any, worker_id: Any, until: Any, now: Any, now_ms: int) -> None:
        true(data, row, worker_id, until, now, now_ms)
        row.epoch = now_ms

    return start


def _overwriting(true: Any) -> Any:
    def finish_one(data: Any, worker_id: Any, said: Any, now: Any) -> Any:
        row = data.rows.get(said.job_id)
        if row is not None and row.state.terminal and row.epoch == said.epoch and said.verdict is Verdict.COMPLETE:
            data.to_state(row, JobState.COMPLETED)
            row.last = (worker_id, said.epoch, said.verdict)
        return true(data, worker_id, said, now)

    return finish_one


def _deaf_settle(true: Any) -> Any:
    def settle(data: Any, row: Any, *rest: Any) -> None:
        row.cancel_requested = False
        true(data, row, *rest)

    return settle


def _uncounted_steal(true: Any) -> Any:
    def steal(data: Any, *args: Any) -> Any:
        before = {job_id: row.crashes for job_id, row in data.running.items()}
        stolen = true(data, *args)
        for taken in stolen:
            data.rows[taken.job.id].crashes = before[taken.job.id]
        return stolen

    return steal


def _unmarked_replay(true: Any) -> Any:
    def replay(data: Any, entry_id: Any, *rest: Any) -> Any:
        answer = true(data, entry_id, *rest)
        if entry_id in data.letters:
            data.letters[entry_id].state = DLQState.OPEN
        return answer

    return replay


def _open_letter_retry(true: Any) -> Any:
    def start_over(data: Any, row: Any, now: Any) -> None:
        letter = row.letter
        true(data, row, now)
        if letter in data.letters:
            data.letters[letter].state = DLQState.OPEN

    return start_over


def _constant(value: Any) -> Callable[[Any], Any]:
    return lambda true: lambda *args, **options: value


MEMORY = (
    Fault("renew looks at no epoch", "I4", ("jobs_lease",), plant=_around(leases, "renew", _renew_any_epoch)),
    Fault("renew revives a stolen row", "I4", ("jobs_lease",), plant=_around(leases, "renew", _renew_revives)),
    Fault("an end leaks its slot", "I28", ("jobs_gates",), plant=_around(Data, "stop", _leaking_stop)),
    Fault("successor lost", "I1", ("successors",), plant=_around(Data, "end", _lost_successor)),
    Fault("epoch is the clock", "I3", ("jobs_claim",), plant=_around(Data, "start", _start_with_clock_epoch)),
    Fault("terminal overwritten", "I5", ("jobs_finish",), plant=_around(finish, "_finish_one", _overwriting)),
    Fault("cancel flag dropped by finish", "I5", ("jobs_cancel",), plant=_around(finish, "_settle", _deaf_settle)),
    Fault("no dead letter", "I11", ("jobs_finish",), plant=_around(finish, "bury", _constant(None))),
    Fault("no history", "I10", ("jobs_finish",), plant=_around(finish, "record_attempt", _constant(None))),
    Fault("no crash count", "I10", ("steal",), plant=_around(finish, "steal", _uncounted_steal)),
    Fault("replay does not mark", "I12", ("dlq",), plant=_around(changes, "replay", _unmarked_replay)),
    Fault(
        "retry leaves the dead letter",
        "I11",
        ("jobs_retry",),
        plant=_around(changes, "start_over", _open_letter_retry),
    ),
    Fault("tenants never full", "I28", ("jobs_gates",), plant=_around(claim, "tenant_full", _constant(False))),
    Fault(
        "an expired job keeps its key",
        "I1",
        ("expired_holders",),
        plant=_around(expiry, "_has_expired", _constant(False)),
    ),
    Fault(
        "retried beside another",
        "I1",
        ("expired_holders",),
        plant=_around(run_changes, "live_twin", _constant(None)),
    ),
    Fault(
        "who waits behind an expired run is lost",
        "I1",
        ("expired_lines",),
        plant=_around(Data, "hand_over", lambda _: lambda data, row, key, now: data.keys.give_up(row, now)),
    ),
    Fault("keys never freed", "I1", ("unique",), plant=_around(keys.Keys, "give_up", _constant(None))),
    Fault("idempotency keys dropped", "I2", ("idempotency",), plant=_around(keys.Keys, "remember", _constant(None))),
    Fault("dead workers serve", "I29", ("aside",), plant=_around(aside, "is_live", _constant(True))),
    Fault("no quarantine", "I10", ("jobs_gates",), plant=lambda: patch.object(ready, "QUARANTINE_FROM", 1000)),
)
