"""Concurrency keys: what fits, what is blocked, and what comes back once its key has room again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from dispatch.ids import JobID
from dispatch.jobs.model import QUARANTINE_FROM, Enqueued, KeyHolders, NewJob
from dispatch.stores.sql.plan import Do, Lock, Many, Plan, Rows, first
from dispatch.stores.sql.rows import names_text

_EXTRA = 200
"""Rows that take no room (expired or quarantined) brought back at once; each of their ends brings back more."""

_RULE = {"quarantine": QUARANTINE_FROM}


class Room(NamedTuple):
    """A key as it stands in the transaction."""

    key: str
    most: int | None
    running: int
    waits: int

    def left(self, most: int | None = None) -> int:
        """How many more may run, under the stored maximum or another."""
        limit = self.most if most is None else most
        return 0 if limit is None else max(0, limit - self.running)


def rooms(keys: Collection[str]) -> Plan[dict[str, Room]]:
    """How each of these keys stands."""
    if not keys:
        return {}
    return {row[0]: Room(*row) for row in (yield Rows("key_rooms", {"keys": names_text(keys)}))}


def lock(keys: Collection[str], *, wait: bool = True) -> Plan[None]:
    """Lets nobody else start jobs of these keys, or bring any back, before this plan has ended.

    Who holds such locks already does not wait for more: two would wait for each other.
    """
    if keys:
        yield Lock("lock_concurrency" if wait else "lock_concurrency_at_once", {"keys": names_text(keys)})


def fitting(jobs: Sequence[NewJob], due: Sequence[bool]) -> Plan[set[str]]:
    """The keys whose new jobs can all start beside what runs, while nothing else waits: they need not be blocked."""
    most = {job.concurrency_key: job.concurrency_max for job in jobs if job.concurrency_key is not None}
    wanted = Counter(job.concurrency_key for job, is_due in zip(jobs, due, strict=True) if is_due)
    yield from lock(most)
    found = yield from rooms(most)
    return {key for key, room in found.items() if not room.waits and wanted[key] <= room.left(most[key])}


def admit(jobs: Sequence[NewJob], answers: Sequence[Enqueued], fits: set[str], old: set[str], now: int) -> Plan[None]:
    """After an enqueue: keeps the maxima it brought, and lets in what its keys, and those it took jobs from, allow."""
    brought = {
        job.concurrency_key: job.concurrency_max
        for job, answer in zip(jobs, answers, strict=True)
        if job.concurrency_key is not None and (answer.created or answer.replaced)
    }
    if brought:
        yield Many("set_key", ("key", "most"), list(brought.items()))
    replaced = {job.concurrency_key for job, answer in zip(jobs, answers, strict=True) if answer.replaced}
    yield from unblock({key for key in brought if key not in fits or key in replaced}, now)
    yield from leave(old, now)


def leave(keys: Collection[str], now: int) -> Plan[int]:
    """Jobs of these keys have stopped running or waiting: forgets keys that nobody has, brings back what has room."""
    if not keys:
        return 0
    yield from lock(keys)
    yield Do("forget_keys", {"keys": names_text(keys)})
    return (yield from _bring_back(keys, now))


def unblock(keys: Collection[str], now: int) -> Plan[int]:
    """Brings back the blocked rows of these keys that there is room for; answers how many."""
    yield from lock(keys)
    return (yield from _bring_back(keys, now)) if keys else 0


def _bring_back(keys: Collection[str], now: int) -> Plan[int]:
    places = yield Rows("blocked_places", {"keys": names_text(keys)})
    known = yield from rooms({key for key, _ in places})
    count = 0
    for key, queue in places:
        room = known[key].left()
        groups = (yield Rows("blocked_groups", {"key": key, "queue": queue})) if room else []
        for lane, name, priority, run_at, id_ in groups:
            group = {"key": key, "queue": queue, "lane": lane, "name": name, "now": now, "limit": room}
            place = {"priority": priority, "run_at": run_at, "id": id_}
            left = room - (yield Rows("claimable_before", {**group, **place}))[0][0]
            rows = (yield Rows("first_blocked", {**group, **_RULE, "limit": left})) if left > 0 else []
            if not all(usual for _, usual in rows):
                rows = yield Rows("first_blocked", {**group, **_RULE, "limit": left + _EXTRA})
            chosen = _first(rows, left)
            if chosen:
                yield Many("unblock_job", ("seq", "quarantine"), [(seq, QUARANTINE_FROM) for seq in chosen])
            count += len(chosen)
    return count


def _first(rows: list[tuple[int, int]], room: int) -> list[int]:
    """The rows to bring back: until as many as there is room for will start as usual."""
    chosen = []
    for seq, usual in rows:
        if room <= 0:
            break
        chosen.append(seq)
        room -= usual
    return chosen


def holders(key: str, limit: int) -> Plan[KeyHolders]:
    """The plan of JobStore.holders."""
    stored = (yield from rooms([key]))[key].most
    running = yield Rows("key_running", {"key": key, "limit": limit})
    return KeyHolders(stored, [JobID(id_) for (id_,) in running])


def key_of(job_id: JobID) -> Plan[set[str]]:
    """The concurrency key of a job as a set of one or none."""
    row = first((yield Rows("key_of", {"id": str(job_id)})))
    return set() if row is None or row[0] is None else {row[0]}


def repair(after: tuple[str, str], limit: int, now: int) -> Plan[tuple[int, tuple[str, str]]]:
    """The plan of JobStore.unblock: looks at the keys after a place; answers how many rows came back and how far."""
    found = yield Rows("blocked_keys", {"queue": after[0], "key": after[1], "limit": limit})
    count = yield from unblock({key for _, key in found}, now)
    return count, (found[-1] if len(found) == limit else ("", ""))
