"""Claim: walks queues, lanes and priorities through the ready index and makes due rows running."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from dispatch.clock import from_micros
from dispatch.errors import StoreCorrupt
from dispatch.ids import WorkerID
from dispatch.jobs.model import Claimed, Job, JobState
from dispatch.scope import Scope
from dispatch.stores.sql import concurrency, unique
from dispatch.stores.sql.limits import UNLIMITED, Gate, gates
from dispatch.stores.sql.plan import Do, Lock, Many, Plan, Rows
from dispatch.stores.sql.rows import job_of, names_text, span
from dispatch.stores.sql.workflow_wakes import job_ended

_EXPIRE = ("now", "seq")
_KIND, _STARTED_AT, _EXPIRES_AT, _UNIQUE_KEY, _APP, _ORG, _KEY, _RUN_ID = 8, 16, 19, 30, 34, 35, 41, 44
"""Places in `job_columns`."""
_MIXED_CHUNK = 200
EVER = -(1 << 63)
"""Before any time."""
_LANES_AT_ONCE = 256
_PASSED_A_CLAIM = 1000
"""A claim holds the gate; a heap of jobs that are expired, or of a full concurrency key, is worked off in several."""


@dataclass(slots=True)
class Claim:
    """One claim under way: what was asked, what was taken."""

    worker_id: WorkerID
    queues: Mapping[str, int]
    names: Collection[str]
    limit: int
    lease: float
    now: int
    rotation: dict[str, str]
    """The lane of each queue that this process served last."""
    jobs: list[Job] = field(default_factory=list)
    expired: list[Job] = field(default_factory=list)
    names_json: str = ""
    running: dict[str, dict[tuple[str, str], int]] = field(default_factory=dict)
    """Running jobs by tenant, of tenant-limited queues."""
    rooms: dict[str, int] = field(default_factory=dict)
    """How many more jobs of a concurrency key may start."""
    blocked: int = 0
    """Rows whose key was found full."""
    writes: bool = False
    """Whether it takes jobs or only looks."""
    unhindered: bool = False
    """Whether every queue that was asked for has room, so that only a change of the store or the time brings jobs."""

    def __post_init__(self) -> None:
        self.names_json = names_text(self.names)

    @property
    def wanted(self) -> int:
        return self.limit - len(self.jobs)

    def peek(self, alone: bool) -> Plan[Claimed | None]:
        """None when there is something to claim; else the answer of an empty claim. Only reads."""
        if self.limit <= 0 or not self.names:
            return self._answer(None)
        open_gates = yield from self._gates()
        self.unhindered = all(gate.room > 0 for gate in open_gates.values())
        next_due = yield from self._next_due(open_gates, alone, EVER)
        return None if next_due is not None and next_due <= self.now else self._answer(next_due)

    def run(self, alone: bool) -> Plan[Claimed]:
        """The plan of JobStore.claim."""
        if self.limit <= 0 or not self.names:
            return self._answer(None)
        self.writes = True
        yield Lock("lock_queues", {"queues": names_text(self.queues)})
        open_gates = yield from self._gates()
        single = alone and (yield from self._take_quarantined(open_gates))
        if not single:
            yield from self._take_shares(open_gates)
        unfinished = not self._may_pass
        # only now, because the end of a job may set its successor free in a lane that was walked already
        for job in self.expired:
            if job.unique_key is not None and (yield from unique.end(job.unique_key, job.id, self.now)):
                unfinished = True
            yield from job_ended(job.id, job.run_id, job.step, self.now)
        keys = {job.concurrency_key for job in self.expired if job.concurrency_key is not None}
        if (yield from concurrency.leave(keys, self.now)):
            unfinished = True
        if single or not self.wanted:
            return self._answer(None)
        for queue in [queue for queue, share in self.queues.items() if share <= self._taken_from(queue)]:
            open_gates.pop(queue, None)
        return self._answer((yield from self._next_due(open_gates, alone, EVER if unfinished else self.now)))

    @property
    def _may_pass(self) -> bool:
        return len(self.expired) + self.blocked < _PASSED_A_CLAIM

    def _take_shares(self, open_gates: dict[str, Gate]) -> Plan[None]:
        """Takes an equal share of every queue, then what is left in their order."""
        shares = {queue: min(self.queues[queue], gate.room) for queue, gate in open_gates.items()}
        equal = max(1, self.limit // max(1, len(shares)))
        for most in (equal, UNLIMITED):
            for queue in shares:
                n = min(shares[queue], self.wanted, most)
                if n > 0:
                    taken = yield from self._take(open_gates[queue], n)
                    # a queue that gave less than asked has nothing more to give in the second round
                    shares[queue] = shares[queue] - taken if taken == n else 0

    def _taken_from(self, queue: str) -> int:
        return sum(job.queue == queue for job in self.jobs)

    def _gates(self) -> Plan[dict[str, Gate]]:
        return (yield from gates([queue for queue, share in self.queues.items() if share > 0], self.now))

    def _answer(self, next_due: int | None) -> Claimed:
        due = None if next_due is None else from_micros(next_due)
        return Claimed(self.jobs, self.expired, due, from_micros(self.now))

    def _next_due(self, open_gates: dict[str, Gate], alone: bool, after: int) -> Plan[int | None]:
        """When this worker can take something: the first run_at after a time, once its queue's gate is open."""
        next_due: int | None = None
        for gate in open_gates.values():
            opens_at = gate.opens_at(self.now)
            if opens_at is None:
                continue
            due = yield from self._next_run_at(gate, after if gate.room > 0 else EVER)
            if alone:
                due = earlier(due, (yield from self._next_quarantined(gate)))
            if due is not None:
                next_due = earlier(next_due, due if gate.room > 0 else max(due, opens_at))
        return next_due

    def quarantined(self, due: int) -> Plan[bool]:
        """Whether a quarantined job was due by then and could be claimed now. Only reads."""
        for gate in (yield from self._gates()).values():
            if gate.room > 0:
                run_at = yield from self._next_quarantined(gate)
                if run_at is not None and run_at <= due:
                    return True
        return False

    def _next_quarantined(self, gate: Gate) -> Plan[int | None]:
        full = yield from self._full_tenants(gate)
        earliest: int | None = None
        rows = yield Rows("quarantined_next", {"queue": gate.queue, "names": self.names_json})
        yield from self._look_at_keys([row[3] for row in rows if row[3] is not None])
        for run_at, app_id, org_id, key in rows:
            if Scope(app_id, org_id).tenant not in full and (key is None or self.rooms[key] > 0):
                earliest = earlier(earliest, run_at)
        return earliest

    def _next_run_at(self, gate: Gate, after: int) -> Plan[int | None]:
        full = yield from self._full_tenants(gate)
        rows = yield Rows(
            "next_run_at",
            {"queue": gate.queue, "full": names_text(full), "after": after, "names": self.names_json},
        )
        earliest: int | None = rows[0][0]
        return earliest

    def _full_tenants(self, gate: Gate) -> Plan[set[str]]:
        """Lanes of tenants that run as much as they may."""
        if gate.tenant_room is None:
            return set()
        counts = self.running.get(gate.queue)
        if counts is None:
            rows = yield Rows("running_by_tenant", {"queue": gate.queue})
            counts = self.running[gate.queue] = {(app_id, org_id): count for app_id, org_id, count in rows}
        limit = gate.tenant_room
        return {Scope(*tenant).tenant for tenant, count in counts.items() if count >= limit and any(tenant)}

    def _take(self, gate: Gate, n: int) -> Plan[int]:
        """Takes up to n jobs of a queue, its lanes in rotation, each an equal share first."""
        full = yield from self._full_tenants(gate)
        last = self.rotation.get(gate.queue)
        taken = 0
        lanes = yield from self._lanes(gate.queue, last, n)
        lanes = [lane for lane in lanes if lane not in full]
        while lanes and taken < n:
            share = max(1, (n - taken) // len(lanes))
            more = []
            for lane in lanes:
                ask = min(share, n - taken)
                if ask <= 0:
                    break
                got = yield from self._take_lane(gate, lane, ask)
                taken += got
                if got:
                    self.rotation[gate.queue] = lane
                if got == ask:
                    more.append(lane)
            lanes = more
        yield from self._debit(gate, taken)
        return taken

    def _debit(self, gate: Gate, taken: int) -> Plan[None]:
        gate.take(taken)
        if gate.tokens is not None and taken:
            yield Do("set_tokens", {"queue": gate.queue, "tokens": gate.tokens, "now": self.now})

    def _lanes(self, queue: str, last: str | None, n: int) -> Plan[list[str]]:
        """The lanes to walk: those after the last one served come first, then the others."""
        most = max(n, _LANES_AT_ONCE)
        rows = yield Rows("lanes", {"queue": queue, "from_lane": "", "limit": most + 1})
        lanes = [lane for (lane,) in rows]
        if last is None or len(lanes) <= 1:
            return lanes
        if len(lanes) > most:
            rows = yield Rows("lanes", {"queue": queue, "from_lane": last + "\0", "limit": most})
            return list(dict.fromkeys([lane for (lane,) in rows] + lanes))
        return [lane for lane in lanes if lane > last] + [lane for lane in lanes if lane <= last]

    def _take_lane(self, gate: Gate, lane: str, n: int) -> Plan[int]:
        taken = 0
        for (priority,) in (yield Rows("priorities", {"queue": gate.queue, "lane": lane})):
            if taken >= n:
                break
            place = (EVER, "")
            while taken < n and self._may_pass:
                mixed = gate.tenant_room is not None or self.blocked
                ask = max(n - taken, _MIXED_CHUNK) if mixed else n - taken
                rows = yield Rows(
                    "due_jobs",
                    {
                        "queue": gate.queue,
                        "lane": lane,
                        "priority": priority,
                        "now": self.now,
                        "names": self.names_json,
                        "after_run_at": place[0],
                        "after_id": place[1],
                        "limit": ask,
                    },
                )
                taken += yield from self._start((yield from self._admitted(gate, rows, n - taken)))
                if len(rows) < ask:
                    break
                place = (rows[-1][7], rows[-1][0])
        return taken

    def _look_at_keys(self, keys: list[str]) -> Plan[None]:
        """Learns how much room these concurrency keys have, unless it is known already."""
        unknown = set(keys) - self.rooms.keys()
        if self.writes:
            yield from concurrency.lock(unknown, wait=not self.rooms)
        for key, room in (yield from concurrency.rooms(unknown)).items():
            self.rooms[key] = room.left()

    def _admitted(self, gate: Gate, rows: list[tuple[Any, ...]], n: int) -> Plan[list[tuple[Any, ...]]]:
        """At most n rows to start (and any expired ones on the way) whose tenants are not full, nor their keys: rows of
        a full key are blocked."""
        yield from self._look_at_keys([row[_KEY] for row in rows if row[_KEY] is not None and not _holds_place(row)])
        admitted, full = [], []
        for row in rows:
            if n <= 0:
                break
            if not self._is_expired(row):
                if self._tenant_full(gate, row):
                    continue
                key = row[_KEY]
                if key is not None and not _holds_place(row):
                    if self.rooms[key] <= 0 and not self._has_expired(row):
                        full.append((row[-2],))
                        continue
                    self.rooms[key] -= 1
                self._count_tenant(gate, row)
                n -= 1
            admitted.append(row)
        if full:
            self.blocked += len(full)
            yield Many("block_job", ("seq",), full)
        return admitted

    def _tenant_full(self, gate: Gate, row: tuple[Any, ...]) -> bool:
        counts, tenant = self.running.get(gate.queue), (row[_APP], row[_ORG])
        if gate.tenant_room is None or counts is None:
            return False
        return counts.get(tenant, 0) >= gate.tenant_room and any(tenant)

    def _count_tenant(self, gate: Gate, row: tuple[Any, ...]) -> None:
        counts, tenant = self.running.get(gate.queue), (row[_APP], row[_ORG])
        if gate.tenant_room is not None and counts is not None:
            counts[tenant] = counts.get(tenant, 0) + 1

    def _has_expired(self, row: tuple[Any, ...]) -> bool:
        """Whether its time was over before its first start. A run then only compensates, and waits for no place."""
        return row[_EXPIRES_AT] is not None and row[_STARTED_AT] is None and row[_EXPIRES_AT] < self.now

    def _is_expired(self, row: tuple[Any, ...]) -> bool:
        return self._has_expired(row) and not _drives(row)

    def _start(self, rows: list[tuple[Any, ...]]) -> Plan[int]:
        """Makes the rows running (or cancels the expired ones); answers how many run."""
        started = [row for row in rows if row[_EXPIRES_AT] is None or not self._is_expired(row)]
        floor, now = self.now // 1000, self.now
        lease_until = now + span(self.lease)
        if started:
            seqs = json.dumps([row[-2] for row in started])
            shared = {"worker_id": str(self.worker_id), "epoch_floor": floor, "lease_until": lease_until, "now": now}
            yield Do("start_jobs", {"seqs": seqs, **shared})
        moment, until = from_micros(now), from_micros(lease_until)
        runs = []
        for row in started:
            job = job_of(row)
            if not _is_sound(job):
                raise StoreCorrupt(f"the row of {job.id} holds what no job can hold; find and repair that row")
            job.state = JobState.RUNNING
            job.worker_id = self.worker_id
            job.epoch = max(job.epoch + 1, floor)
            job.started_at = job.updated_at = moment
            job.lease_until = until
            self.jobs.append(job)
            if job.kind == "workflow" and job.run_id is not None:
                expired = row[_STARTED_AT] is None and row[_EXPIRES_AT] is not None and row[_EXPIRES_AT] < now
                runs.append((str(job.run_id), int(expired), now))
            if row[-1] == "start" and row[_UNIQUE_KEY] is not None:
                yield from unique.give_up(row[_UNIQUE_KEY], job.id, now)
        yield Many("claim_run", ("id", "expired", "now"), runs)
        if len(started) < len(rows):
            yield from self._expire([row for row in rows if self._is_expired(row)])
        return len(started)

    def _expire(self, rows: list[tuple[Any, ...]]) -> Plan[None]:
        yield Many("expire_job", _EXPIRE, [(self.now, row[-2]) for row in rows])
        for row in rows:
            job = job_of(row)
            job.state, job.reason = JobState.CANCELLED, "expired"
            job.finished_at = job.updated_at = from_micros(self.now)
            self.expired.append(job)

    def _take_quarantined(self, open_gates: dict[str, Gate]) -> Plan[bool]:
        for queue, gate in open_gates.items():
            if gate.room <= 0:
                continue
            yield from self._full_tenants(gate)
            most = 1 if gate.tenant_room is None else UNLIMITED
            params = {"queue": queue, "now": self.now, "names": self.names_json, "limit": most}
            passed = -1
            while passed < self.blocked and self._may_pass:
                passed = self.blocked
                rows = yield Rows("quarantined_due", params)
                started = yield from self._start((yield from self._admitted(gate, rows, 1)))
                if started:
                    yield from self._debit(gate, started)
                    return True
        return False


def _drives(row: tuple[Any, ...]) -> bool:
    """Whether it drives a run."""
    return row[_KIND] == "workflow" and row[_RUN_ID] is not None


def _holds_place(row: tuple[Any, ...]) -> bool:
    """Whether it has its concurrency key's place already, as a driver has from its first start to its run's end."""
    return _drives(row) and row[_STARTED_AT] is not None


def _is_sound(job: Job) -> bool:
    """Whether its columns hold what a worker reckons with; times were read already."""
    return (
        isinstance(job.failures, int)
        and isinstance(job.crashes, int)
        and isinstance(job.priority, int)
        and (job.max_retries is None or isinstance(job.max_retries, int))
        and (job.timeout is None or isinstance(job.timeout, int | float))
        and isinstance(job.scope.app_id, str)
        and isinstance(job.scope.org_id, str)
    )


def earlier(one: int | None, other: int | None) -> int | None:
    """The smaller of two times, where None is never."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
