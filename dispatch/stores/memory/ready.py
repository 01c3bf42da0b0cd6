"""The waiting jobs of one queue: due ones by lane and name, scheduled ones by name, and those out of the way."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Collection, Iterator
from datetime import datetime

from dispatch.ids import JobID
from dispatch.jobs.model import QUARANTINE_FROM
from dispatch.stores.memory.heap import LazyHeap
from dispatch.stores.memory.rows import NEVER, Row


class Ready:
    """Every waiting row of a queue is in exactly one place here, unless it waits behind a job or for no time at all."""

    __slots__ = ("aside", "due", "lanes", "last_lane", "quarantined", "scheduled")

    def __init__(self) -> None:
        self.due: dict[str, dict[str, LazyHeap]] = {}
        """By name, then by lane."""
        self.lanes: dict[str, list[str]] = {}
        """By name: its lanes in `due`, sorted."""
        self.scheduled: dict[str, LazyHeap] = {}
        self.quarantined: dict[JobID, Row] = {}
        self.aside: dict[str, dict[JobID, Row]] = {}
        self.last_lane: str | None = None

    def add(self, row: Row, now: datetime) -> None:
        """Puts a waiting row where it belongs."""
        if row.behind is not None or row.run_at >= NEVER:
            return
        if row.set_aside:
            self.aside.setdefault(row.name, {})[row.id] = row
        elif row.crashes >= QUARANTINE_FROM:
            self.quarantined[row.id] = row
        elif row.run_at > now:
            heap = self.scheduled.get(row.name)
            if heap is None:
                heap = self.scheduled[row.name] = LazyHeap(by_time=True)
            heap.push(row)
        else:
            by_lane = self.due.get(row.name)
            if by_lane is None:
                by_lane = self.due[row.name] = {}
                self.lanes[row.name] = []
            heap = by_lane.get(row.lane)
            if heap is None:
                heap = by_lane[row.lane] = LazyHeap()
                insort(self.lanes[row.name], row.lane)
            heap.push(row)

    def remove(self, row: Row) -> None:
        """Takes a waiting row out, wherever it is."""
        if row.home is not None:
            row.home.discard(row)
        elif row.set_aside:
            self.aside.get(row.name, {}).pop(row.id, None)
        else:
            self.quarantined.pop(row.id, None)

    def promote(self, names: Collection[str], now: datetime) -> None:
        """Moves the scheduled rows of these names that have become due into their lanes."""
        for name in self._of(self.scheduled, names):
            heap = self.scheduled[name]
            while (entry := heap.peek()) is not None and entry[0] <= now:
                heap.pop()
                self.add(entry[4], now)
            if not heap.live:
                del self.scheduled[name]

    def open_lanes(self, names: Collection[str]) -> list[str]:
        """The lanes with due rows of these names, in rotation after the lane that was served last."""
        known = [self.lanes[name] for name in self._of(self.lanes, names)]
        if not known:
            return []
        lanes = known[0] if len(known) == 1 else sorted(set().union(*known))
        start = 0 if self.last_lane is None else bisect_right(lanes, self.last_lane)
        return lanes[start:] + lanes[:start]

    def heaps(self, lane: str, names: Collection[str]) -> list[LazyHeap]:
        """The heaps of a lane that hold rows of these names; empty ones are dropped in passing."""
        found = []
        for name in self._of(self.due, names):
            heap = self.due[name].get(lane)
            if heap is None:
                continue
            if heap.live:
                found.append(heap)
            else:
                self._drop(name, lane)
        return found

    def due_heaps(self) -> Iterator[LazyHeap]:
        """Every heap of rows that are in lanes."""
        for by_lane in self.due.values():
            yield from by_lane.values()

    def any_due(self, names: Collection[str]) -> bool:
        """Whether a row of these names is in a lane."""
        return any(heap.live for name in self._of(self.due, names) for heap in self.due[name].values())

    def next_scheduled(self, names: Collection[str]) -> datetime | None:
        """The earliest run_at of a scheduled row of these names."""
        times = (self.scheduled[name].first_run_at() for name in self._of(self.scheduled, names))
        return min((moment for moment in times if moment is not None), default=None)

    def _drop(self, name: str, lane: str) -> None:
        del self.due[name][lane]
        self.lanes[name].remove(lane)
        if not self.lanes[name]:
            del self.due[name], self.lanes[name]

    @staticmethod
    def _of(
        index: dict[str, LazyHeap] | dict[str, list[str]] | dict[str, dict[str, LazyHeap]], names: Collection[str]
    ) -> list[str]:
        """The names that the index knows, walking whichever side is shorter."""
        if len(index) <= len(names):
            return [name for name in index if name in names]
        return [name for name in names if name in index]
