"""The journals of two runs beside each other: what a fork starts with, and where two runs differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from dispatch.errors import InvalidArguments
from dispatch.services.places import with_value
from dispatch.workflows.model import Checkpoint


def edited(checkpoints: Sequence[Checkpoint], before: str, edits: Mapping[str, Any]) -> dict[str, bytes]:
    """The new data of the checkpoints that are edited, by name.

    Args:
        checkpoints: the run's journal.
        before: where the fork begins; only what was recorded before that is copied.
        edits: `"charge"` or `"charge.amount"` (a path into the step's result, list indexes as numbers) to new values.

    Raises InvalidArguments: an edit names no copied step, or its path leads nowhere.
    """
    copied: dict[str, Checkpoint] = {}
    for checkpoint in sorted(checkpoints, key=lambda c: c.position):
        if checkpoint.name == before:
            break
        copied[checkpoint.name] = checkpoint
    values: dict[str, Any] = {}
    for path, value in edits.items():
        name = next((n for n in sorted(copied, key=len, reverse=True) if path == n or path.startswith(f"{n}.")), None)
        if name is None:
            known = ", ".join(n for n, c in copied.items() if c.kind == "step") or "none"
            raise InvalidArguments(f"{path!r} names no step recorded before {before!r}; there are: {known}")
        if copied[name].kind != "step":
            raise InvalidArguments(f"{name!r} is a {copied[name].kind}; only the results of steps can be edited")
        current = values[name] if name in values else from_json(copied[name].data)
        values[name] = with_value(current, path[len(name) + 1 :], value, path)
    try:
        return {name: to_json(value) for name, value in values.items()}
    except PydanticSerializationError as error:
        raise InvalidArguments(f"an edit cannot be stored as JSON: {error}") from None


def differences(
    left: Sequence[Checkpoint], right: Sequence[Checkpoint]
) -> list[tuple[str, Checkpoint | None, Checkpoint | None]]:
    """The visits that only one of two runs has, or that have recorded other data, in the order of the first run."""
    ours, theirs = ({c.name: c for c in sorted(side, key=lambda c: c.position)} for side in (left, right))
    names = dict.fromkeys([*ours, *theirs])
    pairs = [(name, ours.get(name), theirs.get(name)) for name in names]
    return [(name, a, b) for name, a, b in pairs if a is None or b is None or (a.kind, a.data) != (b.kind, b.data)]
