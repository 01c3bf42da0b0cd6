"""A heap of rows that can leave it from the middle: left entries stay as garbage until they surface or prevail."""

from __future__ import annotations

from datetime import datetime
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any

from dispatch.stores.memory.rows import Row

_tickets = count(1)
_FEW = 64

Entry = tuple[Any, Any, str, int, Row]
"""Two ordering values, the id, the ticket that tells whether the entry still counts, the row."""


class LazyHeap:
    """Rows by (priority descending, run_at, id), or by (run_at, priority descending, id) when `by_time`."""

    __slots__ = ("by_time", "entries", "live")

    def __init__(self, *, by_time: bool = False) -> None:
        self.by_time = by_time
        self.entries: list[Entry] = []
        self.live = 0

    def push(self, row: Row) -> None:
        """Adds the row, which is in no other heap."""
        ticket = row.ticket = next(_tickets)
        row.home = self
        self.live += 1
        if self.by_time:
            heappush(self.entries, (row.run_at, -row.priority, row.id, ticket, row))
        else:
            heappush(self.entries, (-row.priority, row.run_at, row.id, ticket, row))

    def peek(self) -> Entry | None:
        """The first entry, or None."""
        entries = self.entries
        while entries:
            first = entries[0]
            if first[4].ticket == first[3]:
                return first
            heappop(entries)
        return None

    def pop(self) -> None:
        """Removes the entry that `peek` has just answered."""
        row = heappop(self.entries)[4]
        row.ticket = 0
        row.home = None
        self.live -= 1

    def discard(self, row: Row) -> None:
        """Removes a row, wherever it stands."""
        row.ticket = 0
        row.home = None
        self.live -= 1
        if len(self.entries) > 2 * self.live + _FEW:
            self.entries = [entry for entry in self.entries if entry[4].ticket == entry[3]]
            heapify(self.entries)

    def first_run_at(self) -> datetime | None:
        """The run_at of the first row, or None."""
        entry = self.peek()
        return None if entry is None else entry[4].run_at

    def rows(self) -> list[Row]:
        """The rows, in no order."""
        return [entry[4] for entry in self.entries if entry[4].ticket == entry[3]]
