"""Faults planted in what the stores promise about concurrency keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

from mutants import Fault, Plant
from mutants_sqlite import NOWHERE, UNCOUNTED, _changed

from dispatch.dlq import DLQEntry
from dispatch.stores.memory import claim, finish
from dispatch.stores.memory.concurrency import Concurrency
from dispatch.stores.memory.data import Data
from dispatch.stores.sql import concurrency, leases, workflow_ends

HERE = ("concurrency", "concurrency_ways")


async def _enqueue_without_keys(jobs: Any, news: Any) -> Any:
    return await jobs.enqueue([replace(new, concurrency_key=None, concurrency_max=None) for new in news])


async def _enqueue_keys_of_a_name(jobs: Any, news: Any) -> Any:
    """The key counts for one queue only."""
    return await jobs.enqueue(
        [replace(new, concurrency_key=new.concurrency_key and f"{new.queue} {new.concurrency_key}") for new in news]
    )


async def _first_maximum(jobs: Any, news: Any) -> Any:
    """A key keeps the maximum that it got first."""
    kept = []
    for new in news:
        known = (await jobs.holders(new.concurrency_key)).max if new.concurrency_key else None
        kept.append(new if known is None else replace(new, concurrency_max=known))
    return await jobs.enqueue(kept)


CONCURRENCY = (
    Fault("concurrency keys ignored", "I28", HERE, {"jobs.enqueue": _enqueue_without_keys}),
    Fault("a key counts in one queue", "I28", HERE, {"jobs.enqueue": _enqueue_keys_of_a_name}),
    Fault("the first maximum counts", "I28", HERE, {"jobs.enqueue": _first_maximum}),
)


def _never(*args: Any, **options: Any) -> Any:
    return []


def _uncounted(self: Any, row: Any) -> None:
    """Counts a running row as gone."""


def _letter_without_key(**fields: Any) -> Any:
    return DLQEntry(**{**fields, "concurrency_key": None, "concurrency_max": None})


def _in_memory(target: Any, name: str, instead: Any) -> Plant:
    return lambda: patch.object(target, name, instead)


def _no_room_in_order(self: Any, name: str | None, now: Any) -> Any:
    """Brings back the newest row in place of the first."""
    key = self.keys.get(name)
    found = []
    for group in key.groups.values() if key else ():
        if key.room and group.blocked.live:
            row = max(group.blocked.rows(), key=lambda row: row.id)
            group.blocked.discard(row)
            row.blocked = False
            found.append(row)
    return found


CONCURRENCY_MEMORY = (
    Fault("nothing comes back", "I28", HERE, plant=_in_memory(Concurrency, "bring_back", _never)),
    Fault("full keys let in", "I28", HERE, plant=_in_memory(Concurrency, "full", lambda self, row: False)),
    Fault("the newest comes back", "I6", HERE, plant=_in_memory(Concurrency, "bring_back", _no_room_in_order)),
    Fault("keys never forgotten", "I28", HERE, plant=_in_memory(Concurrency, "part", _uncounted)),
    Fault("blocked rows not taken out", "I28", HERE, plant=_in_memory(claim.Claim, "blocks", lambda self, row: False)),
    Fault("the dead letter loses the key", "I11", HERE, plant=_in_memory(finish, "DLQEntry", _letter_without_key)),
    Fault("an end lets nobody in", "I1", HERE, plant=_in_memory(Data, "unblock", lambda self, key, now: 0)),
)


def _leaves_nothing(keys: Any, now: int) -> Any:
    """A plan that lets nobody in."""
    return 0
    yield


def _without_leave(module: Any) -> Plant:
    """The module's verbs do not tell that a key was left."""
    bare = type("concurrency", (), {**vars(concurrency), "leave": staticmethod(_leaves_nothing)})
    return lambda: patch.object(module, "concurrency", bare)


def _here(name: str, invariant: str, *changes: tuple[str, str, str]) -> Fault:
    return Fault(name, invariant, HERE, plant=_changed(*changes))


CONCURRENCY_SQLITE = (
    _here("running rows of a key not counted", "I28", ("key_rooms", *UNCOUNTED)),
    _here("nothing comes back", "I1", ("unblock_job", *NOWHERE)),
    _here("full keys stay in the way", "I29", ("block_job", *NOWHERE)),
    _here("comes back but not ready", "I28", ("unblock_job", "THEN 1 ELSE 2", "THEN 0 ELSE 0")),
    _here(
        "the last comes back",
        "I6",
        ("first_blocked", "priority DESC, run_at, id", "priority, run_at DESC, id DESC"),
    ),
    _here(
        "a key's fast completion lets nobody in",
        "I1",
        ("complete_jobs", "AND concurrency_key IS NULL", ""),
    ),
    _here("keys never forgotten", "I28", ("forget_keys", *NOWHERE)),
    _here("the first maximum stays", "I28", ("set_key", "most = excluded.most", "most = most")),
    _here("a cancelled row stays blocked", "I5", ("cancel_waiting", "blocked = 0,", "")),
    _here(
        "the dead letter loses the key",
        "I11",
        ("bury_job", "  concurrency_key, concurrency_max\nFROM", "  NULL, NULL\nFROM"),
    ),
    _here(
        "a replay loses the key",
        "I11",
        ("replay_job", "  concurrency_key, concurrency_max\nFROM", "  NULL, NULL\nFROM"),
    ),
    _here(
        "claimable ones of other names count",
        "I29",
        ("claimable_before", "AND queue = :queue AND lane = :lane AND name = :name", ""),
    ),
    _here("less urgent ones count", "I6", ("claimable_before", "AND (priority > :priority", "AND (1")),
    Fault("a stolen row lets nobody in", "I10", HERE, plant=_without_leave(leases)),
    Fault("a cancelled or deleted row lets nobody in", "I1", HERE, plant=_without_leave(workflow_ends)),
)
