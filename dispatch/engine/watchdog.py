"""Notices when the event loop is blocked, and says by which line."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback

from dispatch.clock import boot_seconds

TICK = 0.25
TOLERATED = 1.0
_REPEAT = 10.0


class Watchdog:
    """Pings a loop from another thread. `stalled_for` is how long the last ping has gone unanswered."""

    def __init__(self, loop: asyncio.AbstractEventLoop, thread_id: int, *, logger: logging.Logger) -> None:
        self._loop = loop
        self._thread_id = thread_id
        self._logger = logger
        self._asked: float | None = None
        self._last_tick = boot_seconds()
        self._reported_at = 0.0

    @property
    def stalled_for(self) -> float:
        """Seconds since a ping that the loop has not answered yet; 0.0 when it answers."""
        asked = self._asked
        return 0.0 if asked is None else boot_seconds() - asked

    def tick(self) -> None:
        """One look, every TICK seconds, on the watching thread."""
        now = boot_seconds()
        late = now - self._last_tick > TICK + TOLERATED
        self._last_tick = now
        if late or self._asked is None:
            # late: this thread was stopped too (SIGSTOP, a suspended machine), so the silence proves nothing
            self._ask(now)
        elif self.stalled_for > TOLERATED and now - self._reported_at > _REPEAT:
            self._reported_at = now
            self._report()

    def _ask(self, now: float) -> None:
        self._asked = now
        try:
            self._loop.call_soon_threadsafe(self._answer)
        except RuntimeError:
            self._asked = None  # the loop is closed

    def _answer(self) -> None:
        self._asked = None
        self._reported_at = 0.0

    def _report(self) -> None:
        frame = sys._current_frames().get(self._thread_id)
        if frame is None:
            return
        stack = traceback.extract_stack(frame)
        mine = [f for f in stack if "/asyncio/" not in f.filename and "/dispatch/engine/" not in f.filename]
        place = mine[-1] if mine else stack[-1]
        self._logger.warning(
            "the event loop has been blocked for %.1f s by %s:%s in %s; leases are kept, but every other async job "
            "waits. Make the handler a plain function (it then runs in a thread), or await. Stack:\n%s",
            self.stalled_for,
            place.filename,
            place.lineno,
            place.name,
            "".join(traceback.format_list(stack[-12:])),
        )
