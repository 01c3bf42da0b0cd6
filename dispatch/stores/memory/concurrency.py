"""Concurrency keys: what runs under each, what is blocked by it, and what comes back once there is room again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from dispatch.ids import JobID
from dispatch.jobs.model import QUARANTINE_FROM, WAITING
from dispatch.stores.memory.heap import LazyHeap
from dispatch.stores.memory.rows import Row, is_driver

Place = tuple[str, str, str]
"""Queue, lane, name: rows of one place are claimed in their order, whatever becomes of other places."""


@dataclass(slots=True)
class Group:
    """The rows of a key in one place."""

    blocked: LazyHeap = field(default_factory=LazyHeap)
    back: list[Row] = field(default_factory=list)
    """Rows that were brought back and may still wait to be claimed."""


@dataclass(slots=True)
class Key:
    """A concurrency key that unfinished jobs have."""

    most: int
    unfinished: int = 0
    running: dict[JobID, Row] = field(default_factory=dict)
    """Those that hold its places: jobs while they run, drivers from their first start to the ends of their runs."""
    groups: dict[Place, Group] = field(default_factory=dict)

    @property
    def room(self) -> int:
        return max(0, self.most - len(self.running))


class Concurrency:
    """Every key in use."""

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}

    def join(self, row: Row) -> None:
        """Notes an unfinished row of its key; its maximum counts if the key has none."""
        name = row.concurrency_key
        if name is None:
            return
        key = self.keys.get(name)
        if key is None:
            key = self.keys[name] = Key(row.concurrency_max or 1)
        key.unfinished += 1

    def part(self, row: Row) -> None:
        """Notes that a row of a key has ended or takes another one."""
        name = row.concurrency_key
        key = self.keys.get(name) if name is not None else None
        if name is not None and key is not None:
            key.running.pop(row.id, None)
            key.unfinished -= 1
            if not key.unfinished:
                del self.keys[name]

    def set_maximum(self, name: str, most: int) -> None:
        """Keeps the maximum that an enqueue brought, if a job of the key is left."""
        if name in self.keys:
            self.keys[name].most = most

    def start(self, row: Row) -> None:
        if row.concurrency_key is not None:
            self.keys[row.concurrency_key].running[row.id] = row

    def stop(self, row: Row) -> None:
        """A job gives its place up; a driver keeps it until its run has ended."""
        if row.concurrency_key is not None and not is_driver(row):
            del self.keys[row.concurrency_key].running[row.id]

    def full(self, row: Row) -> bool:
        """Whether the row needs a place of its key, and there is none."""
        if row.concurrency_key is None:
            return False
        key = self.keys[row.concurrency_key]
        return key.room == 0 and row.id not in key.running

    def block(self, row: Row) -> None:
        """Keeps a due row, which is in no heap, until its key has room."""
        assert row.concurrency_key is not None
        group = self.keys[row.concurrency_key].groups.setdefault((row.queue, row.lane, row.name), Group())
        row.blocked = True
        group.blocked.push(row)

    def blocked_in(self, queue: str) -> int:
        """How many rows of the queue are blocked."""
        groups = (item for key in self.keys.values() for item in key.groups.items())
        return sum(group.blocked.live for place, group in groups if place[0] == queue)

    def bring_back(self, name: str | None, now: datetime) -> list[Row]:
        """The rows of the key that are not blocked any more; the caller makes them claimable."""
        key = self.keys.get(name) if name is not None else None
        if key is None:
            return []
        found = []
        for place, group in list(key.groups.items()):
            if key.room:
                back = [row for row in group.back if row.concurrency_key == name and row.id not in key.running]
                found += _let_in(group, back, key.room, now)
            if not group.blocked.live and not group.back:
                del key.groups[place]
        return found


def _let_in(group: Group, back: list[Row], room: int, now: datetime) -> list[Row]:
    """Takes rows out of the blocked ones until as many due ones wait to be claimed as there is room for."""
    first = group.blocked.peek()
    if first is None:
        group.back = []
        return []
    group.back = [row for row in back if _is_claimable(row)]
    left = room - sum((-row.priority, row.run_at, row.id) < first[:3] for row in group.back if row.run_at <= now)
    found = []
    while left > 0 and (entry := group.blocked.peek()) is not None:
        row = entry[4]
        group.blocked.pop()
        row.blocked = False
        found.append(row)
        if row.crashes < QUARANTINE_FROM:
            group.back.append(row)
            left -= row.expires_at is None or row.started_at is not None or row.expires_at >= now
    return found


def _is_claimable(row: Row) -> bool:
    return row.state in WAITING and not row.blocked and not row.set_aside and row.behind is None
