"""Events by what a wait asks for: broadcasts by name, key and scope, signals by the run they are for."""

from __future__ import annotations

from bisect import bisect_left, insort
from datetime import datetime

from dispatch.events.model import Event
from dispatch.ids import RunID
from dispatch.stores.memory.runs import Channel, RunRow
from dispatch.workflows.model import Wait


def _age(event: Event) -> tuple[datetime, str]:
    assert event.created_at is not None
    return event.created_at, event.id


class Channels:
    """Each list is in the order in which waits take events: by created_at, then id."""

    def __init__(self) -> None:
        self.broadcasts: dict[Channel, list[Event]] = {}
        self.mailboxes: dict[RunID, list[Event]] = {}
        """Signals that their run has not consumed."""
        self.read: dict[RunID, list[Event]] = {}
        """Signals that it has."""

    def add(self, event: Event) -> None:
        """Takes in an event that was just published."""
        if event.run_id is None:
            insort(self.broadcasts.setdefault((event.name, event.key, event.scope), []), event, key=_age)
        else:
            insort(self.mailboxes.setdefault(event.run_id, []), event, key=_age)

    def remove(self, event: Event) -> None:
        """Forgets an event that is being pruned."""
        if event.run_id is None:
            channel = (event.name, event.key, event.scope)
            kept = _without(self.broadcasts.get(channel, []), event)
            if kept:
                self.broadcasts[channel] = kept
            else:
                self.broadcasts.pop(channel, None)
            return
        for boxes in (self.mailboxes, self.read):
            kept = _without(boxes.get(event.run_id, []), event)
            if kept:
                boxes[event.run_id] = kept
            else:
                boxes.pop(event.run_id, None)

    def consume(self, event: Event) -> None:
        """Moves a signal out of the mailbox; broadcasts stay for other runs."""
        box = self.mailboxes.get(event.run_id, []) if event.run_id is not None else []
        if event in box and event.run_id is not None:
            box.remove(event)
            insort(self.read.setdefault(event.run_id, []), event, key=_age)

    def unread(self, event: Event) -> bool:
        """Whether this signal still lies in its run's mailbox."""
        return event.run_id is not None and event in self.mailboxes.get(event.run_id, ())

    def oldest(self, run: RunRow, wait: Wait) -> Event | None:
        """The oldest event that the wait takes and the run has not consumed."""
        found = [event for event in self.mailboxes.get(run.id, ()) if event.name in wait.events][:1]
        since = run.created_at if wait.since is None else wait.since
        for name in wait.events:
            events = self.broadcasts.get((name, wait.key, run.scope), [])
            for at in range(bisect_left(events, (since, ""), key=_age), len(events)):
                if events[at].id not in run.consumed:
                    found.append(events[at])
                    break
        return min(found, key=_age, default=None)

    def signals(self, run_id: RunID) -> list[Event]:
        """Every signal to the run."""
        return [*self.mailboxes.get(run_id, ()), *self.read.get(run_id, ())]


def _without(events: list[Event], gone: Event) -> list[Event]:
    """The list without one event; old ones stand at its beginning."""
    at = bisect_left(events, _age(gone), key=_age)
    if at < len(events) and events[at].id == gone.id:
        del events[at]
    return events
