"""The Conductor of one activation: every verb, answered from the journal where it is recorded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from dispatch.engine.runs.steps import Steps
from dispatch.engine.runs.waits import Waits
from dispatch.ids import new_uuid
from dispatch.workflows import documents
from dispatch.workflows.model import NewCheckpoint


class Performance(Steps, Waits):
    """All verbs together, and the values that are the same on every run of the body."""

    def value(self, name: str | None, verb: Literal["now", "random", "uuid"]) -> Any:
        self.stage.check()
        chosen = self.journal.use(name or verb, verb, default=name is None)
        found = self.find(chosen, verb, "value")
        if found is None:
            plain = self._fresh(verb)
            self.later(NewCheckpoint(chosen, "value", documents.document(**{verb: plain}), started_at=self.now))
        else:
            plain = self.read(found, verb)
        match verb:
            case "now":
                return datetime.fromisoformat(plain)
            case "uuid":
                return UUID(plain)
            case "random":
                return float(plain)

    def _fresh(self, verb: str) -> Any:
        match verb:
            case "now":
                return self.now.astimezone(UTC).isoformat()
            case "uuid":
                return str(new_uuid())
        return self.means.rng()
