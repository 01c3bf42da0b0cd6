"""A store that logs what a worker claimed, renewed, stole, and was told about the outcomes it wrote."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Claimed, Finished, Renewed, Stolen, Transition
from dispatch.jobs.store import JobStore
from dispatch.store import Store

from .events import EventLog


class RecordingJobs:
    """The jobs part: the verbs of a worker's life are logged, the others pass."""

    def __init__(self, inner: JobStore, log: EventLog) -> None:
        self._inner = inner
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def claim(self, worker_id: WorkerID, **options: Any) -> Claimed:
        claimed = await self._inner.claim(worker_id, **options)
        if claimed.jobs:
            self._log.add("claimed", worker=worker_id, jobs=[(job.id, job.epoch) for job in claimed.jobs])
        return claimed

    async def renew(self, worker_id: WorkerID, held: Sequence[tuple[JobID, int]], *, lease: float) -> Renewed:
        began = time.monotonic()
        try:
            renewed = await self._inner.renew(worker_id, held, lease=lease)
        except BaseException as error:
            self._log.add("beat_failed", worker=worker_id, took=time.monotonic() - began, error=repr(error))
            raise
        took = time.monotonic() - began
        epochs = dict(held)
        lost = [(job_id, epochs[job_id]) for job_id in renewed.lost]
        self._log.add("beat", worker=worker_id, took=took, held=len(held), lost=lost, unnamed=renewed.unnamed)
        return renewed

    async def finish(self, worker_id: WorkerID, transitions: Sequence[Transition]) -> list[Finished]:
        answers = await self._inner.finish(worker_id, transitions)
        said = [
            (one.job_id, one.epoch, one.verdict.value, answer.reply.value)
            for one, answer in zip(transitions, answers, strict=True)
        ]
        self._log.add("answered", worker=worker_id, answers=said)
        return answers

    async def release(self, worker_id: WorkerID, held: Sequence[tuple[JobID, int]]) -> Any:
        replies = await self._inner.release(worker_id, held)
        said = [(*pair, "release", reply.value) for pair, reply in zip(held, replies, strict=True)]
        self._log.add("answered", worker=worker_id, answers=said)
        return replies

    async def steal(self, **options: Any) -> list[Stolen]:
        stolen = await self._inner.steal(**options)
        if stolen:
            self._log.add("stole", jobs=[(one.job.id, one.job.epoch, one.from_worker) for one in stolen])
        return stolen


class RecordingStore:
    """A store whose jobs part, and that of its siblings, are recorded."""

    def __init__(self, inner: Store, log: EventLog) -> None:
        self._inner = inner
        self._log = log
        self.jobs = RecordingJobs(inner.jobs, log)
        self.everyone: list[Store] = [inner]
        """This store and its siblings, bare."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def sibling(self) -> Store:
        sibling = RecordingStore(self._inner.sibling(), self._log)
        self.everyone.append(sibling._inner)
        return cast("Store", sibling)
