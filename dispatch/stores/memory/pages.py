"""Pages of a sorted list of ids, newest first: stable while rows come and go."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from dispatch.entity import LARGEST_PAGE, Page

K = TypeVar("K", bound=str)
V = TypeVar("V")
R = TypeVar("R")


def newest_first(
    order: Sequence[K],
    rows: Mapping[K, V],
    matches: Callable[[V], bool],
    copy: Callable[[V], R],
    *,
    limit: int,
    cursor: str | None,
) -> Page[R]:
    """At most `limit` (1 … LARGEST_PAGE) rows that match, from the newest id below `cursor` downwards."""
    limit = max(1, min(limit, LARGEST_PAGE))
    end = len(order) if cursor is None else bisect_left(order, cursor)
    found: list[R] = []
    last: K | None = None
    for at in range(end - 1, -1, -1):
        row = rows[order[at]]
        if not matches(row):
            continue
        if len(found) >= limit:
            return Page(found, last)
        found.append(copy(row))
        last = order[at]
    return Page(found)
