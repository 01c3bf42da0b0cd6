"""Whether a function can be a workflow by its first parameter, which is given the WorkflowContext."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from typing_extensions import is_protocol

_BY_POSITION = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)


class Context:
    """What a workflow's first parameter is given; WorkflowContext is the only kind. Here, so that a definition, which
    the verbs of a WorkflowContext know, can tell one."""

    __slots__ = ()


def takes_context(function: Callable[..., Any]) -> bool:
    """Whether there is a first parameter, and its annotation, if any, is not plainly another type."""
    first = next(iter(inspect.signature(function).parameters.values()), None)
    if first is None or first.kind not in _BY_POSITION:
        return False
    return first.annotation is inspect.Parameter.empty or _may_be_context(_evaluated(first.annotation, function))


def _may_be_context(hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(map(_may_be_context, get_args(hint)))
    kind = origin or hint
    if kind in (Any, object) or not isinstance(kind, type):
        return True
    return is_protocol(kind) or issubclass(kind, Context)


def _evaluated(annotation: Any, function: Callable[..., Any]) -> Any:
    """What an annotation means, without what Annotated adds; Any for one that cannot be told (yet)."""
    holder = SimpleNamespace(__annotations__={"first": annotation})
    try:
        return get_type_hints(holder, getattr(inspect.unwrap(function), "__globals__", {}))["first"]
    except Exception:  # an annotation may be anything
        return Any
