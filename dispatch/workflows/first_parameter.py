"""Whether a function can be a workflow by its first parameter, which is given the WorkflowContext."""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable
from typing import Any, get_origin

from typing_extensions import is_protocol

_BY_POSITION = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)
_FORMS = ("typing", "typing_extensions", "types")
"""Modules whose classes say nothing by themselves: Any, Annotated, unions."""


class Context:
    """What a workflow's first parameter is given; WorkflowContext is the only kind. Here, so that a definition, which
    the verbs of a WorkflowContext know, can tell one."""

    __slots__ = ()


def takes_context(function: Callable[..., Any]) -> bool:
    """Whether there is a first parameter, and its annotation, if any, is not plainly another type."""
    first = next(iter(inspect.signature(function).parameters.values()), None)
    if first is None or first.kind not in _BY_POSITION:
        return False
    kind = _class_of(first.annotation, function)
    if kind is None or kind.__module__ in _FORMS or is_protocol(kind):
        return True
    return kind is object or issubclass(kind, Context)


def _class_of(annotation: Any, function: Callable[..., Any]) -> type | None:
    """The class that an annotation names, without its parameters; None: none, or one that is not known yet."""
    if annotation is inspect.Parameter.empty:
        return None
    if isinstance(annotation, str):
        name = annotation.partition("[")[0]
        known = getattr(inspect.unwrap(function), "__globals__", {})
        annotation = known.get(name, getattr(builtins, name, None))
    found = get_origin(annotation) or annotation
    return found if isinstance(found, type) else None
