"""What a burst leaves behind: due jobs in its queues whose names its worker does not know."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatch.clock import utc_now
from dispatch.jobs.model import JobState, ListOptions

if TYPE_CHECKING:
    from dispatch import Dispatch

_PAGE, _PAGES = 500, 20


@dataclass(frozen=True, slots=True)
class Unserved:
    """Due jobs that nobody of this burst could run."""

    count: int
    names: list[str]
    complete: bool
    """False when the queues hold so many waiting jobs that only the newest 10,000 were looked at."""


async def due_but_unknown(app: Dispatch, queues: Collection[str], known: Collection[str]) -> Unserved:
    """Looks through the waiting jobs of these queues."""
    count, names, cursor, now = 0, set[str](), None, utc_now()
    for _ in range(_PAGES):
        page = await app.store.jobs.list(
            ListOptions(states=(JobState.PENDING, JobState.RETRYING), queues=tuple(queues), limit=_PAGE, cursor=cursor)
        )
        strange = [job.name for job in page.items if job.name not in known and job.run_at <= now]
        count, cursor = count + len(strange), page.next_cursor
        names.update(strange)
        if cursor is None:
            break
    return Unserved(count, sorted(names), complete=cursor is None)
