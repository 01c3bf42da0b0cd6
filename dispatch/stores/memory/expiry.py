"""Who holds a unique key when somebody else wants it: not who has expired before its first start."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from dispatch.ids import JobID
from dispatch.jobs.model import WAITING, JobState
from dispatch.stores.memory import wakes
from dispatch.stores.memory.data import Data
from dispatch.stores.memory.rows import Row


def overdue(data: Data, key: str, now: datetime) -> Iterator[Row]:
    """The rows that hold the key, one after the other, only because nobody has noticed that they have expired."""
    hold = data.keys.holder(key, now)
    timed = hold is None or (hold.until is not None and hold.until > now)
    row = None if hold is None or timed else data.rows.get(hold.job_id)
    while row is not None and _has_expired(data, row, now):
        yield row
        row = data.rows[row.successors[0]] if row.successors else None


def expire(data: Data, row: Row, now: datetime) -> None:
    """Ends a waiting row as a claim would have; the run of a driver, which only compensates now, gives up the key, to
    who waits behind it."""
    data.withdraw(row)
    run = data.runs.driven_by(row)
    if run is None:
        data.end(row, JobState.CANCELLED, "expired", now)
    else:
        wakes.compensates(data, row, run, "expired", now)
        if row.unique_key is not None:
            data.hand_over(row, row.unique_key, now)


def live_twin(data: Data, key: str | None, now: datetime) -> JobID | None:
    """The live job that holds the key, once those that have expired are out of the way."""
    if key is None:
        return None
    expired = list(overdue(data, key, now))
    for row in expired:
        expire(data, row, now)
    if expired:  # who is refused for the successor has set it free all the same
        data.signal.bump()
    hold = data.keys.unique.get(key)
    return hold.job_id if hold is not None and hold.live else None


def _has_expired(data: Data, row: Row, now: datetime) -> bool:
    run = data.runs.driven_by(row)
    return (
        row.state in WAITING
        and row.started_at is None
        and row.expires_at is not None
        and row.expires_at < now
        and (run is None or not run.compensating)
    )
