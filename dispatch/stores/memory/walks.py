"""Pages of documents in the order of their keys, from behind a cursor on."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from heapq import nsmallest
from typing import Any, TypeVar

from dispatch.entity import Page
from dispatch.stores.memory.runs import RunRow, Runs
from dispatch.transfer import Document

K = TypeVar("K", bound=str)


def ordered(order: list[K], document: Callable[[K], Document], after: str | None, limit: int) -> Page[Document]:
    """A page of what has a sorted list of its ids."""
    start = 0 if after is None else bisect_right(order, after)
    ids = order[start : start + limit]
    return Page([document(id_) for id_ in ids], str(ids[-1]) if ids else None)


def unordered(
    keys: Iterable[Any], document: Callable[[Any], Document], after: str | None, limit: int
) -> Page[Document]:
    """A page of what has none; a key of several parts makes a cursor of them all."""
    place = None if after is None else json.loads(after)
    least: Any = tuple(place) if isinstance(place, list) else place
    found = nsmallest(limit, (key for key in keys if least is None or key > least))
    return Page([document(key) for key in found], json.dumps(found[-1]) if found else None)


def by_run(
    runs: Runs,
    table: Callable[[RunRow], Mapping[Any, Any]],
    document: Callable[[Any], Document],
    after: str | None,
    limit: int,
) -> Page[Document]:
    """A page of what each run has a table of; a key is the run's id and the table's key."""
    first, behind = (None, None) if after is None else json.loads(after)
    found: list[Document] = []
    place: tuple[str, Any] | None = None
    for at in range(0 if first is None else bisect_left(runs.order, first), len(runs.order)):
        rows = table(runs.rows[runs.order[at]])
        for key in sorted(rows if runs.order[at] != first else (key for key in rows if key > behind)):
            found.append(document(rows[key]))
            place = (runs.order[at], key)
            if len(found) == limit:
                return Page(found, json.dumps(place))
    return Page(found, None if place is None else json.dumps(place))
