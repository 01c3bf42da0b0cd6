"""Unique keys: who holds one, and what happens to it when its job starts, ends or waits again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dispatch.ids import JobID
from dispatch.stores.sql.plan import Do, Lock, Many, Plan, Rows, first
from dispatch.stores.sql.rows import names_text


class Holder(NamedTuple):
    """The job that holds a key; not `live`: the job does not need it any more, only the holding time runs."""

    job_id: JobID
    live: bool
    expired: bool
    """It has expired before its first start, which nobody has noticed yet, and only that keeps the key taken."""


def lock(keys: Iterable[str | None]) -> Plan[None]:
    """Makes others who want one of these keys wait, in an order that all keep to."""
    wanted = {key for key in keys if key is not None}
    if wanted:
        yield Lock("lock_keys", {"keys": names_text(wanted)})


def holder(key: str, now: int) -> Plan[Holder | None]:
    """Who holds the key, or None when it is free."""
    row = first((yield Rows("unique_holder", {"key": key, "now": now})))
    if row is None:
        return None
    job_id, live, hold_until, overdue = row
    timed = hold_until is not None and hold_until > now
    if not live and not timed:
        return None
    return Holder(JobID(job_id), bool(live), bool(overdue) and not timed)


def take(key: str, job_id: JobID, hold_until: int | None) -> Plan[None]:
    """Gives a key that no live job holds to the job; a holding time that still runs goes on."""
    yield from take_all([(key, str(job_id), hold_until)])


def take_all(rows: Sequence[tuple[str, str, int | None]]) -> Plan[None]:
    """As `take` for several keys, each named once: key, job and until when it is held."""
    yield Many("take_unique", ("key", "job_id", "hold_until"), rows)


def give_up(key: str, job_id: JobID, now: int) -> Plan[None]:
    """The job does not need its key any more: only the holding time keeps it, or nothing."""
    yield Do("hold_unique", {"key": key, "job_id": str(job_id), "now": now})
    yield Do("free_unique", {"key": key, "job_id": str(job_id)})


def end(key: str, job_id: JobID, now: int) -> Plan[bool]:
    """The job is over: its key goes to the job behind it, or is given up. Answers whether one was set free."""
    yield from lock([key])
    yield Lock("lock_successors", {"behind": str(job_id)})
    yield from give_up(key, job_id, now)
    successors = yield Rows("successors", {"behind": str(job_id)})
    if not successors:
        return False
    present = yield from holder(key, now)
    taken = present is not None and present.live
    if present is not None and taken:
        front = present.job_id
    else:
        ((id_, hold_until), *successors) = successors
        front = JobID(id_)
        yield Do("free_successor", {"id": id_, "now": now})
        yield from take(key, front, hold_until)
    for id_, _ in successors:
        yield Do("queue_behind", {"id": id_, "behind": str(front)})
    return not taken
