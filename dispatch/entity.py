"""What all stored things share: the Entity base, a Page of them, the Reply that a transition gives, their bounds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from dispatch.ids import TypeID

T = TypeVar("T")
ID = TypeVar("ID", bound=TypeID)

PAGE_SIZE = 50
LARGEST_PAGE = 500
MOST = 1_000_000_000
"""No limit is larger: jobs at once, slots, tokens, or starts a second."""
_SHOWN = 80


@dataclass(slots=True)
class Entity(Generic[ID]):
    """A row with an identity; times are aware, in UTC, from the store's clock."""

    id: ID
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows of a list, and where the next ones start (None: that was the last page)."""

    items: list[T]
    next_cursor: str | None = None


class Reply(StrEnum):
    """How a store answers a transition."""

    APPLIED = "applied"
    """The row is now (or was already, by this very request) as asked."""
    STALE = "stale"
    """The worker and epoch that were named no longer hold the row; nothing changed."""
    CONFLICT = "conflict"
    """The row's state does not allow it; nothing changed."""
    MISSING = "missing"
    """There is no such row (in that scope)."""


def shown(value: object) -> str:
    """The value as an error repeats it, not longer than a line.

    >>> shown("x" * 1000)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…"
    """
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
