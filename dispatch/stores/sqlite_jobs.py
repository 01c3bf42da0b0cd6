"""The jobs part of the SQLite store: the SQL one, with a door for callers that run no event loop."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.jobs.model import Enqueued, NewJob
from dispatch.stores.sql.enqueue import enqueue
from dispatch.stores.sql.jobs import SQLJobs
from dispatch.stores.sqlite_connection import Occupied
from dispatch.stores.sqlite_executor import SQLiteExecutor


class SQLiteJobs(SQLJobs):
    """JobStore and EnqueuesHere over one SQLite file."""

    def __init__(self, executor: SQLiteExecutor) -> None:
        super().__init__(executor)
        self._here = executor

    def enqueue_here(self, jobs: Sequence[NewJob]) -> list[Enqueued] | None:
        """As `enqueue`, in the calling thread; None, with nothing done, where that is not possible now."""
        if not jobs:
            return []
        try:
            return self._here.run_here(lambda: enqueue(jobs, self._here.now()))
        except Occupied:
            return None
