"""The tenant (app, org) that work belongs to: captured at enqueue, restored in the worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Scope(NamedTuple):
    """Who the work is for; empty strings mean "nobody in particular"."""

    app_id: str = ""
    org_id: str = ""

    def __bool__(self) -> bool:
        return bool(self.app_id or self.org_id)

    @property
    def tenant(self) -> str:
        """One string a tenant, used for lanes and limits; '' for the empty scope."""
        return f"{self.app_id}/{self.org_id}" if self else ""


NO_SCOPE = Scope()
_current: ContextVar[Scope] = ContextVar("dispatch_scope", default=NO_SCOPE)


def capture() -> Scope:
    """The scope of the code that is running now."""
    return _current.get()


def restore(scope: Scope) -> None:
    """Makes `scope` current for the rest of this task or thread."""
    _current.set(scope)


@contextmanager
def use_scope(app_id: str = "", org_id: str = "") -> Iterator[Scope]:
    """Makes a scope current inside a `with` block.

    >>> with use_scope("shop", "t-42"):
    ...     capture().tenant
    'shop/t-42'
    """
    token = _current.set(Scope(app_id, org_id))
    try:
        yield _current.get()
    finally:
        _current.reset(token)
