"""A supervised loop: one duty, `run_once` again and again, that backs off when it fails and never dies silently."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from dispatch.clock import boot_seconds
from dispatch.errors import StoreError

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_REST = 1.0
"""Seconds of a pause after a failure that no nudge cuts short: whatever wakes the loop may be what fails."""


class Service:
    """Start, supervise and stop one loop; a subclass says what one round does."""

    name = "service"

    def __init__(
        self,
        *,
        interval: float,
        logger: logging.Logger,
        on_death: Callable[[BaseException], None],
        limit: float | None = None,
    ) -> None:
        self.interval = interval
        self._limit = limit
        """Seconds that one round may take."""
        self._logger = logger
        self._on_death = on_death
        self._task: asyncio.Task[None] | None = None
        self._nudged = False
        self._pausing: asyncio.Future[None] | None = None
        self._halt = asyncio.Event()
        self._stopping = False
        self.round_at = boot_seconds()
        """When the latest round began (seconds since boot)."""

    @property
    def lives(self) -> bool:
        """Whether the loop goes on."""
        return self._task is not None and not self._task.done()

    async def run_once(self) -> float | None:
        """Does one round and answers how many seconds to pause (None: `interval`); tests call it directly."""
        raise AssertionError(f"{type(self).__name__} does not say what a round is")

    def start(self) -> None:
        """Begins the loop as a task."""
        self._stopping = False
        self._halt.clear()
        self._task = asyncio.create_task(self._supervise(), name=f"dispatch {self.name}")
        self._task.add_done_callback(_retrieve)

    def nudge(self) -> None:
        """Ends the present pause, or the next one."""
        self._nudged = True
        _end(self._pausing)

    async def stop(self) -> None:
        """Ends the loop after its present round."""
        self._stopping = True
        self._halt.set()
        self.nudge()
        if self._task is not None and self._task is not asyncio.current_task():
            await asyncio.wait([self._task])

    async def pause(self, seconds: float) -> None:
        """Waits that long, or until nudged."""
        if seconds > 0 and not self._nudged:
            # an Event in a timeout says the same, but what waits for a job's notice must be quick
            loop = asyncio.get_running_loop()
            self._pausing = loop.create_future()
            timer = loop.call_later(seconds, _end, self._pausing)
            try:
                await self._pausing
            finally:
                timer.cancel()
        self._nudged = False

    async def _supervise(self) -> None:
        failures = 0
        try:
            while not self._stopping:
                self.round_at = boot_seconds()
                try:
                    pause = await (self.run_once() if self._limit is None else self._bounded(self._limit))
                except (StoreError, TimeoutError) as error:
                    failures += 1
                    self._logger.warning(
                        "%s: %s (try %d)", self.name, str(error) or "the store took too long", failures
                    )
                    pause = self._backoff(failures)
                except (Exception, asyncio.CancelledError) as error:
                    if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                        raise
                    failures += 1
                    self._logger.exception("%s failed (try %d)", self.name, failures)
                    pause = self._backoff(failures)
                else:
                    failures = 0
                if failures and pause is not None:
                    rest = min(pause, _REST)
                    pause -= rest
                    await self._rest(rest)
                if not self._stopping:
                    await self.pause(self.interval if pause is None else pause)
        except BaseException as error:
            self._on_death(error)
            raise

    async def _bounded(self, limit: float) -> float | None:
        async with asyncio.timeout(limit):
            return await self.run_once()

    async def _rest(self, seconds: float) -> None:
        """Waits that long; only stopping ends it."""
        try:
            async with asyncio.timeout(seconds):
                await self._halt.wait()
        except TimeoutError:
            pass

    @staticmethod
    def _backoff(failures: int) -> float:
        longest: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures, 10))
        return longest * (0.5 + random.random() / 2)


def _is_cancelled() -> bool:
    """Whether somebody cancels this very task; else it was something it awaited that was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _end(pause: asyncio.Future[None] | None) -> None:
    if pause is not None and not pause.done():
        pause.set_result(None)


def _retrieve(task: asyncio.Task[None]) -> None:
    """What ended the loop has been told already; asyncio is not to complain that nobody asked."""
    if not task.cancelled():
        task.exception()
