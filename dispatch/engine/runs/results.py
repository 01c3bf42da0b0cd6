"""How the result of a step becomes JSON and comes back: by the return annotation of its function, if it has one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from dispatch.calls import Signature
from dispatch.errors import InvalidDefinition
from dispatch.jobs.base import Definition


def _anything() -> Any: ...


_ANY = Signature(_anything, name="the step")


def codec(function: Callable[..., Any]) -> Signature:
    """What writes and reads the function's results."""
    if isinstance(function, Definition):
        return function.signature
    plain: Any = function
    while isinstance(plain, functools.partial):
        plain = plain.func
    plain = inspect.unwrap(getattr(plain, "__func__", plain))
    if "return" not in getattr(plain, "__annotations__", ()):
        return _ANY
    return _annotated(plain)


@functools.lru_cache(maxsize=4096)
def _annotated(function: Callable[..., Any]) -> Signature:
    try:
        signature = Signature(function, name=getattr(function, "__name__", "a step"))
        signature.load_result(b"null")
    except (InvalidDefinition, ValueError, TypeError):
        return _ANY  # an annotation that cannot be evaluated says nothing
    return signature
