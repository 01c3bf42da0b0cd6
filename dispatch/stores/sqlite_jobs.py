"""The jobs part of the SQLite store: the SQL one, with a door for callers that run no event loop and a memory for
claims that found nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from dispatch.clock import from_micros
from dispatch.errors import NotTransactional
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Claimed, Enqueued, NewJob, Stolen, Transition
from dispatch.stores.inside.connections import Inside, inside, inside_here, refuse_async
from dispatch.stores.sql.claim import Claim
from dispatch.stores.sql.damaged import around, bury_waiting, mend_running
from dispatch.stores.sql.enqueue import PLAIN_COLUMNS, enqueue, is_free, plain_row
from dispatch.stores.sql.jobs import SQLJobs
from dispatch.stores.sql.plan import Plan, Rows
from dispatch.stores.sqlite_complete import complete_together
from dispatch.stores.sqlite_connection import Occupied, on_thread
from dispatch.stores.sqlite_executor import DATA_VERSION, SQLiteExecutor
from dispatch.stores.together import Together


@dataclass(frozen=True, slots=True)
class _Nothing:
    """A look that found nothing to claim; it holds until somebody commits or the next job is due."""

    version: tuple[int, int]
    queues: Mapping[str, int]
    names: str
    alone: bool
    looked_at: int
    claimed: Claimed

    def holds(self, version: tuple[int, int], claim: Claim, alone: bool) -> bool:
        """Whether the same look would find nothing now."""
        due = self.claimed.next_due
        return (
            self.version == version
            and self.queues == claim.queues
            and self.names == claim.names_json
            and self.alone == alone
            and self.looked_at <= claim.now
            and (due is None or from_micros(claim.now) < due)
        )


class SQLiteJobs(SQLJobs):
    """JobStore, EnqueuesHere and EnqueuesInside over one SQLite file."""

    def __init__(self, executor: SQLiteExecutor) -> None:
        super().__init__(executor)
        self._here = executor
        self._nothing: _Nothing | None = None
        self._together = Together(self._enqueue_now)

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        return await self._together.enqueue(jobs) if jobs else []

    async def _enqueue_now(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        if len(jobs) == 1 and is_free(jobs[0]):
            added = await self._here.insert("insert_plain_job", PLAIN_COLUMNS, partial(plain_row, jobs[0]))
            return [Enqueued(jobs[0].id, added == 1)]
        return await super().enqueue(jobs)

    def enqueue_here(self, jobs: Sequence[NewJob]) -> list[Enqueued] | None:
        """As `enqueue`, in the calling thread; None, with nothing done, where that is not possible now."""
        if not jobs:
            return []
        try:
            if len(jobs) == 1 and is_free(jobs[0]):
                added = self._here.insert_here("insert_plain_job", PLAIN_COLUMNS, partial(plain_row, jobs[0]))
                return [Enqueued(jobs[0].id, added == 1)]
            return self._here.run_here(lambda: enqueue(jobs, self._here.now()))
        except Occupied:
            return None

    async def prepare_inside(self) -> None:
        pass

    async def enqueue_inside(self, connection: object, jobs: Sequence[NewJob]) -> list[Enqueued]:
        found = await inside(connection)
        if found.driver != "aiosqlite":
            return self._inside(found, jobs)
        self._refuse_kind(found)
        run = partial(self._here.run_inside, plan=lambda: enqueue(jobs, self._here.now()))
        return self._told(found, await on_thread(found.connection, run))

    def enqueue_inside_here(self, connection: object, jobs: Sequence[NewJob]) -> list[Enqueued]:
        found = inside_here(connection)
        self._refuse_kind(found)
        refuse_async(found, connection)
        return self._inside(found, jobs)

    def _inside(self, found: Inside, jobs: Sequence[NewJob]) -> list[Enqueued]:
        self._refuse_kind(found)
        answers = self._here.run_inside(found.connection, plan=lambda: enqueue(jobs, self._here.now()))
        return self._told(found, answers)

    def _refuse_kind(self, found: Inside) -> None:
        if found.driver not in ("sqlite3", "aiosqlite"):
            raise NotTransactional(
                f"connection is one of {found.driver}, but the store is the file {self._here.path}: a transaction "
                "spans one database. Give a connection to that file, or enqueue without connection= after the commit"
            )

    def _told(self, found: Inside, answers: list[Enqueued]) -> list[Enqueued]:
        if found.hook is not None:
            found.hook(self._here.wake)
        return answers

    async def claim(
        self,
        worker_id: WorkerID,
        *,
        queues: Mapping[str, int],
        names: Collection[str],
        limit: int,
        lease: float,
        alone: bool = False,
    ) -> Claimed:
        claim = super().claim
        return await around(
            self._here,
            lambda: claim(worker_id, queues=queues, names=names, limit=limit, lease=lease, alone=alone),
            lambda: bury_waiting(queues, self._here.now()),
        )

    async def steal(self, *, limit: int, max_crashes: int, delays: Sequence[float]) -> list[Stolen]:
        steal = super().steal
        return await around(
            self._here,
            lambda: steal(limit=limit, max_crashes=max_crashes, delays=delays),
            lambda: mend_running(self._here.now()),
        )

    def _complete(self, worker_id: WorkerID, plain: Sequence[Transition], now: int) -> Plan[set[JobID]]:
        return complete_together(worker_id, plain, now)

    def _look(self, claim: Claim, alone: bool) -> Plan[Claimed | None]:
        """An idle worker with thousands of lanes walks through them once for each change of the file, not each poll."""
        version = (self._here.openings, (yield Rows(DATA_VERSION.name, {}))[0][0])
        known = self._nothing
        if known is not None and claim.limit > 0 and known.holds(version, claim, alone):
            return replace(known.claimed, now=from_micros(claim.now))
        found = yield from claim.peek(alone)
        if found is None or not claim.unhindered:
            self._nothing = None
        else:
            self._nothing = _Nothing(version, dict(claim.queues), claim.names_json, alone, claim.now, found)
        return found
