"""What is removed once it is old, and after how long: the one list that the worker's pruner and people's prune obey."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from dispatch.services.audit import AuditService
from dispatch.store import Store

JOBS_AT_ONCE = 100
OTHERS_AT_ONCE = 50
"""Events and records may be large, and freeing a large value takes long."""
FEED_AT_ONCE = 500
_ALL = 2**62


@dataclass(frozen=True, slots=True)
class Retention:
    """Seconds for which things are kept after their end; None: for ever."""

    completed: float | None = 86400.0
    failed: float | None = 30 * 86400.0
    cancelled: float | None = 30 * 86400.0
    events: float | None = 7 * 86400.0
    ticks: float | None = 30 * 86400.0
    workers: float = 86400.0
    """Dead workers, after they were last seen."""


class Prune(Protocol):
    """Removes at most `limit` old things of one kind and answers how many; with `dry_run` it only counts them."""

    async def __call__(self, *, limit: int, dry_run: bool = False) -> int: ...


@dataclass(frozen=True, slots=True)
class Old:
    """One kind of things that grow old."""

    prune: Prune
    at_once: int
    """How many one short transaction removes."""


def old_things(store: Store, retention: Retention) -> dict[str, Old]:
    """Every kind by name, those that are kept for ever left out; a part of the store is touched when it is pruned."""
    found: dict[str, Old] = {}
    for outcome in ("completed", "failed", "cancelled"):
        age = getattr(retention, outcome)
        if age is not None:
            found[outcome] = Old(_jobs(store, outcome, age), JOBS_AT_ONCE)
    found["workers"] = Old(_older(lambda: store.cluster, retention.workers), OTHERS_AT_ONCE)
    if retention.events is not None:
        found["events"] = Old(_older(lambda: store.events, retention.events), OTHERS_AT_ONCE)
        found["feed"] = Old(_older(lambda: store.stream, retention.events), FEED_AT_ONCE)
    if retention.ticks is not None:
        found["ticks"] = Old(_older(lambda: store.crons, retention.ticks), OTHERS_AT_ONCE)
    found["records"] = Old(_outdated(store), OTHERS_AT_ONCE)
    return found


class RetentionService:
    """Look at and remove what is older than it has to be; workers do the same by and by."""

    def __init__(self, store: Store, retention: Retention, *, audit: AuditService | None = None) -> None:
        self._audit = audit or AuditService(store)
        self._kinds = old_things(store, retention)
        self.retention = retention

    async def count(self) -> Mapping[str, int]:
        """How many would be removed, by kind."""
        return {name: await old.prune(limit=_ALL, dry_run=True) for name, old in self._kinds.items()}

    async def prune(self, *, tick: Callable[[int], None] | None = None, reason: str = "") -> Mapping[str, int]:
        """Removes all that is old in small transactions, tells `tick` of each, answers how many, by kind."""
        removed = dict.fromkeys(self._kinds, 0)
        async with self._audit.act("store.prune", reason=reason) as act:
            for name, old in self._kinds.items():
                while deleted := await old.prune(limit=old.at_once):
                    removed[name] += deleted
                    act.settle((), count=sum(removed.values()))
                    if tick is not None:
                        tick(deleted)
        return removed


def _jobs(store: Store, outcome: str, age: float) -> Prune:
    """Prunes workflow runs of that outcome with all that is theirs, then jobs."""
    ages: dict[str, float | None] = {"completed": None, "failed": None, "cancelled": None, outcome: age}

    async def prune(*, limit: int, dry_run: bool = False) -> int:
        removed = 0
        for part in (store.workflows, store.jobs):
            removed += await part.prune(
                completed=ages["completed"],
                failed=ages["failed"],
                cancelled=ages["cancelled"],
                limit=limit - removed,
                dry_run=dry_run,
            )
        return removed

    return prune


class _Ages(Protocol):
    async def prune(self, *, older_than: float, limit: int, dry_run: bool) -> int: ...


def _older(part: Callable[[], _Ages], age: float) -> Prune:
    async def prune(*, limit: int, dry_run: bool = False) -> int:
        return await part().prune(older_than=age, limit=limit, dry_run=dry_run)

    return prune


def _outdated(store: Store) -> Prune:
    """Prunes records, which say themselves how long they are kept."""

    async def prune(*, limit: int, dry_run: bool = False) -> int:
        return await store.records.prune(limit=limit, dry_run=dry_run)

    return prune
