"""What a worker tells a store about itself: who it is, what it serves, and which cron entries its code has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from dispatch.cluster.model import NewWorker
from dispatch.crons.model import CronSpec
from dispatch.engine.scheduler import settle
from dispatch.store import Store


@dataclass(frozen=True, slots=True)
class Introduction:
    """Told at the start, and again whenever the store may have forgotten it."""

    worker: NewWorker
    crons: Mapping[str, CronSpec] = field(default_factory=dict)
    """By hash."""

    async def make(self, store: Store) -> None:
        """Registers the worker, announces its cron entries, and brings the store's in line with them at once: this
        worker may be gone before the leader looks."""
        await store.cluster.register(self.worker)
        if self.crons:
            await store.crons.announce(self.worker.id, self.crons)
            await settle(store)


def library_version() -> str:
    """The version of this library that the worker runs; "unknown" when it is not installed."""
    try:
        return version("dispatch-tasks")
    except PackageNotFoundError:
        return "unknown"
