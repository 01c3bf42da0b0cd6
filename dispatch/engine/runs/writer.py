"""What a worker tells and asks the store about its runs, each verb in group commit over all of them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dispatch.engine.flusher import Flusher
from dispatch.entity import Reply
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Failure
from dispatch.workflows.model import (
    Activation,
    FinishRun,
    Park,
    Parked,
    Record,
    Recorded,
    RunFinished,
    Waited,
    WaitFor,
)
from dispatch.workflows.store import WorkflowStore

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Compensate:
    driver: JobID
    epoch: int
    failure: Failure | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Block:
    driver: JobID
    epoch: int
    reason: str


class RunWriter:
    """The fenced verbs of WorkflowStore, one item each; None for an answer says that the lease is lost."""

    def __init__(
        self,
        store: WorkflowStore,
        worker_id: WorkerID,
        *,
        give_up: Callable[[], bool],
        call_timeout: float,
        logger: logging.Logger,
    ) -> None:
        self._store = store
        self._worker_id = worker_id
        common: dict[str, Any] = {"give_up": give_up, "call_timeout": call_timeout, "logger": logger}
        self._load: Flusher[JobID, Activation | None] = Flusher(self._load_all, name="load", **common)
        self._record: Flusher[Record, Recorded] = Flusher(self._record_all, name="record", **common)
        self._wait: Flusher[WaitFor, Waited] = Flusher(lambda i: store.wait(worker_id, i), name="wait", **common)
        self._park: Flusher[Park, Parked] = Flusher(lambda i: store.park(worker_id, i), name="park", **common)
        self._finish: Flusher[FinishRun, RunFinished] = Flusher(
            lambda i: store.finish(worker_id, i), name="finish", **common
        )
        self._compensate: Flusher[_Compensate, Reply] = Flusher(
            lambda items: _each(
                items,
                lambda i: store.compensate(worker_id, i.driver, i.epoch, failure=i.failure, reason=i.reason),
            ),
            name="compensate",
            **common,
        )
        self._undoing: Flusher[tuple[JobID, int], Reply] = Flusher(
            lambda items: _each(items, lambda i: store.undoing(worker_id, *i)), name="undoing", **common
        )
        self._block: Flusher[_Block, Reply] = Flusher(
            lambda items: _each(items, lambda i: store.block(worker_id, i.driver, i.epoch, reason=i.reason)),
            name="block",
            **common,
        )

    async def load(self, driver: JobID) -> Activation | None:
        """What the driver needs; None also when it has no run."""
        return await self._load.write(driver)

    async def record(self, record: Record) -> Recorded | None:
        """Checkpoints of one run; DataRejected when one of them cannot be stored."""
        return await self._record.write(record)

    async def wait(self, wait: WaitFor) -> Waited | None:
        """One visit of a wait."""
        return await self._wait.write(wait)

    async def park(self, park: Park) -> Parked | None:
        """Gives up the slot until there is something to do."""
        return await self._park.write(park)

    async def finish(self, end: FinishRun) -> RunFinished | None:
        """The run's end; DataRejected when the result cannot be stored."""
        return await self._finish.write(end)

    async def compensate(self, driver: JobID, epoch: int, *, failure: Failure | None, reason: str) -> Reply | None:
        """From now on the run only takes back what it did."""
        return await self._compensate.write(_Compensate(driver, epoch, failure, reason))

    async def undoing(self, driver: JobID, epoch: int) -> Reply | None:
        """The first undo is about to act."""
        return await self._undoing.write((driver, epoch))

    async def block(self, driver: JobID, epoch: int, reason: str) -> Reply | None:
        """What is recorded does not fit this code."""
        return await self._block.write(_Block(driver, epoch, reason))

    async def _load_all(self, drivers: list[JobID]) -> list[Activation | None]:
        found = {activation.run.driver: activation for activation in await self._store.load(drivers)}
        return [found.get(driver) for driver in drivers]

    async def _record_all(self, records: list[Record]) -> list[Recorded]:
        """Several records of one run become one, since its row is locked once."""
        merged: dict[JobID, Record] = {}
        for record in records:
            known = merged.get(record.driver)
            if known is None:
                merged[record.driver] = Record(record.run_id, record.driver, record.epoch, list(record.checkpoints))
            else:
                known.checkpoints = [*known.checkpoints, *record.checkpoints]
        answers = dict(zip(merged, await self._store.record(self._worker_id, list(merged.values())), strict=True))
        return [_part(answers[record.driver], record) for record in records]


def _part(answer: Recorded, record: Record) -> Recorded:
    """What of a merged answer belongs to one of the records."""
    names = {checkpoint.name for checkpoint in record.checkpoints}
    return Recorded(answer.reply, [checkpoint for checkpoint in answer.checkpoints if checkpoint.name in names])


async def _each(items: list[T], call: Callable[[T], Awaitable[Reply]]) -> Sequence[Reply]:
    return [await call(item) for item in items]
