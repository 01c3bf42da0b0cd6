"""A store whose file was taken away says so, instead of acknowledging what nobody will ever see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dispatch.errors import StoreUnreachable
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import NewJob
from dispatch.stores.sqlite import SQLiteStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    made = SQLiteStore(tmp_path / "jobs.db")
    await made.open()
    yield made
    await made.close()


def new() -> NewJob:
    return NewJob(JobID.new(), "work", b"{}")


@pytest.mark.parametrize("fate", ["deleted", "moved", "replaced"])
async def test_a_file_that_is_not_there_any_more_takes_and_gives_nothing(
    store: SQLiteStore, tmp_path: Path, fate: str
) -> None:
    file = tmp_path / "jobs.db"
    await store.jobs.enqueue([job := new()])
    if fate == "deleted":
        file.unlink()
    elif fate == "moved":
        file.rename(tmp_path / "elsewhere.db")
    else:
        (tmp_path / "new.db").touch()
        (tmp_path / "new.db").rename(file)
    with pytest.raises(StoreUnreachable, match="moved, deleted or replaced"):
        await store.jobs.enqueue([new()])
    with pytest.raises(StoreUnreachable, match="moved, deleted or replaced"):
        await store.jobs.claim(WorkerID.new(), queues={"default": 1}, names=["work"], limit=1, lease=9)
    with pytest.raises(StoreUnreachable, match="moved, deleted or replaced"):
        await store.jobs.get(job.id)
    with pytest.raises(StoreUnreachable, match="moved, deleted or replaced"):
        await store.ping()


async def test_a_file_that_is_put_back_serves_again(store: SQLiteStore, tmp_path: Path) -> None:
    file = tmp_path / "jobs.db"
    file.rename(tmp_path / "elsewhere.db")
    with pytest.raises(StoreUnreachable):
        await store.jobs.enqueue([new()])
    (tmp_path / "elsewhere.db").rename(file)
    assert (await store.jobs.enqueue([new()]))[0].created


async def test_the_gate_may_be_deleted_at_any_time(store: SQLiteStore, tmp_path: Path) -> None:
    for suffix in (".gate", ".gate.turn", ".gate.beat"):
        (tmp_path / f"jobs.db{suffix}").unlink()
    other = SQLiteStore(tmp_path / "jobs.db")
    await other.open()
    for _ in range(20):
        assert (await store.jobs.enqueue([new()]))[0].created
        assert (await other.jobs.enqueue([new()]))[0].created
    await other.close()
