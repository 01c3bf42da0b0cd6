"""The feed of the memory store: entries in one order, listeners' leases, and how far back each channel reaches."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from dispatch.streams import StreamEntry, StreamPage


class StreamLog:
    """All entries that are kept, and who listens to what."""

    def __init__(self) -> None:
        self.position = 0
        self.entries: list[StreamEntry] = []
        self.pruned = 0
        """Entries up to this position may be gone."""
        self.begins: dict[str, int] = {}
        """From where on a channel has had a listener all the time."""
        self.listeners: dict[str, dict[str, datetime]] = {}

    def heard(self, channel: str, now: datetime) -> bool:
        """Whether somebody listens to the channel."""
        listeners = self.listeners.get(channel)
        return listeners is not None and any(until > now for until in listeners.values())

    def append(self, entry: StreamEntry, now: datetime) -> None:
        """Adds an entry at the end."""
        self.position += 1
        self.entries.append(replace(entry, position=self.position, at=now))

    def read_after(self, channels: Collection[str], position: int, limit: int) -> StreamPage:
        """What is kept after the position."""
        if position < 0:
            return StreamPage([], self.position)
        wanted, most = frozenset(channels), max(0, limit)
        found: list[StreamEntry] = []
        for entry in self.entries[bisect_right(self.entries, position, key=_position) :]:
            if len(found) == most:
                break
            if entry.channel in wanted:
                found.append(entry)
        end = found[-1].position if found and len(found) == most else self.position if most else position
        if position > self.position or position < self.pruned:
            return StreamPage(found, min(end, self.position), wanted)
        return StreamPage(
            found, end, frozenset(name for name in wanted if position < self.begins.get(name, self.position))
        )

    def listen(self, channels: Collection[str], listener: str, until: datetime, now: datetime) -> None:
        """Begins or extends leases; channels that nobody listened to begin anew."""
        unheard = [channel for channel in channels if not self.heard(channel, now)]
        if unheard:
            self.position += 1
            self.begins.update(dict.fromkeys(unheard, self.position))
        for channel in channels:
            self.listeners.setdefault(channel, {})[listener] = until

    def unlisten(self, listener: str) -> None:
        """Ends a listener's leases."""
        for channel, listeners in list(self.listeners.items()):
            listeners.pop(listener, None)
            if not listeners:
                del self.listeners[channel]

    def old(self, before: datetime, limit: int) -> int:
        """How many entries from before that time there are, up to a limit."""
        count = 0
        while count < min(limit, len(self.entries)) and (at := self.entries[count].at) is not None and at < before:
            count += 1
        return count

    def prune(self, count: int, now: datetime) -> None:
        """Removes that many entries, and the leases that are over."""
        if count:
            self.pruned = self.entries[count - 1].position
            del self.entries[:count]
        for channel, listeners in list(self.listeners.items()):
            live = {listener: until for listener, until in listeners.items() if until > now}
            if live:
                self.listeners[channel] = live
            else:
                del self.listeners[channel]


def _position(entry: StreamEntry) -> int:
    return entry.position
