"""Damaged rows: somebody edited a waiting job's row, or the disk did, into what no job can hold. It is taken out of the
others' way as a dead letter, its payload as it was. Only looked for when a claim or a steal stumbled over one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from dispatch.errors import DataRejected, StoreCorrupt
from dispatch.ids import JobID
from dispatch.stores.sql import concurrency, unique
from dispatch.stores.sql.finish import bury
from dispatch.stores.sql.plan import Do, Executor, Plan, Rows
from dispatch.stores.sql.rows import names_text

T = TypeVar("T")
REASON = "row_damaged"
_AT_ONCE = 500
_STUMBLES = (StoreCorrupt, DataRejected, ArithmeticError, LookupError, TypeError, ValueError)
"""What a plan raises that reads a damaged row."""
_MESSAGE = (
    "a column of this row held what no job can hold, so that no claim could read it; what was unreadable is empty or "
    "zero now. Its payload is as it was: look at it, then replay or discard this"
)


async def around(executor: Executor, act: Callable[[], Awaitable[T]], mend: Callable[[], Plan[int]]) -> T:
    """What `act` answers; when it stumbles over damaged rows, those that `mend` finds are dealt with first."""
    while True:
        try:
            return await act()
        except _STUMBLES:
            if not await executor.run(mend):
                raise


def bury_waiting(queues: Collection[str], now: int) -> Plan[int]:
    """Makes dead letters of the damaged claimable rows of these queues; answers how many there were."""
    rows = yield Rows("damaged_waiting", {"queues": names_text(queues), "limit": _AT_ONCE})
    keys: set[str] = set()
    for seq, id_, unique_key, concurrency_key, kind in rows:
        yield Do("mend_job", {"seq": seq, "now": now})
        if kind == "workflow":
            yield Do("put_aside", {"seq": seq})
            continue
        yield Do("fail_damaged", {"seq": seq, "now": now, "message": _MESSAGE})
        yield from bury(JobID(id_), REASON, now)
        if isinstance(unique_key, str):
            yield from unique.end(unique_key, JobID(id_), now)
        if isinstance(concurrency_key, str):
            keys.add(concurrency_key)
    yield from concurrency.leave(keys, now)
    return len(rows)


def mend_running(now: int) -> Plan[int]:
    """Makes damaged running rows readable again; answers how many there were."""
    rows = yield Rows("damaged_running", {"limit": _AT_ONCE})
    for (seq,) in rows:
        yield Do("mend_job", {"seq": seq, "now": now})
    return len(rows)
