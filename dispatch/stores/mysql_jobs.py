"""The jobs part on MySQL: the plans of all SQL stores, and an enqueue inside of the caller's own transaction."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.errors import NotTransactional
from dispatch.jobs.model import Enqueued, NewJob
from dispatch.stores.inside.connections import Inside, inside, inside_here, refuse_async
from dispatch.stores.inside.mysql import run_inside
from dispatch.stores.mysql_executor import MySQLExecutor, Request
from dispatch.stores.server_jobs import ServerJobs
from dispatch.stores.sql.enqueue import enqueue


class MySQLJobs(ServerJobs):
    """JobStore and EnqueuesInside over an executor on MySQL."""

    def __init__(self, executor: MySQLExecutor) -> None:
        super().__init__(executor)
        self._own = executor
        self._request: Request | None = None

    async def prepare_inside(self) -> None:
        self._request = await self._own.request()

    async def enqueue_inside(self, connection: object, jobs: Sequence[NewJob]) -> list[Enqueued]:
        found = await inside(connection)
        self._refuse_kind(found)
        if self._request is None:
            raise RuntimeError("prepare_inside was not awaited")
        answers = await run_inside(found, self._request, lambda: enqueue(jobs, self._executor.now()))
        if found.hook is not None:
            found.hook(self._own.wake_soon)
        return answers

    def enqueue_inside_here(self, connection: object, jobs: Sequence[NewJob]) -> list[Enqueued]:
        found = inside_here(connection)
        self._refuse_kind(found)
        refuse_async(found, connection)
        raise AssertionError("not reached: asyncmy belongs to event loops")

    def _refuse_kind(self, found: Inside) -> None:
        if found.driver != "asyncmy":
            raise NotTransactional(
                f"connection is one of {found.driver}, but the store is {self._own.place.shown}: a transaction spans "
                "one database. Give a connection of asyncmy to the store's database, or enqueue without connection= "
                "after the commit"
            )
