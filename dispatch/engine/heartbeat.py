"""Renews the worker's leases from a thread and connection of its own, so that a blocked loop does not lose them."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dispatch.clock import boot_seconds, wall_offset
from dispatch.engine.introduction import Introduction
from dispatch.engine.settings import Settings
from dispatch.engine.watchdog import TICK, Watchdog
from dispatch.entity import Reply
from dispatch.errors import StoreError
from dispatch.ids import JobID
from dispatch.jobs.model import Renewed
from dispatch.store import Store


@dataclass(frozen=True, slots=True)
class Beat:
    """What one successful beat brought."""

    named: Sequence[tuple[JobID, int]]
    """The (job, epoch) pairs that were to be renewed."""
    renewed: Renewed
    drain: bool


class Heartbeat:
    """A thread that renews every `heartbeat_interval` and watches the main loop."""

    def __init__(
        self,
        store: Store,
        introduction: Introduction,
        settings: Settings,
        *,
        held: Callable[[], list[tuple[JobID, int]]],
        on_beat: Callable[[Beat], None],
        on_death: Callable[[BaseException], None],
        logger: logging.Logger,
    ) -> None:
        self._store = store
        self._introduction = introduction
        self._worker = introduction.worker
        self._settings = settings
        self._held = held
        self._on_beat = on_beat
        self._on_death = on_death
        self._logger = logger
        self._main = asyncio.get_running_loop()
        self._watchdog = Watchdog(self._main, threading.get_ident(), logger=logger)
        self._thread: threading.Thread | None = None
        self._ready: asyncio.Future[None] = self._main.create_future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._ending = False
        self._gone = asyncio.Event()
        self.renewed_at = boot_seconds()
        """When the last successful renewal was asked for (seconds since boot)."""
        self._offset = wall_offset()
        """Of the wall clock, at the last successful beat."""
        self.trouble_at = float("-inf")
        """When a beat last failed or came late: for one lease after that nobody should steal."""

    @property
    def lives(self) -> bool:
        """Whether the thread goes on."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def out_of_touch(self) -> bool:
        """Whether the leases may have lapsed by now."""
        return boot_seconds() - self.renewed_at > self._settings.lease - self._settings.lease_margin

    @property
    def settled(self) -> bool:
        """Whether beats have gone well for a whole lease, so that others had the chance to renew theirs.

        A beat that is overdue at this moment counts as trouble too: a process that was stopped and continues may get
        here before its heartbeat has noticed. So does a clock that was set: leases of the living may seem over.
        """
        now = boot_seconds()
        return now - self.trouble_at > self._settings.lease and not self._overdue(now) and not self._clock_was_set()

    def _clock_was_set(self) -> bool:
        return abs(wall_offset() - self._offset) > self._settings.lease_margin

    def _overdue(self, now: float) -> bool:
        return now - self.renewed_at > 2 * self._settings.heartbeat_interval + 1

    async def start(self) -> None:
        """Starts the thread; returns once its connection is open. Raises StoreError when it cannot be."""
        self._thread = threading.Thread(target=self._run, name="dispatch-heartbeat", daemon=True)
        self._thread.start()
        try:
            await self._ready
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Ends the thread."""
        if self._thread is None:
            return
        self._ending = True
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._stop.set)
            except RuntimeError:
                pass  # its loop has ended already
        await self._gone.wait()  # not in the default executor, whose threads the handlers may hold

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:  # a thread's: raised any further, it would be told to nobody
            self._tell_ready(error)
        finally:
            self._on_main(self._gone.set)

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self._ending:  # read after `_loop` is set, as `stop` sets it before it reads `_loop`
            return
        await self._store.open()
        try:
            self._tell_ready(None)
            watching = asyncio.create_task(self._watch())
            while not self._stop.is_set():
                ok = await self._beat()
                interval = self._settings.heartbeat_interval
                await self._wait(interval if ok else interval / 5)
            watching.cancel()
        finally:
            await self._store.close()

    def _tell_ready(self, error: BaseException | None) -> None:
        def tell() -> None:
            if self._ready.done():
                if error is not None:
                    self._on_death(error)
            elif error is None:
                self._ready.set_result(None)
            else:
                self._ready.set_exception(error)

        self._on_main(tell)

    def _on_main(self, act: Callable[[], object]) -> None:
        try:
            self._main.call_soon_threadsafe(act)
        except RuntimeError:
            pass  # the main loop is closed, nobody listens any more

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass

    async def _watch(self) -> None:
        while True:
            self._watchdog.tick()
            await asyncio.sleep(TICK)

    async def _beat(self) -> bool:
        """One renewal; False when it failed or the loop has been blocked for too long to deserve one."""
        stalled = self._watchdog.stalled_for
        if stalled > self._settings.stall_limit:
            self._logger.error("the event loop has been blocked for %.0f s: leases are no longer renewed", stalled)
            return False
        asked = boot_seconds()
        late = self._overdue(asked)
        clock_was_set = self._clock_was_set()
        held = self._held()
        try:
            async with asyncio.timeout(self._settings.call_timeout):
                renewed = await self._store.jobs.renew(self._worker.id, held, lease=self._settings.lease)
                reply = await self._store.cluster.beat(self._worker.id, running=len(held))
                lapsed = boot_seconds() - self.renewed_at > self._settings.lease
                # others may have taken it for dead and set its jobs aside: bring them back
                if lapsed or clock_was_set or reply is Reply.MISSING:
                    await self._introduction.make(self._store)
                drain = await self._store.cluster.drain_requested(self._worker.id)
        except (StoreError, TimeoutError) as error:
            self.trouble_at = boot_seconds()
            self._logger.warning("a beat failed: %s", str(error) or "the store took too long")
            return False
        except Exception:
            self.trouble_at = boot_seconds()
            self._logger.exception("a beat failed")
            return False
        if clock_was_set:
            self._logger.warning("the clock of this machine was set; nothing is stolen or set aside for one lease")
        if late or clock_was_set:
            self.trouble_at = boot_seconds()
        self._offset = wall_offset()
        self.renewed_at = asked
        try:
            self._main.call_soon_threadsafe(self._on_beat, Beat(held, renewed, drain))
        except RuntimeError:
            self._stop.set()  # the main loop is closed
        return True
