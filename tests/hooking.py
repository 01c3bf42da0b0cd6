"""A plugin made of functions, for tests of what becomes of them."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from dispatch.hookspecs import hookimpl


def plugin(**functions: Callable[..., Any]) -> types.SimpleNamespace:
    """An object whose attributes are hook implementations."""
    return types.SimpleNamespace(**{name: hookimpl(function) for name, function in functions.items()})
