"""The queues part of the memory store: settings, pauses, leased slots."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from dispatch.entity import Reply
from dispatch.jobs.model import JobState
from dispatch.queues import Pause, QueueConfig, QueueInfo
from dispatch.stores.memory.data import Data, Session
from dispatch.stores.memory.queue import QueueState, Slot
from dispatch.stores.memory.rows import later


class MemoryQueues:
    """The verbs of QueueStore."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def pause(
        self, queue: str, *, by: str = "", reason: str = "", duration: float | None = None, force: bool = False
    ) -> Pause:
        with self._session as data:
            now = data.clock.now()
            until = None if duration is None else later(now, duration, f"the pause of queue {queue}")
            state = data.queue(queue)
            standing = state.pause_at(now)
            if standing is not None and not force and standing.outlasts(by, until):
                return standing
            state.paused = Pause(by=by, reason=reason, until=until, since=now)
            state.has_settings = True
            data.signal.bump()
            return state.paused

    async def resume(self, queue: str) -> Reply:
        with self._session as data:
            state = data.queues.get(queue)
            if state is None or state.pause_at(data.clock.now()) is None:
                return Reply.CONFLICT
            state.paused = None
            data.signal.bump()
            return Reply.APPLIED

    async def configure(self, config: QueueConfig) -> None:
        with self._session as data:
            now = data.clock.now()
            queue = data.queue(config.name)
            if config.rate_limit is None or queue.config.rate_limit is None:
                queue.bucket = None
            else:
                queue.tokens(now)
            queue.config = config
            queue.has_settings = True
            data.signal.bump()

    async def get(self, queue: str) -> QueueInfo:
        with self._session as data:
            state, now = data.queues.get(queue), data.clock.now()
            return QueueInfo(QueueConfig(queue), at=now) if state is None else _info(data, state, now)

    async def take_slot(self, queue: str, holder: str, *, lease: float, limit: int | None = None) -> Reply:
        with self._session as data:
            now = data.clock.now()
            until = later(now, lease, f"the slot of {holder}")
            state = data.queue(queue)
            effective = state.config.max_concurrency if state.config.max_concurrency is not None else limit
            held = state.slots.get(holder)
            if (held is None or held.until <= now) and state.free(effective, now) == 0:
                return Reply.CONFLICT
            state.slots[holder] = Slot(until, limit)
            return Reply.APPLIED

    async def renew_slot(self, queue: str, holder: str, *, lease: float) -> Reply:
        with self._session as data:
            now = data.clock.now()
            until = later(now, lease, f"the slot of {holder}")
            state = data.queues.get(queue)
            slot = None if state is None else state.slots.get(holder)
            if state is None or slot is None:
                return Reply.STALE
            if slot.until <= now:
                limit = state.config.max_concurrency
                if state.free(limit if limit is not None else slot.limit, now) == 0:
                    del state.slots[holder]
                    return Reply.STALE
            slot.until = until
            return Reply.APPLIED

    async def free_slot(self, queue: str, holder: str) -> Reply:
        with self._session as data:
            state = data.queues.get(queue)
            if state is None or state.slots.pop(holder, None) is None:
                return Reply.STALE
            data.signal.bump()
            return Reply.APPLIED

    async def list(self) -> list[QueueInfo]:
        with self._session as data:
            now = data.clock.now()
            infos = [_info(data, data.queues[name], now) for name in sorted(data.queues)]
            return [
                info
                for info in infos
                if data.queues[info.config.name].has_settings
                or info.pause is not None
                or info.slots
                or info.pending + info.retrying + info.running
            ]


def _info(data: Data, queue: QueueState, now: datetime) -> QueueInfo:
    tallies = [tally.counts for tally in data.tallies.values() if tally.queue is queue]
    ready = queue.ready
    heaps = [*ready.due_heaps(), *ready.scheduled.values()]
    return QueueInfo(
        config=replace(queue.config),
        pause=queue.pause_at(now),
        pending=sum(counts[JobState.PENDING] for counts in tallies),
        retrying=sum(counts[JobState.RETRYING] for counts in tallies),
        running=queue.running,
        blocked=data.concurrency.blocked_in(queue.name),
        set_aside=sum(len(rows) for rows in ready.aside.values()),
        oldest_due_at=min((row.run_at for heap in heaps for row in heap.rows() if row.run_at <= now), default=None),
        slots=sorted(holder for holder, slot in queue.slots.items() if slot.until > now),
        tokens=queue.tokens(now),
        at=now,
    )
