"""The shared tables behind every facade of one memory store, and the moves that keep their indexes true."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Collection, Sequence
from datetime import datetime
from types import TracebackType
from typing import TypeVar

from dispatch.clock import Clock
from dispatch.cluster.model import Announcement, Leadership, Worker
from dispatch.crons.model import CronEntry, Tick
from dispatch.crons.settle import Announced
from dispatch.dlq.model import DLQEntry
from dispatch.errors import StoreUnreachable
from dispatch.events.model import Event
from dispatch.ids import DLQID, CronID, EventID, JobID, WorkerID
from dispatch.jobs.model import TERMINAL, Attempt, JobState
from dispatch.queues import QueueConfig
from dispatch.records import Record
from dispatch.scope import Scope
from dispatch.stores.memory import wakes
from dispatch.stores.memory.channels import Channels
from dispatch.stores.memory.concurrency import Concurrency
from dispatch.stores.memory.feed import JOB_ENDS, tell_job
from dispatch.stores.memory.keys import Keys
from dispatch.stores.memory.queue import QueueState
from dispatch.stores.memory.rows import Origin, Row, Tally, TenantCount
from dispatch.stores.memory.runs import Runs
from dispatch.stores.memory.signal import Signal
from dispatch.stores.memory.stream_log import StreamLog

Key = TypeVar("Key", bound=str)


def insert_sorted(order: list[Key], key: Key) -> None:
    """Keeps ids sorted; they nearly always arrive in order."""
    if not order or key > order[-1]:
        order.append(key)
    else:
        insort(order, key)


def remove_sorted(order: list[Key], gone: Collection[Key]) -> None:
    """Takes ids out of the sorted list; quick when they stand near each other, as old ones do."""
    if gone:
        start, end = bisect_left(order, min(gone)), bisect_right(order, max(gone))
        order[start:end] = [key for key in order[start:end] if key not in gone]


class Data:
    """Everything that is stored. Touched only inside `Session`, which holds the lock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.signal = Signal()
        self.rows: dict[JobID, Row] = {}
        self.row_order: list[JobID] = []
        self.attempts: dict[JobID, list[Attempt]] = {}
        self.ended: dict[JobState, OrderedDict[JobID, Row]] = {state: OrderedDict() for state in TERMINAL}
        """Terminal rows, the longest ended first (but for `ended_anyhow`)."""
        self.ended_anyhow: set[JobState] = set()
        """States whose ended rows were loaded, and are to be sorted before somebody counts on their order."""
        self.tallies: dict[tuple[str, str, str, Scope], Tally] = {}
        self.queues: dict[str, QueueState] = {}
        self.running: dict[JobID, Row] = {}
        self.held: dict[WorkerID, dict[JobID, Row]] = {}
        self.cancelling: dict[JobID, Row] = {}
        self.keys = Keys()
        self.concurrency = Concurrency()
        self.letters: dict[DLQID, DLQEntry] = {}
        self.letter_order: list[DLQID] = []
        self.origins: dict[DLQID, Origin] = {}
        self.events: dict[EventID, Event] = {}
        self.event_order: list[EventID] = []
        self.channels = Channels()
        self.runs = Runs()
        self.awaited: dict[JobID, tuple[JobID, ...]] = {}
        """Successors that were loaded before the job that they wait behind."""
        self.workers: dict[WorkerID, Worker] = {}
        self.announced: dict[tuple[str, str, int], Announcement] = {}
        self.leadership: Leadership | None = None
        self.term = 0
        self.records: dict[str, dict[str, Record]] = {}
        self.record_order: dict[str, list[str]] = {}
        self.stream = StreamLog()
        self.crons: dict[CronID, CronEntry] = {}
        self.ticks: dict[CronID, dict[datetime, Tick]] = {}
        self.cron_codes: dict[str, Announced] = {}
        self.cron_announced: dict[WorkerID, set[str]] = {}

    def queue(self, name: str) -> QueueState:
        """The queue's state, made on first use."""
        state = self.queues.get(name)
        if state is None:
            state = self.queues[name] = QueueState(name, QueueConfig(name))
        return state

    def insert(self, row: Row, now: datetime, *, block: bool = False) -> None:
        """Adds a new row in its state `pending`; with `block` it waits until `unblock` finds room for it."""
        queue = self.queue(row.queue)
        if not row.lane_given:
            row.lane = queue.lane_of(row.scope)
        self.count_in(row)
        if block:
            self.concurrency.block(row)
        else:
            queue.ready.add(row, now)
        tell_job(self.stream, "job.enqueued", row, now)

    def count_in(self, row: Row) -> None:
        """Adds a new row to the rows and the counts of its state."""
        self.tally(row)
        self.rows[row.id] = row
        insert_sorted(self.row_order, row.id)
        if row.state not in TERMINAL:
            self.concurrency.join(row)
        parent = self.runs.find(row.run_id) if row.step is not None else None
        if parent is not None:
            parent.child_jobs.add(row.id)

    def tally(self, row: Row) -> None:
        """Counts the row among those of its queue, name, kind and scope."""
        queue = self.queue(row.queue)
        key = (row.queue, row.name, row.kind, row.scope)
        tally = self.tallies.get(key)
        if tally is None:
            tenant = queue.tenants.get(row.scope)
            if tenant is None:
                tenant = queue.tenants[row.scope] = TenantCount()
            tally = self.tallies[key] = Tally(queue, row.name, row.kind, row.scope, tenant)
        tally.counts[row.state] += 1
        row.tally = tally

    def unblock(self, key: str | None, now: datetime) -> int:
        """Makes blocked rows of a concurrency key claimable again that there is room for; answers how many."""
        rows = self.concurrency.bring_back(key, now) if key is not None else []
        for row in rows:
            tally_of(row).queue.ready.add(row, now)
        return len(rows)

    def to_state(self, row: Row, state: JobState) -> None:
        """Changes the state and its counts."""
        counts = tally_of(row).counts
        counts[row.state] -= 1
        counts[state] += 1
        if row.state in TERMINAL:
            self.ended[row.state].pop(row.id, None)
        if state in TERMINAL and row.kind != "workflow":
            self.ended[state][row.id] = row
        row.state = state

    def start(self, row: Row, worker_id: WorkerID, lease_until: datetime, now: datetime, now_ms: int) -> None:
        """Makes a row, already out of the ready index, run in the worker's name."""
        run = self.runs.driven_by(row)
        if run is not None:
            wakes.claimed(self, row, run, now)
        self.to_state(row, JobState.RUNNING)
        row.worker_id = worker_id
        row.epoch = max(row.epoch + 1, now_ms)
        row.started_at = row.updated_at = now
        row.lease_until = lease_until
        row.last = None
        self.hand_to(worker_id, row)
        if row.unique_key is not None and row.unique_until == "start":
            self.keys.give_up(row, now)
        tell_job(self.stream, "job.started", row, now)

    def hand_to(self, worker_id: WorkerID, row: Row) -> None:
        """Notes that the worker runs the row."""
        tally = tally_of(row)
        tally.queue.running += 1
        tally.tenant.running += 1
        self.running[row.id] = row
        self.concurrency.start(row)
        held = self.held.get(worker_id)
        if held is None:
            held = self.held[worker_id] = {}
        held[row.id] = row

    def stop(self, row: Row) -> None:
        """Takes a running row off its worker's hands; the caller gives it its next state."""
        tally = tally_of(row)
        tally.queue.running -= 1
        tally.tenant.running -= 1
        del self.running[row.id]
        self.concurrency.stop(row)
        if row.worker_id is not None:
            held = self.held[row.worker_id]
            del held[row.id]
            if not held:
                del self.held[row.worker_id]
        self.cancelling.pop(row.id, None)
        row.lease_until = None

    def wait(self, row: Row, run_at: datetime, now: datetime) -> None:
        """Makes a stopped row wait: `retrying` once it failed or crashed, else `pending`."""
        self.to_state(row, JobState.RETRYING if row.failures or row.crashes else JobState.PENDING)
        row.worker_id = None
        row.run_at = run_at
        row.updated_at = now
        tally_of(row).queue.ready.add(row, now)
        self.unblock(row.concurrency_key, now)

    def rename(self, row: Row, name: str) -> None:
        """Gives a row that is in no index another name; a lane that followed the name goes with it."""
        tally_of(row).counts[row.state] -= 1
        if row.lane == row.name:
            row.lane = name
        row.name = name
        self.tally(row)

    def hurry(self, row: Row, now: datetime) -> None:
        """Makes a waiting row due now."""
        ready = tally_of(row).queue.ready
        ready.remove(row)
        row.run_at = row.updated_at = now
        if row.blocked:
            self.concurrency.block(row)
        else:
            ready.add(row, now)
        self.unblock(row.concurrency_key, now)

    def withdraw(self, row: Row) -> None:
        """Takes a waiting row out of the ready index, or from behind the job it waits for."""
        if row.behind is not None:
            holder = self.rows.get(row.behind)
            if holder is not None:
                holder.successors = tuple(job_id for job_id in holder.successors if job_id != row.id)
            row.behind = None
        else:
            tally_of(row).queue.ready.remove(row)
            row.blocked = False

    def end(self, row: Row, state: JobState, reason: str | None, now: datetime) -> None:
        """Gives a stopped or withdrawn row its terminal state, frees its key, sets its successor free."""
        self.to_state(row, state)
        row.reason = reason
        row.finished_at = row.updated_at = now
        row.set_aside = False
        tell_job(self.stream, JOB_ENDS[state], row, now)
        if row.unique_key is not None:
            self.hand_over(row, row.unique_key, now)
        if row.concurrency_key is not None:
            self.concurrency.part(row)
            self.unblock(row.concurrency_key, now)
        if row.step is not None:
            wakes.child_job_ended(self, row, now)

    def hand_over(self, row: Row, key: str, now: datetime) -> None:
        """Frees the row's key, or gives it to its successor, or lines its successors up behind who has it by now."""
        self.keys.give_up(row, now)
        if not row.successors:
            return
        successors, row.successors = row.successors, ()
        hold = self.keys.holder(key, now)
        if hold is not None and hold.live:
            front = self.rows[hold.job_id]
        else:
            front, successors = self.rows[successors[0]], successors[1:]
            front.behind = None
            front.updated_at = now
            self.keys.take(front)
            tally_of(front).queue.ready.add(front, now)
        for job_id in successors:
            self.rows[job_id].behind = front.id
            front.successors += (job_id,)

    def sort_ended(self) -> None:
        """Brings ended rows that were loaded into the order of their ends."""
        for state in self.ended_anyhow:
            rows = sorted(self.ended[state].values(), key=lambda row: (row.finished_at is not None, row.finished_at))
            self.ended[state] = OrderedDict((row.id, row) for row in rows)
        self.ended_anyhow.clear()

    def forget(self, gone: Collection[Row]) -> None:
        """Removes terminal rows and their attempts."""
        for row in gone:
            tally_of(row).counts[row.state] -= 1
            self.ended[row.state].pop(row.id, None)
            self.attempts.pop(row.id, None)
            del self.rows[row.id]
            parent = self.runs.find(row.run_id)
            if parent is not None:
                parent.child_jobs.discard(row.id)
        remove_sorted(self.row_order, {row.id for row in gone})

    def bring_back(self, queues: Sequence[str] | None, names: Sequence[str], now: datetime) -> int:
        """Returns rows of these names that were set aside, in these queues (None: in all); answers how many."""
        count = 0
        for queue in list(self.queues.values()) if queues is None else [self.queue(name) for name in queues]:
            for name in names:
                for row in queue.ready.aside.pop(name, {}).values():
                    row.set_aside = False
                    row.updated_at = now
                    queue.ready.add(row, now)
                    run = self.runs.driven_by(row)
                    if run is not None:
                        self.runs.to_state(run, run.standing, now)
                    count += 1
        return count


def tally_of(row: Row) -> Tally:
    """The row's tally; every stored row has one."""
    assert row.tally is not None
    return row.tally


class Session:
    """One facade's way to the data: `with session as data:` is one atomic act on an open store."""

    __slots__ = ("data", "opened")

    def __init__(self, data: Data) -> None:
        self.data = data
        self.opened = False

    def __enter__(self) -> Data:
        self.data.lock.acquire()
        if not self.opened:
            self.data.lock.release()
            raise StoreUnreachable("The memory store is not open; call `await store.open()` first. Nothing was done")
        return self.data

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.data.lock.release()
