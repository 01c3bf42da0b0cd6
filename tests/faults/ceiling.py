"""A disk that is full while a file exists, without a disk: SQLite is told to allocate no further page."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dispatch.store import Store

_LOOK = 0.02
_NO_LIMIT = 1 << 30


async def obey(flag: Path, stores: Sequence[Store]) -> None:
    """Sets the limit of every writer to what the flag says, again and again."""
    seen: dict[int, bool] = {}
    while True:
        full = flag.exists()
        for store in stores:
            if seen.get(id(store), False) != full and await _limit(store, 1 if full else _NO_LIMIT):
                seen[id(store)] = full
        await asyncio.sleep(_LOOK)


async def _limit(store: Any, pages: int) -> bool:
    """`max_page_count` belongs to a connection and cannot fall below the present size, which is what "full" means."""

    def set_limit(raw: sqlite3.Connection) -> None:
        raw.execute(f"PRAGMA max_page_count = {pages}").fetchall()

    writer = store._executor._writer
    if writer._aio is None:
        return False
    await writer.run(set_limit)
    return True
