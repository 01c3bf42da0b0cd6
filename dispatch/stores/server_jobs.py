"""The jobs part on a server: the SQL one, whose plain completions are one statement over the rows of a call."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Transition
from dispatch.stores.sql.jobs import SQLJobs
from dispatch.stores.sql.plan import Each, Plan

COLUMNS = ("id", "epoch", "result", "worker_id", "now")


def complete(worker_id: WorkerID, plain: Sequence[Transition], now: int) -> Plan[list[int]]:
    """Completes plain jobs the short way; answers of each whether it was (1) or not (0)."""
    worker = str(worker_id)
    rows = [(str(said.job_id), said.epoch, said.result, worker, now) for said in plain]
    changed: list[int] = yield Each("complete_job", COLUMNS, rows)
    return changed


class ServerJobs(SQLJobs):
    """JobStore over an executor on a server."""

    def _complete(self, worker_id: WorkerID, plain: Sequence[Transition], now: int) -> Plan[set[JobID]]:
        changed = yield from complete(worker_id, plain, now)
        return {said.job_id for said, count in zip(plain, changed, strict=True) if count}
