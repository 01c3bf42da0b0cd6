"""The verbs that take back: intents, and the undos that completed steps have left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dispatch.engine.runs.ledger import Ledger
from dispatch.entity import Reply
from dispatch.workflows import documents
from dispatch.workflows.model import UNDO_INHERITED, Checkpoint, NewCheckpoint
from dispatch.workflows.names import undo_of
from dispatch.workflows.steps import StepSpec, Undo


@dataclass(frozen=True, slots=True)
class PendingUndo:
    """An undo that a completed step, or an intent, has left."""

    position: int
    name: str
    undo: Undo
    args: tuple[Any, ...]


class Undos(Ledger):
    """`on_failure`, `run_compensations`, and what the end of a failed run is made of."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.undos: dict[str, PendingUndo] = {}
        self._began = self.run.compensated

    async def intend(self, name: str, undo: Undo) -> None:
        await self.enter()
        chosen = self.journal.use(name, "on_failure")
        found = self.find(chosen, "on_failure", "value")
        if found is None:
            await self.stop_if_replaying(chosen)
            new = NewCheckpoint(chosen, "value", documents.document(intent=True), started_at=self.now)
            found = await self.stage.act(self.recorded(new))
        self.read(found, "intent")
        self.remember(found, undo, ())

    async def compensate(self) -> None:
        await self.enter()
        for pending in self.pending_undos():
            await self.stop_if_replaying(undo_of(pending.name))
            await self.stage.act(self.take_back(pending))

    def remember(self, found: Checkpoint, undo: Undo | None, args: tuple[Any, ...]) -> None:
        """Keeps the undo of a completed step; what a fork has inherited is its own to take back only if it was told."""
        if undo is not None and (not found.inherited or self.run.metadata.get(UNDO_INHERITED)):
            self.undos[found.name] = PendingUndo(found.position, found.name, undo, args)

    def pending_undos(self) -> list[PendingUndo]:
        """What is to be taken back and has not been, newest first."""
        left = [undo for undo in self.undos.values() if undo_of(undo.name) not in self.journal.recorded]
        return sorted(left, key=lambda undo: -undo.position)

    async def take_back(self, pending: PendingUndo) -> Checkpoint:
        """Runs one undo and records that it has run; StepFailed when it fails."""
        await self.write_pending()
        if not self._began:
            reply = await self.means.writer.undoing(self.job.id, self.job.epoch)
            if reply is not Reply.APPLIED:
                self.lost()
            self._began = True
        name = undo_of(pending.name)
        undo = pending.undo
        spec = StepSpec(name, undo.function, (*pending.args, *undo.args), undo.kwargs)
        started, began = self.now, self.means.elapsed()
        with self.means.step_span(name, self.run_id):
            done = await self.means.steps.run(spec, self.job, self.key(name), keep=False)
        found = await self.recorded(NewCheckpoint(name, "undo", attempt=done.attempt, started_at=started))
        self.means.report.step_completed(self.run, name, self.means.elapsed() - began)
        return found
