"""A worker's outcomes on their way to the store, written together."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from dispatch.engine.batches import Batches
from dispatch.entity import Reply
from dispatch.errors import DataRejected
from dispatch.ids import WorkerID
from dispatch.jobs.model import Finished, Transition
from dispatch.jobs.store import JobStore

Settled = Callable[[Transition, Finished], None]
Culprit = Callable[[Transition, DataRejected], Transition]
_STALE = Finished(Reply.STALE)


class Outbox:
    """Collects transitions and flushes them; `settled` hears of each once the store has answered."""

    def __init__(
        self,
        jobs: JobStore,
        worker_id: WorkerID,
        *,
        settled: Settled,
        culprit: Culprit,
        give_up: Callable[[], bool],
        call_timeout: float,
        logger: logging.Logger,
    ) -> None:
        self._settled = settled
        self._culprit = culprit
        self._logger = logger
        self._batches: Batches[Transition, Finished] = Batches(
            partial(jobs.finish, worker_id),
            what="outcomes",
            told=self._tell,
            refused=self._replace,
            give_up=give_up,
            call_timeout=call_timeout,
            logger=logger,
        )
        self.add = self._batches.add
        self.drained = self._batches.drained

    def _replace(self, transition: Transition, error: DataRejected) -> Transition | None:
        """What is written in the place of an outcome that the store refuses: the job fails."""
        replacement = self._culprit(transition, error)
        if replacement is not transition:
            return replacement
        self._logger.error("the store refuses to end %s: %s", transition.job_id, error)
        self._tell(transition, None)
        return None

    def _tell(self, transition: Transition, answer: Finished | None) -> None:
        try:
            self._settled(transition, answer or _STALE)
        except Exception:
            self._logger.exception("after the end of %s", transition.job_id)
