"""A run's journal as one activation sees it: what is recorded, which names the body has visited, what it caught."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dispatch.workflows.model import Checkpoint, CheckpointKind, ChildResult
from dispatch.workflows.names import MARK, check_name, repeated
from dispatch.workflows.signals import Mismatch


@dataclass(slots=True)
class Journal:
    """Recorded visits by name, and the names that this activation has used."""

    recorded: dict[str, Checkpoint] = field(default_factory=dict)
    children: dict[str, ChildResult] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, checkpoints: Iterable[Checkpoint], children: Mapping[str, ChildResult]) -> Journal:
        """The journal of what was loaded."""
        return cls({checkpoint.name: checkpoint for checkpoint in checkpoints}, dict(children))

    def use(self, name: object, verb: str, *, default: bool = False) -> str:
        """Takes a name for this activation; StepMisused when it is none, DuplicateStep when it is taken."""
        chosen = check_name(name, verb)
        if chosen in self._used:
            raise repeated(chosen, verb, default=default)
        self._used.add(chosen)
        return chosen

    def find(self, name: str, verb: str, *kinds: CheckpointKind) -> Checkpoint | None:
        """What is recorded under the name; Mismatch when that is of no such kind."""
        checkpoint = self.recorded.get(name)
        if checkpoint is not None and checkpoint.kind not in kinds:
            raise Mismatch(f"{name!r} is recorded as {checkpoint.kind}, but the code has a {verb} of that name")
        return checkpoint

    def add(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Takes up what has been recorded."""
        for checkpoint in checkpoints:
            self.recorded[checkpoint.name] = checkpoint

    def renew(self, checkpoints: Iterable[Checkpoint], children: Mapping[str, ChildResult]) -> None:
        """Takes up what was loaded anew; nothing recorded ever changes, so it only grows."""
        self.add(checkpoints)
        self.children.update(children)

    @property
    def unvisited(self) -> list[str]:
        """The names recorded that the body has not met, in the order of the journal."""
        left = [c for c in self.recorded.values() if MARK not in c.name and c.name not in self._used]
        return [c.name for c in sorted(left, key=lambda c: c.position)]
