"""Prune: scripts of a bounded number of rows each, which pass over those that have to stay."""

from __future__ import annotations

from collections.abc import Mapping

from dispatch.stores.redis.client import RedisClient
from dispatch.stores.redis.rows import span


async def prune(
    client: RedisClient, script: str, ages: Mapping[str, float | None], *, limit: int, at_once: int, dry_run: bool
) -> int:
    """Removes (or counts) at most `limit` rows that ended longer ago than the age of their state allows.

    Args:
        script: "prune" for jobs, "prune_runs" for runs.
        ages: seconds by the code of a state; None: those stay.
    """
    looks = [(state, span(age)) for state, age in ages.items() if age is not None]
    passed = [0] * len(looks)
    removed = more = 0
    while looks and removed < limit:
        places = (part for look, skip in zip(looks, passed, strict=True) for part in (*look, skip))
        count, more, *passed = await client.run(script, int(dry_run), min(at_once, limit - removed), *places)
        removed += int(count)
        if not more:
            break
    return removed
