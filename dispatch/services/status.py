"""The state of everything on one screen, from a handful of cheap reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dispatch.cluster.model import ENDED, Worker, stopping
from dispatch.crons.model import CronEntry, ListOptions
from dispatch.dlq.model import DLQGroup
from dispatch.entity import LARGEST_PAGE
from dispatch.queues import QueueConfig, QueueInfo
from dispatch.store import Store
from dispatch.stores.facts import refusal
from dispatch.workflows.model import RunState

RECENT = timedelta(hours=1)
"""How long a worker that has stopped is still counted."""
OVERDUE = timedelta(minutes=1)
"""How long after its time an entry that should fire is called overdue."""
_ENTRIES, _TICKS = 100, 50


@dataclass(frozen=True, slots=True)
class Status:
    """What an operator looks at first."""

    queues: Sequence[QueueInfo]
    """Those with settings or live jobs, and those that live workers serve; by name."""
    served_by: Mapping[str, int]
    """How many live workers serve each of these queues."""
    groups: Sequence[DLQGroup]
    """Open dead letters by job and error type, largest group first."""
    live: Sequence[Worker]
    stopped_lately: int
    """Workers that stopped or fell silent within the last hour."""
    runs: Mapping[RunState, int]
    """How many workflow runs, by state."""
    crons: Sequence[CronEntry] = ()
    """The first 500 entries by name."""
    at: datetime | None = None
    refusal: str = ""
    """Why the store takes no writes now; "" when it does."""

    @property
    def disabled(self) -> list[CronEntry]:
        """Cron entries that somebody has disabled."""
        return [entry for entry in self.crons if not entry.enabled and not entry.orphaned]

    @property
    def orphaned(self) -> list[CronEntry]:
        """Cron entries whose code no live worker has."""
        return [entry for entry in self.crons if entry.orphaned]

    @property
    def overdue(self) -> list[CronEntry]:
        """Cron entries that should have fired more than a minute ago."""
        return [
            entry
            for entry in self.crons
            if entry.enabled and not entry.orphaned and self.at is not None and entry.next_fire_at is not None
            if self.at - entry.next_fire_at > OVERDUE
        ]

    @property
    def dead_letters(self) -> int:
        """How many dead letters wait for a decision."""
        return sum(group.count for group in self.groups)

    @property
    def draining(self) -> int:
        """How many live workers were asked to stop, or do stop."""
        return sum(stopping(worker) for worker in self.live)

    @property
    def unserved(self) -> list[QueueInfo]:
        """The queues where jobs wait and no live worker serves them."""
        return [info for info in self.queues if info.pending + info.retrying and not self.served_by[info.config.name]]

    @property
    def full(self) -> list[tuple[QueueInfo, int]]:
        """The queues whose jobs have been due for over a minute while each worker that serves them is full, and their
        slots; a queue that is paused or at its own limit waits for that."""
        found = []
        for info in self.queues:
            most = info.config.max_concurrency
            limited = most is not None and info.running + len(info.slots) >= most
            if info.pause is not None or limited or info.oldest_due_at is None or self.at is None:
                continue
            serving = [worker for worker in self.live if info.config.name in worker.queues and not stopping(worker)]
            busy = serving and all(worker.running >= worker.concurrency for worker in serving)
            if busy and self.at - info.oldest_due_at > OVERDUE:
                found.append((info, sum(worker.concurrency for worker in serving)))
        return found


async def read_status(store: Store, *, now: datetime) -> Status:
    """Reads the status; `now` only says which workers stopped lately and which cron entries are overdue."""
    workers = await store.cluster.list()
    queues = await store.queues.list()
    groups = await store.dlq.groups()
    runs = await store.workflows.count()
    crons = await store.crons.list(ListOptions(limit=LARGEST_PAGE))
    refused = await refusal(store)
    return replace(status_of(queues, workers, groups, runs, crons=crons.items, now=now), refusal=refused)


async def missed_ticks(store: Store, entries: Sequence[CronEntry], *, since: datetime) -> dict[str, int]:
    """How many of the latest ticks of each entry nobody could fire in time, where there are any; looks at the hundred
    entries that were due last."""
    looked_at = sorted(entries, key=lambda entry: entry.updated_at, reverse=True)[:_ENTRIES]
    histories = [await store.crons.history(entry.id, limit=_TICKS) for entry in looked_at]
    found = {
        entry.name: sum(tick.outcome == "missed" and tick.scheduled_at >= since for tick in history)
        for entry, history in zip(looked_at, histories, strict=True)
    }
    return {name: count for name, count in sorted(found.items()) if count}


def status_of(
    queues: Sequence[QueueInfo],
    workers: Sequence[Worker],
    groups: Sequence[DLQGroup],
    runs: Mapping[RunState, int] | None = None,
    *,
    crons: Sequence[CronEntry] = (),
    now: datetime,
) -> Status:
    """The status that these facts make."""
    live = [worker for worker in workers if worker.state not in ENDED]
    gone = sum(worker.state in ENDED and now - worker.last_seen < RECENT for worker in workers)
    infos = {info.config.name: info for info in queues}
    for worker in live:
        for name in worker.queues:
            infos.setdefault(name, QueueInfo(QueueConfig(name)))
    served_by = {name: sum(name in worker.queues for worker in live) for name in infos}
    counts = runs or dict.fromkeys(RunState, 0)
    return Status([infos[name] for name in sorted(infos)], served_by, groups, live, gone, counts, crons, now)
