"""Campaigns for leadership, and knows at every moment whether this worker may still act as the leader."""

from __future__ import annotations

import logging
from collections.abc import Callable

from dispatch.clock import boot_seconds
from dispatch.cluster.elector import LeaderElector
from dispatch.engine.service import Service
from dispatch.entity import Reply
from dispatch.errors import LeadershipLost
from dispatch.ids import WorkerID
from dispatch.store import Store

CAMPAIGNS_A_LEASE = 5


class StoreElector:
    """The store's own election: one row, terms that grow."""

    def __init__(self, store: Store, *, lease: float) -> None:
        self._store = store
        self._lease = lease
        self._term: int | None = None

    async def campaign(self, worker_id: WorkerID) -> int | None:
        """Renews the running term, or tries to begin one; the term, or None when another worker leads.

        Who has lost a term lets others go first: it may have been told to resign.
        """
        cluster = self._store.cluster
        if self._term is not None:
            if await cluster.renew_leadership(worker_id, self._term, lease=self._lease) is Reply.APPLIED:
                return self._term
            self._term = None
            return None
        leadership = await cluster.acquire_leadership(worker_id, lease=self._lease)
        self._term = leadership.term if leadership.leader == worker_id else None
        return self._term

    async def resign(self, worker_id: WorkerID) -> None:
        """Ends the term, so that another worker can begin one at once."""
        term, self._term = self._term, None
        if term is not None:
            await self._store.cluster.resign(worker_id, term)


class Campaign(Service):
    """One round asks once; what was answered holds for a lease, counted from before the question."""

    name = "elector"

    def __init__(
        self,
        elector: LeaderElector,
        worker_id: WorkerID,
        *,
        lease: float,
        on_change: Callable[[int | None], None],
        on_death: Callable[[BaseException], None],
        logger: logging.Logger,
        clock: Callable[[], float] = boot_seconds,
    ) -> None:
        interval = lease / CAMPAIGNS_A_LEASE
        super().__init__(interval=interval, limit=lease / 2, logger=logger, on_death=on_death)
        self._elector = elector
        self._id = worker_id
        self._lease = lease
        self._on_change = on_change
        self._clock = clock
        self._until = float("-inf")
        self._term: int | None = None

    @property
    def term(self) -> int | None:
        """The term this worker leads in; None as soon as that is uncertain."""
        return self._term if self._clock() < self._until else None

    def require(self) -> int:
        """The term; LeadershipLost when this worker does not lead (any more)."""
        term = self.term
        if term is None:
            raise LeadershipLost(f"{self._id} does not lead; what only the leader may do is left to whoever does")
        return term

    async def run_once(self) -> float | None:
        """Asks for the term to begin or to go on."""
        asked = self._clock()
        before = self.term
        self._term = await self._elector.campaign(self._id)
        if self._term is not None:
            self._until = asked + self._lease * (1 - 1 / CAMPAIGNS_A_LEASE)
        if self.term != before:
            self._on_change(self.term)
        return None

    async def resign(self) -> None:
        """Gives leadership up, if held."""
        held, self._term = self._term, None
        if held is not None:
            await self._elector.resign(self._id)
            self._on_change(None)
