"""What a worker's start asks of a store that may be away: it waits for it, and gives up on what time does not heal."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from dispatch.errors import StoreAway, StoreBusy, StoreTimeout

if TYPE_CHECKING:
    from dispatch.app import Dispatch

T = TypeVar("T")
_LOG = logging.getLogger("dispatch.engine")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 10.0
"""Seconds between two attempts."""


async def open_patiently(app: Dispatch) -> None:
    """Opens the app, again and again while its store is away, with a warning for each attempt.

    Raises:
        StoreError: what does not pass by itself, such as a wrong password or a schema of another version.
    """
    await patiently(app.open)


async def patiently(act: Callable[[], Awaitable[T]], *, logger: logging.Logger = _LOG) -> T:
    """Does what may be done twice, again and again while the store is away; raises what does not pass by itself."""
    failures = 0
    while True:
        try:
            return await act()
        except (StoreAway, StoreBusy, StoreTimeout) as error:
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures, 10)) * (0.5 + random.random() / 2)
            logger.warning("the store is away, the next attempt is in %.1f s: %s", pause, error)
        failures += 1
        await asyncio.sleep(pause)
