"""Places in JSON documents, `customer.email`: another value at one, and whether it is there at all."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from dispatch.errors import InvalidArguments

_DIGITS = 10
"""No list has an index of so many; Python refuses to read one of thousands."""
_TOLD = 12
"""So many names of fields are told."""


def with_value(document: Any, inside: str, value: Any, path: str) -> Any:
    """A copy of a JSON document with another value at a place inside; InvalidArguments where `path` leads nowhere."""
    if not inside:
        return value
    part, _, rest = inside.partition(".")
    if isinstance(document, dict):
        if rest and part not in document:
            raise InvalidArguments(f"{path!r} leads nowhere: there is no {part!r}")
        return {**document, part: with_value(document.get(part), rest, value, path)}
    if isinstance(document, list) and part.isdecimal() and len(part) < _DIGITS and int(part) < len(document):
        index = int(part)
        return [*document[:index], with_value(document[index], rest, value, path), *document[index + 1 :]]
    raise InvalidArguments(f"{path!r} leads nowhere: {part!r} is not in a {type(document).__name__}")


def missing(document: Any, path: str, schema: dict[str, Any] | None) -> str:
    """What is to be said of a path whose last part neither the document has nor its schema names: most likely a slip.

    "" for one that is there, for one that leads nowhere at all, which `with_value` refuses, and where the schema leaves
    the names to the caller, unless it names one that is near.

    >>> missing({"order": {"email": "a@b.c"}}, "order.emial", None)
    "'order.emial' is not there; did you mean 'order.email'?"
    """
    above, _, last = path.rpartition(".")
    steps = above.split(".") if above else []
    for step in steps:
        document = document.get(step) if isinstance(document, dict) else _item(document, step)
    if not isinstance(document, dict):
        return ""
    parts = list(_parts(schema or {}, steps))
    named = [name for part in parts for name in part.get("properties", {})]
    known = list(dict.fromkeys([*document, *named]))
    free = any(part.get("additionalProperties", False) is not False for part in parts)
    near = difflib.get_close_matches(last, named if free else known, 1)
    if last in known or (free and not near):
        return ""
    if near:
        return f"{path!r} is not there; did you mean {'.'.join([*steps, near[0]])!r}?"
    names = ", ".join(known[:_TOLD]) + (", …" if len(known) > _TOLD else "")
    return f"{path!r} is not there: {above or 'it'} has {names or 'nothing'}."


def _parts(schema: dict[str, Any], path: list[str]) -> Iterator[dict[str, Any]]:
    """What a JSON Schema says of what may stand at a place."""
    parts = [schema]
    for step in path:
        parts = [found for part in parts for one in _meant(part, schema) for found in _inside(one, step)]
    for part in parts:
        yield from _meant(part, schema)


def _meant(part: Any, schema: dict[str, Any], deep: int = 8) -> Iterator[dict[str, Any]]:
    """What a part of a schema stands for: itself, what it refers to, what it is any or all of."""
    if not isinstance(part, dict) or not deep:
        return
    yield part
    referred = schema.get("$defs", {}).get(str(part.get("$ref", "")).rpartition("/")[2])
    for other in (referred, *part.get("anyOf", ()), *part.get("oneOf", ()), *part.get("allOf", ())):
        yield from _meant(other, schema, deep - 1)


def _inside(part: dict[str, Any], step: str) -> Iterator[Any]:
    yield part.get("properties", {}).get(step, part.get("additionalProperties"))
    if step.isdecimal():
        yield part.get("items")
        yield from part.get("prefixItems", ())


def _item(document: Any, part: str) -> Any:
    if isinstance(document, list) and part.isdecimal() and len(part) < _DIGITS and int(part) < len(document):
        return document[int(part)]
    return None
