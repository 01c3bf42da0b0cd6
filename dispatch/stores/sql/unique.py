"""Unique keys: who holds one, and what happens to it when its job starts, ends or waits again."""

from __future__ import annotations

from typing import NamedTuple

from dispatch.ids import JobID
from dispatch.stores.sql.plan import Do, Plan, Rows, first


class Holder(NamedTuple):
    """The job that holds a key; not `live`: its job is over, only the holding time runs."""

    job_id: JobID
    live: bool
    successor_id: JobID | None


def holder(key: str, now: int) -> Plan[Holder | None]:
    """Who holds the key, or None when it is free."""
    row = first((yield Rows("unique_holder", {"key": key})))
    if row is None:
        return None
    job_id, live, hold_until, successor_id = row
    if not live and (hold_until is None or hold_until <= now):
        return None
    return Holder(JobID(job_id), bool(live), None if successor_id is None else JobID(successor_id))


def take(key: str, job_id: JobID, hold_until: int | None) -> Plan[None]:
    """Gives a free key to the job."""
    yield Do("take_unique", {"key": key, "job_id": str(job_id), "hold_until": hold_until})


def give_up(key: str, job_id: JobID, now: int) -> Plan[None]:
    """The job has ended (or started, for keys until the start): its successor gets the key, or it becomes free."""
    row = first((yield Rows("unique_holder", {"key": key})))
    if row is None or row[0] != job_id or not row[1]:
        if row is not None and row[3] == job_id:
            yield Do("set_successor", {"key": key, "successor_id": None})
        return
    if row[3] is not None:
        freed = yield Rows("free_successor", {"id": row[3], "now": now})
        if freed:
            yield from take(key, JobID(row[3]), freed[0][0])
            return
    yield Do("hold_unique", {"key": key, "job_id": str(job_id), "now": now})
    yield Do("free_unique", {"key": key, "job_id": str(job_id)})


def take_again(job_id: JobID, now: int) -> Plan[bool]:
    """Lets a job that waits again have its key back; False when a live job holds it."""
    key, _, hold_until = (yield Rows("unique_of", {"id": str(job_id)}))[0]
    if key is None:
        return True
    present = yield from holder(key, now)
    if present is not None and present.live and present.job_id != job_id:
        return False
    if present is None or not present.live:
        yield from take(key, job_id, hold_until)
    return True
