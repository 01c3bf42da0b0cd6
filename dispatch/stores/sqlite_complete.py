"""Plain completions on SQLite: those of one epoch are one statement, which steps once for all of them."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Transition
from dispatch.stores.sql.plan import Do, Plan
from dispatch.stores.sql.rows import to_text

LARGEST = 1024 * 1024
"""Bytes of a result that becomes part of one JSON object with others."""


def complete_together(worker_id: WorkerID, plain: Sequence[Transition], now: int) -> Plan[set[JobID]]:
    """Answers the jobs of the epochs of which all were completed; of the others it cannot tell which were."""
    epochs: dict[int, dict[JobID, str | None]] = {}
    for said in plain:
        if said.result is None:
            epochs.setdefault(said.epoch, {})[said.job_id] = None
        elif (text := _text(said.result)) is not None:
            epochs.setdefault(said.epoch, {})[said.job_id] = text
    done: set[JobID] = set()
    for epoch, results in epochs.items():
        params = {"results": to_text(results), "worker_id": str(worker_id), "epoch": epoch, "now": now}
        if (yield Do("complete_jobs", params)) == len(results):
            done |= results.keys()
    return done


def _text(result: bytes) -> str | None:
    """The result as a text that SQLite takes unchanged out of a JSON string; None when it is none."""
    if len(result) > LARGEST or b"\0" in result:
        return None
    try:
        return result.decode()
    except UnicodeDecodeError:
        return None
