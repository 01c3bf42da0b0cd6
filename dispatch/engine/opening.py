"""Opens an app whose store may be away when a worker starts: waits for it, and gives up on what time does not heal."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

from dispatch.errors import StoreAway, StoreTimeout

if TYPE_CHECKING:
    from dispatch.app import Dispatch

_LOG = logging.getLogger("dispatch.engine")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 10.0
"""Seconds between two attempts."""


async def open_patiently(app: Dispatch) -> None:
    """Opens the app, again and again while its store is away, with a warning for each attempt.

    Raises:
        StoreError: what does not pass by itself, such as a wrong password or a schema of another version.
    """
    failures = 0
    while True:
        try:
            await app.open()
            return
        except (StoreAway, StoreTimeout) as error:
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures, 10)) * (0.5 + random.random() / 2)
            _LOG.warning("the store is away, the next attempt is in %.1f s: %s", pause, error)
        failures += 1
        await asyncio.sleep(pause)
