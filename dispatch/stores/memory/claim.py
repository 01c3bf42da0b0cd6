"""The claim: which due jobs a worker gets, lane by lane in rotation, within every limit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from heapq import heapify, heappop, heapreplace

from dispatch.clock import micros
from dispatch.ids import WorkerID
from dispatch.jobs.model import Claimed, Job, JobState
from dispatch.stores.memory.data import Data, tally_of
from dispatch.stores.memory.heap import Entry, LazyHeap
from dispatch.stores.memory.queue import QueueState
from dispatch.stores.memory.rows import Row, copy_job, is_driver, later

_PASSED_A_CLAIM = 1000
"""A claim holds the lock; a heap of jobs that are expired, or of a full concurrency key, is worked off in several."""


class Claim:
    """One claim in the making."""

    def __init__(self, data: Data, worker_id: WorkerID, names: Collection[str], lease: float, now: datetime) -> None:
        self._data = data
        self._worker_id = worker_id
        self._names = names if isinstance(names, (set, frozenset, dict)) else frozenset(names)
        self._lease_until = later(now, lease, "the lease of the claim")
        self._now = now
        self._now_ms = micros(now) // 1000
        self.jobs: list[Job] = []
        self._overdue: list[Row] = []
        self._blocked = 0

    def run(self, queues: Mapping[str, int], limit: int, *, alone: bool) -> Claimed:
        """The whole claim."""
        if limit <= 0:
            return Claimed([], now=self._now)
        open_queues = {name: cap for name, cap in queues.items() if cap > 0}
        if alone and self._take_quarantined(open_queues):
            return Claimed(self.jobs, now=self._now)
        left = dict(open_queues)
        share = max(1, limit // len(left)) if left else 0
        for most in (share, limit):
            for name in open_queues:
                wanted = min(most, left[name], limit - len(self.jobs))
                if wanted > 0 and (queue := self._data.queues.get(name)) is not None:
                    left[name] -= self._take_from(queue, wanted)
        unfinished = not self.may_pass or any(row.successors or row.concurrency_key for row in self._overdue)
        for row in self._overdue:
            self._data.end(row, JobState.CANCELLED, "expired", self._now)
        next_due = self._next_due(left, alone=alone, unfinished=unfinished) if len(self.jobs) < limit else None
        return Claimed(self.jobs, [copy_job(row) for row in self._overdue], next_due, self._now)

    def _take_from(self, queue: QueueState, wanted: int) -> int:
        """Starts up to `wanted` due jobs of the queue; answers how many."""
        now, ready = self._now, queue.ready
        room = queue.room(wanted, now)
        if room == 0:
            return 0
        ready.promote(self._names, now)
        full = full_lanes(queue)
        lanes = [lane for lane in ready.open_lanes(self._names) if lane not in full]
        cursors: dict[str, LaneCursor] = {}
        started = 0
        while lanes and started < room:
            share = max(1, (room - started) // len(lanes))
            not_dry = []
            for lane in lanes:
                if started == room:
                    break
                cursor = cursors.get(lane)
                if cursor is None:
                    cursor = cursors[lane] = LaneCursor(self, queue, ready.heaps(lane, self._names))
                wanted = min(share, room - started)
                taken = cursor.take(wanted)
                started += taken
                if taken:
                    ready.last_lane = lane
                if taken == wanted:
                    not_dry.append(lane)
            lanes = not_dry
        queue.debit(started)
        return started

    def _take_quarantined(self, queues: Mapping[str, int]) -> bool:
        """Starts one quarantined job that is due, if there is one."""
        for name in queues:
            queue = self._data.queues.get(name)
            if queue is None or not queue.ready.quarantined or not queue.room(1, self._now):
                continue
            due = [r for r in queue.ready.quarantined.values() if r.run_at <= self._now and r.name in self._names]
            for row in sorted(due, key=lambda r: (-r.priority, r.run_at, r.id)):
                if tenant_full(queue, row):
                    continue
                queue.ready.remove(row)
                if self.blocks(row):
                    continue
                self.start(row)
                queue.debit(1)
                return True
        return False

    def start(self, row: Row) -> None:
        self._data.start(row, self._worker_id, self._lease_until, self._now, self._now_ms)
        self.jobs.append(copy_job(row))

    def expire(self, row: Row) -> None:
        """Notes a row to be cancelled; its end may set a successor free, so it waits until the lanes are done."""
        self._overdue.append(row)

    def blocks(self, row: Row) -> bool:
        """Whether the row, just taken out of the ready index, is blocked now because its key is full."""
        if row.started_at is None and row.expires_at is not None and row.expires_at < self._now:
            return False  # a run that has expired before it began only compensates
        if not self._data.concurrency.full(row):
            return False
        self._data.concurrency.block(row)
        self._blocked += 1
        return True

    @property
    def now(self) -> datetime:
        return self._now

    @property
    def may_pass(self) -> bool:
        return len(self._overdue) + self._blocked < _PASSED_A_CLAIM

    def _next_due(self, left: Mapping[str, int], *, alone: bool, unfinished: bool) -> datetime | None:
        """When time alone lets this worker take another job: at once if the claim is `unfinished`."""
        moments = []
        for name, cap in left.items():
            queue = self._data.queues.get(name)
            opens_at = queue.opens_at(self._now) if queue is not None and cap > 0 else None
            if queue is None or opens_at is None:
                continue
            run_at = queue.ready.next_scheduled(self._names)
            if queue.ready.any_due(self._names) and (opens_at > self._now or unfinished):
                moments.append(opens_at)
            elif run_at is not None:
                moments.append(max(opens_at, run_at))
            if alone:
                waiting = (row for row in queue.ready.quarantined.values() if row.name in self._names)
                moments += [
                    max(opens_at, row.run_at)
                    for row in waiting
                    if not tenant_full(queue, row) and not self._data.concurrency.full(row)
                ]
        return min(moments, default=None)


class LaneCursor:
    """The due rows of one lane in order, over one heap a name."""

    __slots__ = ("_claim", "_heads", "_queue")

    def __init__(self, claim: Claim, queue: QueueState, heaps: list[LazyHeap]) -> None:
        self._claim = claim
        self._queue = queue
        self._heads: list[tuple[Entry, LazyHeap]] = []
        for heap in heaps:
            entry = heap.peek()
            if entry is not None:
                self._heads.append((entry, heap))
        heapify(self._heads)

    def take(self, wanted: int) -> int:
        """Starts up to `wanted` rows; fewer only when the lane has no more to give now."""
        claim, queue, now = self._claim, self._queue, self._claim.now
        by_tenant = queue.config.tenant_concurrency is not None
        taken = 0
        blocked: list[Row] = []
        while taken < wanted and self._heads and claim.may_pass:
            entry, heap = self._heads[0]
            row = entry[4]
            if row.expires_at is not None and row.expires_at < now and row.started_at is None and not is_driver(row):
                heap.pop()
                claim.expire(row)
            elif row.run_at > now:  # the clock was set back after the row had become due
                heap.pop()
                queue.ready.add(row, now)
            elif by_tenant and tenant_full(queue, row):
                if row.lane == row.scope.tenant:
                    break
                heap.pop()
                blocked.append(row)
            else:
                heap.pop()
                if not claim.blocks(row):
                    claim.start(row)
                    taken += 1
            following = heap.peek()
            if following is None:
                heappop(self._heads)
            else:
                heapreplace(self._heads, (following, heap))
        for row in blocked:
            queue.ready.add(row, now)
        return taken


def full_lanes(queue: QueueState) -> set[str]:
    """The lanes of tenants that run as many jobs as they may."""
    limit = queue.config.tenant_concurrency
    if limit is None:
        return set()
    return {scope.tenant for scope, count in queue.tenants.items() if scope and count.running >= limit}


def tenant_full(queue: QueueState, row: Row) -> bool:
    """Whether the row's tenant has all the slots it may have in the queue; nobody's jobs have no such limit."""
    limit = queue.config.tenant_concurrency
    return limit is not None and bool(row.scope) and tally_of(row).tenant.running >= limit
