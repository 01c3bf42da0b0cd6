"""What JSON cannot hold, and which argument types may read back differently from what was written, so that the door
tries it first."""

from __future__ import annotations

import collections
import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

LONGEST_INTEGER = 4300
"""How many digits of an integer JSON readers accept."""
LONG_INTEGER = re.compile(rb"(?:^|[\[:,-])[0-9]{%d}" % (LONGEST_INTEGER + 1))
_PLAIN_KEYS = frozenset({"str", "any", "int"})


def may_change(schema: Any) -> bool:
    """Whether some type of a pydantic schema may fail to read what it wrote, or read something else.

    Those are: unions (text fits many types), the users' own validators and serializers, keys of dicts that are no
    text, computed fields, fields of dataclasses that their __init__ does not take, JSON in JSON. Iterators are left
    alone: looking at them uses them up.
    """
    marks = set(_marks(schema))
    return bool(marks) and "generator" not in marks


def same(given: Any, again: Any) -> bool:
    """Whether the worker gets what was given: equal, or another type of the union with the same text or items."""
    if given == again:
        return True
    if isinstance(given, bytes) or isinstance(again, bytes):
        return False
    if isinstance(given, dict) and isinstance(again, dict):
        return given.keys() == again.keys() and all(same(value, again[key]) for key, value in given.items())
    if isinstance(given, list | tuple) and isinstance(again, list | tuple):
        return len(given) == len(again) and all(map(same, given, again))
    if isinstance(given, str) or isinstance(again, str):
        return bool(to_jsonable_python(given, fallback=str) == to_jsonable_python(again, fallback=str))
    return False


def _marks(schema: Any) -> Iterator[str]:
    if isinstance(schema, list | tuple):
        for part in schema:
            yield from _marks(part)
    if not isinstance(schema, dict):
        return
    kind = schema.get("type")
    if isinstance(kind, str) and (kind in ("union", "json", "generator") or kind.startswith("function-")):
        yield kind
    if kind == "dict" and schema.get("keys_schema", {}).get("type", "any") not in _PLAIN_KEYS:
        yield "keys"
    if kind in ("model-fields", "dataclass-args") and schema.get("computed_fields"):
        yield "computed"
    if kind == "dataclass-field" and schema.get("init") is False:
        yield "init"
    for word, inner in schema.items():
        if word not in ("metadata", "default"):
            yield from _marks(inner)


def non_finite(value: Any, path: str = "") -> str | None:
    """Where `value` holds NaN or an infinity (a dotted path, '' for the value itself); None when nowhere."""
    if isinstance(value, float):
        return path if not math.isfinite(value) else None
    if isinstance(value, BaseModel):
        value = dict(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        items: Any = value.items()
    elif isinstance(value, list | tuple | set | frozenset | collections.deque):
        items = enumerate(value)
    else:
        return None
    for key, item in items:
        inside = f"{path}.{key}" if path else str(key)
        if isinstance(key, float) and not math.isfinite(key):
            return inside
        found = non_finite(item, inside)
        if found is not None:
            return found
    return None
