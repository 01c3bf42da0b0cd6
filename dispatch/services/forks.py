"""The journals of two runs beside each other: what a fork starts with, and where two runs differ."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from dispatch.errors import InvalidArguments
from dispatch.services.places import missing, with_value
from dispatch.services.recorded import end_of
from dispatch.workflows.model import Checkpoint, Run
from dispatch.workflows.names import step_of_failure


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a fork begins with."""

    before: str
    place: str
    """The checkpoint that the copies end before: that step's own, or, where the step ended the run, what tells so."""
    copied: Mapping[str, Checkpoint]


def inherited(run: Run, checkpoints: Sequence[Checkpoint], before: str) -> Inherited:
    """What a fork of the run takes over that goes on with the step `before`.

    Raises InvalidArguments: the run has neither recorded that step nor failed in it.
    """
    journal = sorted(checkpoints, key=lambda c: c.position)
    places = {c.name: c for c in journal if step_of_failure(c.name) is None}
    if (end := end_of(run, journal)) is not None:
        step, found = end
        places.setdefault(step, found)
    if before in places:
        place = places[before]
        return Inherited(before, place.name, {c.name: c for c in journal if c.position < place.position})
    near = difflib.get_close_matches(before, places, 1)
    hint = f"did you mean {near[0]!r}?" if near else "`dispatch workflow timeline` shows what it has"
    raise InvalidArguments(f"{run.id} has recorded no {before!r}; {hint}")


def edited(start: Inherited, edits: Mapping[str, Any], *, force: bool = False) -> dict[str, bytes]:
    """The new data of the checkpoints that are edited, by name.

    Args:
        edits: `"charge"` or `"charge.amount"` (a path into the step's result, list indexes as numbers) to new values.
        force: whether an edit may add a field that the result does not have.

    Raises InvalidArguments: an edit names no copied step, its path leads nowhere or to a field that is not there.
    """
    copied, before = start.copied, start.before
    values: dict[str, Any] = {}
    slips: list[str] = []
    for path, value in edits.items():
        name = next((n for n in sorted(copied, key=len, reverse=True) if path == n or path.startswith(f"{n}.")), None)
        if name is None:
            known = ", ".join(n for n, c in copied.items() if c.kind == "step") or "none"
            raise InvalidArguments(f"{path!r} names no step recorded before {before!r}; there are: {known}")
        if copied[name].kind != "step":
            raise InvalidArguments(f"{name!r} is a {copied[name].kind}; only the results of steps can be edited")
        current = values[name] if name in values else from_json(copied[name].data)
        inside = path[len(name) + 1 :]
        if inside and (told := missing(current, inside, None)):
            slips.append(f"step {name!r}: {told}")
        values[name] = with_value(current, inside, value, path)
    if slips and not force:
        raise InvalidArguments(
            f"{' '.join(slips)} With force (--force on the command line) fields that are not there are added"
        )
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
