"""Slots: places under a queue's limit for code that is no job, leased fleet-wide and counted with its running jobs."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from dispatch.clock import LONGEST, Duration, boot_seconds, seconds
from dispatch.entity import Reply
from dispatch.errors import InvalidArguments, SlotLost, SlotTimeout, StoreError
from dispatch.ids import TypeID
from dispatch.queues.model import checked_count, checked_queue
from dispatch.queues.store import QueueStore

LEASE = 30.0
_SHORTEST = 0.01
_RENEWALS = 5
"""Renewals in one lease."""
_POLL = 1.0
_BREATH = 0.02
"""Seconds between two looks, however often the store wakes us."""
_logger = logging.getLogger("dispatch.slots")


class _SlotID(TypeID):
    prefix = "slot"


class _Wakeups(Protocol):
    """The wake-ups of a store, as far as they are needed here."""

    @property
    def version(self) -> int: ...
    async def wait(self, seen: int, timeout: float) -> int: ...


class Slot:
    """One slot that is held: renewed in the background until it is released or lost."""

    def __init__(self, queue: str, holder: str, *, lease: float, store: QueueStore, taken_at: float) -> None:
        self.queue = queue
        self.holder = holder
        """The name under which the store knows it: host, process and a number of its own."""
        self.lost = False
        """The lease lapsed and could not be renewed in time."""
        self._lease = lease
        self._store = store
        self._renewed_at = taken_at
        self._on_loss: Callable[[], object] | None = None
        self._keeper = asyncio.create_task(self._keep(), name=f"dispatch slot of {queue}")

    def check(self) -> None:
        """Raises SlotLost once the slot was lost; for loops that want to know before their next step."""
        if self.lost:
            raise SlotLost(
                f"the slot {self.holder} of queue {self.queue!r} was lost: its lease of {self._lease:g} s could not be "
                "renewed in time, and somebody else may hold it now. Take a longer lease or keep the event loop free"
            )

    async def release(self) -> None:
        """Gives the slot back. Raises SlotLost when it was lost before; StoreError: it is free once its lease ends."""
        self._keeper.cancel()
        await asyncio.wait([self._keeper])
        if not self.lost:
            self.lost = await self._store.free_slot(self.queue, self.holder) is Reply.STALE
        self.check()

    def on_loss(self, act: Callable[[], object] | None) -> None:
        """What to do at once when the slot is lost."""
        self._on_loss = act

    async def _keep(self) -> None:
        while not self.lost:
            await asyncio.sleep(self._lease / _RENEWALS)
            asked_at = boot_seconds()
            left = self._renewed_at + self._lease - asked_at
            try:
                async with asyncio.timeout(max(left, self._lease / _RENEWALS)):
                    reply = await self._store.renew_slot(self.queue, self.holder, lease=self._lease)
            except (StoreError, TimeoutError) as error:
                _logger.warning("the slot %s of queue %r was not renewed: %s", self.holder, self.queue, error)
                self.lost = boot_seconds() - self._renewed_at >= self._lease
            else:
                self._renewed_at = asked_at
                self.lost = reply is not Reply.APPLIED
        if self._on_loss is not None:
            self._on_loss()


class QueueManager:
    """Hands out slots of queues: `async with manager.slot("gpu", limit=4): ...`.

    Slots are leased in the store and count with the queue's running jobs against one limit: its max_concurrency, or the
    `limit` given here where it has none. Those who wait in one process are served in turn; between processes whoever
    looks first after a slot came free has it. When a process dies its slots are free after their lease.

    Args:
        store: the queues part of a store. wakeups: its wake-ups, which tell that a slot may have come free.
        lease: seconds for which a slot is kept without a renewal.
    """

    def __init__(self, store: QueueStore, wakeups: _Wakeups, *, lease: Duration = LEASE) -> None:
        self._store = store
        self._wakeups = wakeups
        self._lease = seconds(lease)
        self._turns: dict[str, asyncio.Lock] = {}
        self._givers: set[asyncio.Future[None]] = set()

    async def acquire(
        self, queue: str, *, limit: int | None = None, timeout: Duration | None = None, lease: Duration | None = None
    ) -> Slot:
        """Waits for a slot of the queue and takes it; `release()` gives it back.

        Args:
            queue: any name; it need not have jobs.
            limit: how many at once where the queue has no max_concurrency of its own; with neither there is no limit.
            timeout: the longest wait; None waits for ever, 0 looks once.
            lease: how long the slot is kept without a renewal; renewals go on while it is held.

        Raises:
            SlotTimeout: none came free in time. InvalidArguments: a value makes no sense. StoreError.
        """
        checked_queue(queue)
        if limit is not None:
            checked_count("limit", limit)
        lasts = self._lease if lease is None else seconds(lease)
        if not _SHORTEST <= lasts <= LONGEST:
            raise InvalidArguments(f"lease is {lasts:g} s; it is at least {_SHORTEST:g} s, and at most a hundred years")
        deadline = None if timeout is None else boot_seconds() + seconds(timeout)
        holder = f"{socket.gethostname()}:{os.getpid()}:{_SlotID.new()}"
        turn = self._turns.setdefault(queue, asyncio.Lock())
        try:
            async with asyncio.timeout(None if deadline is None else max(0.0, deadline - boot_seconds())):
                await turn.acquire()
        except TimeoutError:
            raise _too_late(queue, timeout) from None
        try:
            return await self._take(queue, holder, limit, lasts, deadline, timeout)
        finally:
            turn.release()

    async def _take(
        self,
        queue: str,
        holder: str,
        limit: int | None,
        lease: float,
        deadline: float | None,
        timeout: Duration | None,
    ) -> Slot:
        while True:
            version = self._wakeups.version
            taken_at = boot_seconds()
            try:
                reply = await self._store.take_slot(queue, holder, lease=lease, limit=limit)
            except BaseException:
                # whether it was taken is unknown
                self._give_back(queue, holder)
                raise
            if reply is Reply.APPLIED:
                return Slot(queue, holder, lease=lease, store=self._store, taken_at=taken_at)
            left = _POLL if deadline is None else min(_POLL, deadline - boot_seconds())
            if left <= 0:
                raise _too_late(queue, timeout)
            await self._wakeups.wait(version, left)
            await asyncio.sleep(min(_BREATH, left))

    async def release(self, slot: Slot) -> None:
        """As `slot.release()`."""
        await slot.release()

    @asynccontextmanager
    async def slot(
        self, queue: str, *, limit: int | None = None, timeout: Duration | None = None, lease: Duration | None = None
    ) -> AsyncIterator[Slot]:
        """A block that holds a slot; takes and raises what `acquire` does.

        When the slot is lost the block is cancelled where it stands, and SlotLost leaves it.

        >>> async with app.queues.slot("gpu", limit=4, timeout=60):  # doctest: +SKIP
        ...     await train()
        """
        slot = await self.acquire(queue, limit=limit, timeout=timeout, lease=lease)
        task = asyncio.current_task()
        assert task is not None
        before = task.cancelling()
        slot.on_loss(task.cancel)
        try:
            yield slot
        except BaseException as error:
            slot.on_loss(None)
            await _released(slot)
            ours = isinstance(error, asyncio.CancelledError) and slot.lost and task.uncancel() <= before
            if ours:
                slot.check()
            raise
        slot.on_loss(None)
        if slot.lost:
            await _swallow_cancel(task, before)
        await slot.release()

    def _give_back(self, queue: str, holder: str) -> None:
        async def free() -> None:
            try:
                await self._store.free_slot(queue, holder)
            except StoreError as error:
                _logger.warning("the slot %s of queue %r stays taken until its lease ends: %s", holder, queue, error)

        task = asyncio.ensure_future(free())
        self._givers.add(task)
        task.add_done_callback(self._givers.discard)


def _too_late(queue: str, timeout: Duration | None) -> SlotTimeout:
    return SlotTimeout(
        f"no slot of queue {queue!r} came free within {seconds(timeout or 0):g} s; `dispatch queue show {queue}` tells "
        "who holds them"
    )


async def _released(slot: Slot) -> None:
    """Gives the slot back while another error is on its way."""
    try:
        await slot.release()
    except SlotLost:
        pass
    except StoreError as error:
        _logger.warning("the slot %s of queue %r stays taken until its lease ends: %s", slot.holder, slot.queue, error)


async def _swallow_cancel(task: asyncio.Task[object], before: int) -> None:
    """Takes back the cancellation of a block that had ended by itself before it arrived."""
    if task.cancelling() > before:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            task.uncancel()
