"""The edits of a fork: which recorded results a copy of a run starts with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from dispatch.errors import InvalidArguments
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
        values[name] = _set(current, path[len(name) + 1 :], value, path)
    try:
        return {name: to_json(value) for name, value in values.items()}
    except PydanticSerializationError as error:
        raise InvalidArguments(f"an edit cannot be stored as JSON: {error}") from None


def _set(document: Any, inside: str, value: Any, path: str) -> Any:
    if not inside:
        return value
    part, _, rest = inside.partition(".")
    if isinstance(document, dict):
        if rest and part not in document:
            raise InvalidArguments(f"{path!r} leads nowhere: there is no {part!r}")
        return {**document, part: _set(document.get(part), rest, value, path)}
    if isinstance(document, list) and part.isdecimal() and int(part) < len(document):
        index = int(part)
        return [*document[:index], _set(document[index], rest, value, path), *document[index + 1 :]]
    raise InvalidArguments(f"{path!r} leads nowhere: {part!r} is not in a {type(document).__name__}")
