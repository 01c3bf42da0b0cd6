"""How many workers the backlog calls for, limits considered: what an autoscaler is told."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dispatch.queues import QueueInfo
from dispatch.store import Store


@dataclass(frozen=True, slots=True)
class Demand:
    """What one moment calls for."""

    desired: int
    """Workers."""
    runnable: int
    """Jobs that run, or could run now if there were workers enough."""
    slots: int
    """Jobs at once in one worker."""


async def read_demand(store: Store, *, slots: int, queues: Collection[str] = ()) -> Demand:
    """What the store's queues (all, or those named) call for, with workers that run `slots` jobs at once."""
    infos = await store.queues.list()
    return demand_of([info for info in infos if not queues or info.config.name in queues], slots=slots)


def demand_of(infos: Sequence[QueueInfo], *, slots: int) -> Demand:
    """The demand of these queues.

    >>> from dispatch.clock import EPOCH
    >>> from dispatch.queues import QueueConfig
    >>> mails = QueueInfo(QueueConfig("mails", max_concurrency=12), pending=100, running=4, oldest_due_at=EPOCH)
    >>> demand_of([mails], slots=10)
    Demand(desired=2, runnable=12, slots=10)
    """
    runnable = sum(_runnable(info) for info in infos)
    return Demand(math.ceil(runnable / slots), runnable, slots)


def _runnable(info: QueueInfo) -> int:
    """Jobs of a queue that run or may start: none start while it is paused, or beyond its limit."""
    paused = info.pause is not None and (info.pause.until is None or info.at is None or info.pause.until > info.at)
    waiting = 0 if paused or info.oldest_due_at is None else info.pending - info.set_aside - info.blocked
    most = info.config.max_concurrency
    wanted = info.running + max(waiting, 0)
    return wanted if most is None else max(info.running, min(wanted, most - len(info.slots)))
