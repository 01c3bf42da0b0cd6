"""The logs behind wide channels: entries, listeners' leases, and how far back each log reaches."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from dispatch.streams import StreamEntry, StreamPage


@dataclass(slots=True)
class ChannelLog:
    """One channel's entries after `floor`."""

    floor: int
    """Whoever stands before this position has missed something."""
    entries: deque[StreamEntry] = field(default_factory=deque)
    listeners: dict[str, datetime] = field(default_factory=dict)


class StreamLogs:
    """All channels; a channel that has no log has forgotten everything up to the present end."""

    def __init__(self) -> None:
        self.position = 0
        self.channels: dict[str, ChannelLog] = {}

    def append(self, entry: StreamEntry, now: datetime) -> bool:
        """Keeps the entry if somebody listens to its channel; either way the position moves on."""
        self.position += 1
        log = self.channels.get(entry.channel)
        if log is None:
            return False
        if not any(until > now for until in log.listeners.values()):
            log.floor = self.position
            return False
        log.entries.append(replace(entry, position=self.position, at=now))
        return True

    def read_after(self, channel: str, position: int, limit: int) -> StreamPage:
        """What is kept after the position; `reset` when something in between was pruned or had no listener."""
        if position < 0:
            return StreamPage([], self.position)
        log = self.channels.get(channel)
        floor = self.position if log is None else log.floor
        reset = not floor <= position <= self.position
        found = [] if log is None else list(islice((e for e in log.entries if e.position > position), max(0, limit)))
        end = found[-1].position if found else self.position if reset else position
        return StreamPage(found, end, reset)

    def listen(self, channel: str, listener: str, until: datetime) -> None:
        log = self.channels.get(channel)
        if log is None:
            log = self.channels[channel] = ChannelLog(self.position)
        log.listeners[listener] = until

    def unlisten(self, channel: str, listener: str) -> None:
        log = self.channels.get(channel)
        if log is not None:
            log.listeners.pop(listener, None)

    def prune(self, before: datetime, limit: int, now: datetime) -> int:
        """Deletes entries from before that time, and the logs that nobody needs any more."""
        count = 0
        for channel, log in list(self.channels.items()):
            while log.entries and count < limit and (at := log.entries[0].at) is not None and at < before:
                log.floor = log.entries.popleft().position
                count += 1
            log.listeners = {listener: until for listener, until in log.listeners.items() if until > now}
            if not log.entries and not log.listeners:
                del self.channels[channel]
        return count
