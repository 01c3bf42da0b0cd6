"""The state of everything on one screen, from a handful of cheap reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatch.cluster.model import Worker, WorkerState
from dispatch.dlq.model import DLQGroup
from dispatch.queues import QueueConfig, QueueInfo
from dispatch.store import Store
from dispatch.stores import keeps_runs
from dispatch.workflows.model import RunState

RECENT = timedelta(hours=1)
"""How long a worker that has stopped is still counted."""


@dataclass(frozen=True, slots=True)
class Status:
    """What an operator looks at first."""

    queues: Sequence[QueueInfo]
    """Those with settings or live jobs, and those that live workers serve; by name."""
    served_by: Mapping[str, int]
    """How many live workers serve each of these queues."""
    groups: Sequence[DLQGroup]
    """Open dead letters by job and error type, largest group first."""
    live: Sequence[Worker]
    stopped_lately: int
    """Workers that stopped or fell silent within the last hour."""
    runs: Mapping[RunState, int]
    """How many workflow runs, by state."""

    @property
    def dead_letters(self) -> int:
        """How many dead letters wait for a decision."""
        return sum(group.count for group in self.groups)

    @property
    def draining(self) -> int:
        """How many live workers were asked to stop, or do stop."""
        return sum(worker.drain_requested or worker.state is WorkerState.DRAINING for worker in self.live)

    @property
    def unserved(self) -> list[QueueInfo]:
        """The queues where jobs wait and no live worker serves them."""
        return [info for info in self.queues if info.pending + info.retrying and not self.served_by[info.config.name]]


async def read_status(store: Store, *, now: datetime) -> Status:
    """Reads the status; `now` only says which workers stopped lately."""
    workers = await store.cluster.list()
    queues = await store.queues.list()
    groups = await store.dlq.groups()
    runs = await store.workflows.count() if keeps_runs(store.url) else None
    return status_of(queues, workers, groups, runs, now=now)


def status_of(
    queues: Sequence[QueueInfo],
    workers: Sequence[Worker],
    groups: Sequence[DLQGroup],
    runs: Mapping[RunState, int] | None = None,
    *,
    now: datetime,
) -> Status:
    """The status that these facts make."""
    live = [worker for worker in workers if worker.state is not WorkerState.DEAD]
    gone = sum(worker.state is WorkerState.DEAD and now - worker.last_seen < RECENT for worker in workers)
    infos = {info.config.name: info for info in queues}
    for worker in live:
        for name in worker.queues:
            infos.setdefault(name, QueueInfo(QueueConfig(name)))
    served_by = {name: sum(name in worker.queues for worker in live) for name in infos}
    return Status(
        [infos[name] for name in sorted(infos)], served_by, groups, live, gone, runs or dict.fromkeys(RunState, 0)
    )
