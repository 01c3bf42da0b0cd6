"""Faults planted in what the stores promise about the concurrency of runs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from mutants import Fault
from mutants_concurrency import _without_leave
from mutants_redis import _lua
from mutants_sqlite import _changed

from dispatch.stores.memory.claim import Claim
from dispatch.stores.memory.concurrency import Concurrency, Key
from dispatch.stores.memory.rows import Row
from dispatch.stores.sql import claim, workflow_parking

HERE = "run_concurrency"
PLACES = "+ (SELECT count(*) FROM jobs INDEXED BY jobs_places"


def _stop_every_row(self: Concurrency, row: Row) -> None:
    """A driver that stops running gives its place up, as a job does."""
    if row.concurrency_key is not None:
        self.keys[row.concurrency_key].running.pop(row.id, None)


def _full_for_all(self: Concurrency, row: Row) -> bool:
    """Who holds a place needs another."""
    return row.concurrency_key is not None and self.keys[row.concurrency_key].room == 0


def _blocks_expired(self: Claim, row: Row) -> bool:
    """A run that has expired waits for a place."""
    if not self._data.concurrency.full(row):
        return False
    self._data.concurrency.block(row)
    return True


def _keeps_places(self: Concurrency, row: Row) -> None:
    """Ended rows keep their places."""
    key: Key | None = self.keys.get(row.concurrency_key or "")
    if key is not None:
        key.unfinished -= 1


def _memory(name: str, target: Any, attribute: str, instead: Any) -> Fault:
    def plant() -> AbstractContextManager[Any]:
        return patch.object(target, attribute, instead)

    return Fault(name, "I28", (HERE,), plant=plant)


def _sqlite(name: str, *changes: tuple[str, str, str], invariant: str = "I28") -> Fault:
    return Fault(name, invariant, (HERE,), plant=_changed(*changes))


RUN_CONCURRENCY_MEMORY = (
    _memory("a parked run gives its place up", Concurrency, "stop", _stop_every_row),
    _memory("a run that wakes needs another place", Concurrency, "full", _full_for_all),
    _memory("an expired run waits for a place", Claim, "blocks", _blocks_expired),
    _memory("an ended run keeps its place", Concurrency, "part", _keeps_places),
)

RUN_CONCURRENCY_SQLITE = (
    _sqlite("places of parked runs not counted", ("key_rooms", PLACES, PLACES.replace("count(*)", "0 * count(*)"))),
    _sqlite(
        "woken runs keep others out", ("claimable_before", "AND NOT (kind = 'workflow'", "AND NOT (0"), invariant="I29"
    ),
    _sqlite("a cancelled run waits for a place", ("free_driver", "coalesce(started_at, :now)", "started_at")),
    _sqlite("a cancelled run stays blocked", ("free_driver", "blocked = 0,", "")),
    _sqlite(
        "a retried run has its place already", ("revive_job", "IS NOT NULL THEN NULL", "IS NOT NULL THEN started_at")
    ),
    _sqlite("a run that moves stays blocked", ("migrate_driver", "blocked = 0,", "")),
    _sqlite(
        "lost workers' runs need a place",
        ("quarantined_next", "CASE WHEN kind <> 'workflow' THEN concurrency_key END", "concurrency_key"),
        invariant="I10",
    ),
    Fault("an ended run lets nobody in", "I1", (HERE,), plant=_without_leave(workflow_parking)),
    Fault(
        "a run that wakes needs another place",
        "I28",
        (HERE,),
        plant=lambda: patch.object(claim, "_holds_place", lambda row: False),
    ),
)

RUN_CONCURRENCY_REDIS = (
    _lua(
        "a parked run gives its place up",
        "I28",
        HERE,
        "park",
        "if row.ck and not (row.k == 'workflow' and row.ri) then",
        "if row.ck then",
    ),
    _lua(
        "an ended run keeps its place",
        "I1",
        HERE,
        "finish_runs",
        "call('SREM', P .. 'kr:' .. row.ck, id)\n    left",
        "left",
    ),
    _lua("a run that wakes needs another place", "I28", HERE, "claim", "return not holds_place(id, row) and", "return"),
    _lua("a cancelled run waits for a place", "I28", HERE, "cancel_run", "call('SADD', P .. 'kr:' .. row.ck, id)", ""),
    _lua(
        "a loaded run has no place", "I28", HERE, "load", "row.ck and row.sa and row.k == 'workflow'", "false and row.k"
    ),
    _lua("new runs are not let in", "I1", HERE, "create_runs", "admit_left()\njoined()", "joined()"),
)
