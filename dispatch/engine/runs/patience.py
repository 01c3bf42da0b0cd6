"""Holds a quiet run's slot while its body awaits something that is no verb, for a while."""

from __future__ import annotations

import asyncio
from typing import Literal

from dispatch.engine.runs.stage import Stage

LIMIT = 30.0
"""Seconds in all that a body's raw awaits keep its run from parking."""
AGAIN = 60.0
"""Seconds until a run wakes again that was parked in spite of one."""
_LOOK = 1.0
_TURN = 0.05


class Patience:
    """What is left of it for one activation."""

    def __init__(self, limit: float = LIMIT) -> None:
        self._left = limit

    async def hold(self, stage: Stage, until: float | None) -> Literal["changed", "waited"] | None:
        """Waits for a raw await of the body, at most `until` seconds; None: there is none, or patience is over.

        "waited": it goes on, and who waits may look whether there is something new.
        """
        raw = stage.raw() if self._left > 0 else []
        if not raw:
            return None
        stage.changed.clear()

        def done(_: object) -> None:
            stage.touch()

        futures = [one.future for one in raw if one.future is not None]
        for future in futures:
            future.add_done_callback(done)
        limit = min(self._left, _LOOK if futures else _TURN, _LOOK if until is None else max(until, 0.001))
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(limit):
                await stage.changed.wait()
        except TimeoutError:
            return "waited"
        finally:
            self._left -= loop.time() - began
            for future in futures:
                future.remove_done_callback(done)
        return "changed"
