"""Lists of jobs on SQLite: what a filter by tags costs, and that it finds tags of any letters."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dispatch.clock import EPOCH
from dispatch.jobs.model import ListOptions
from dispatch.stores.sql import listing
from dispatch.stores.sql.plan import Rows
from dispatch.stores.sql.statements import load
from dispatch.stores.sqlite import SQLiteStore
from dispatch.stores.sqlite_executor import _STATEMENTS
from dispatch.testing.conformance.env import new

ROWS = 2_000


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "jobs.db")
    await store.open()
    yield store
    await store.close()


def steps(raw: sqlite3.Connection, options: ListOptions) -> int:
    """How many tens of SQLite's own instructions a list takes that walks by id."""
    ask = next(listing.list_jobs(options))
    assert isinstance(ask, Rows)
    statement = load(_STATEMENTS)[ask.name]
    found = 0

    def count() -> int:
        nonlocal found
        found += 1
        return 0

    params: Any = ask.params
    raw.set_progress_handler(count, 10)
    rows = raw.execute(statement.text, [params[name] for name in statement.names]).fetchall()
    raw.set_progress_handler(None, 10)
    assert rows == []
    return found


@pytest.mark.parametrize("tags", [(), ("nightly", "eu")], ids=["untagged", "with other tags"])
async def test_a_tag_that_no_job_has_is_looked_for_without_unpacking_the_tags_of_each(
    store: SQLiteStore, tags: tuple[str, ...]
) -> None:
    await store.jobs.enqueue([new(tags=tags) for _ in range(ROWS)])
    raw = sqlite3.connect(store._path)
    plain = steps(raw, ListOptions(created_before=EPOCH))
    assert steps(raw, ListOptions(tags=["absent"])) < 1.5 * plain
    raw.close()


@pytest.mark.parametrize("tag", ["eu", "größe", 'say "so"', "back\\slash", "a/b", "line\nbreak"])
async def test_a_job_is_found_by_a_tag_of_any_letters(store: SQLiteStore, tag: str) -> None:
    [found, _] = await store.jobs.enqueue([new(tags=("first", tag)), new(tags=(f"{tag}s", "first"))])
    for wanted in ([tag], [tag, "first"], ["first", tag]):
        page = await store.jobs.list(ListOptions(tags=wanted))
        assert [job.id for job in page.items] == [found.id]


async def test_tags_may_be_given_in_any_collection(store: SQLiteStore) -> None:
    await store.jobs.enqueue([new(tags=("a",)), new(tags=("b",))])
    given: list[Any] = [{"a"}, frozenset("a"), {"a": 1}]
    for tags in given:
        assert len((await store.jobs.list(ListOptions(tags=tags))).items) == 1
