"""What every definition (job, workflow, cron) is: a named function that stays callable and knows where it stands."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

from dispatch.calls import Signature
from dispatch.errors import InvalidDefinition

NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


class Definition:
    """A decorated function under a name."""

    kind = "definition"
    own_parameters = 0
    """How many of the function's first parameters are given by Dispatch, not by the caller."""

    def __init__(self, function: Callable[..., Any], *, name: str | None = None) -> None:
        if not callable(function):
            raise InvalidDefinition(f"@{self.kind} decorates a function, not {function!r}")
        chosen = name if name is not None else getattr(function, "__name__", "")
        if not NAME.fullmatch(chosen):
            raise InvalidDefinition(
                f"{chosen!r} cannot be a {self.kind}'s name: 1 to 128 of letters, digits and _ . : - "
                "(a lambda or partial needs name=...)"
            )
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise InvalidDefinition(f"{chosen}: a generator function cannot be a {self.kind}; return a value instead")
        functools.update_wrapper(self, function)  # type: ignore[arg-type]  # first: its attributes must not win
        self.name: str = chosen
        self.function = function
        self.is_async = runs_async(function)
        try:
            self.signature = Signature(function, name=chosen, skip=self.own_parameters)
        except ValueError as error:
            raise InvalidDefinition(f"{chosen}: its arguments are not known ({error}); wrap it in a function") from None
        self.load_result = self.signature.load_result
        """Reads a stored result; all handles of a batch share this one."""

    @property
    def key(self) -> tuple[object, ...]:
        """What must be unique in a registry."""
        return (self.name,)

    @property
    def place(self) -> str:
        """Where the function stands, as `file:line`."""
        code = getattr(_plain(self.function), "__code__", None)
        return f"{code.co_filename}:{code.co_firstlineno}" if code else type(self.function).__module__

    @property
    def origin(self) -> tuple[str, str]:
        """File and qualified name: the same for a function that is imported or reloaded twice."""
        function = _plain(self.function)
        code = getattr(function, "__code__", None)
        return (code.co_filename if code else "", getattr(function, "__qualname__", repr(function)))

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name} at {self.place}>"


def runs_async(function: Callable[..., Any]) -> bool:
    """Whether calling it makes a coroutine: `async def`, or an object whose `__call__` is."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function inside wrappers, partials and callable objects."""
    inner = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inspect.unwrap(inner.func)
    return inner if inspect.isroutine(inner) else type(inner).__call__
