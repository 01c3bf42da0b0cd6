"""What goes wrong with a file, on real files: each is told as what it is, and what to do."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dispatch.errors import (
    DataRejected,
    SchemaMismatch,
    StoreBusy,
    StoreCorrupt,
    StoreFull,
    StoreReadOnly,
    StoreUnreachable,
)
from dispatch.ids import JobID
from dispatch.jobs.model import CountOptions, JobState, NewJob
from dispatch.stores.sqlite import SQLiteStore
from dispatch.stores.sqlite_errors import store_error
from dispatch.stores.sqlite_gate import Gate
from dispatch.stores.sqlite_schema import migrations, split


def new(payload: bytes = b"{}") -> NewJob:
    return NewJob(JobID.new(), "work", payload)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "jobs.db")


@pytest.fixture
async def store(path: str) -> AsyncIterator[SQLiteStore]:
    made = SQLiteStore(path, busy_timeout=0.2)
    await made.open()
    yield made
    await made.close()


async def pending(store: SQLiteStore) -> int:
    return (await store.jobs.count(CountOptions()))[JobState.PENDING]


async def test_a_lock_of_a_program_without_a_gate_is_busy(store: SQLiteStore, path: str) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy, match=r"jobs\.db: another connection .* busy_timeout"):
        await store.jobs.enqueue([new()])
    assert await pending(store) == 0
    other.execute("ROLLBACK")
    other.close()
    assert (await store.jobs.enqueue([new()]))[0].created


async def test_a_gate_that_stays_shut_is_busy(store: SQLiteStore, path: str) -> None:
    gate = Gate(os.path.realpath(path), timeout=1)
    gate.acquire()
    with pytest.raises(StoreBusy, match=r"held the write gate for 0\.2 s"):
        await store.jobs.enqueue([new()])
    gate.release()
    assert (await store.jobs.enqueue([new()]))[0].created
    gate.close()


async def test_a_write_waits_for_the_gate_as_long_as_it_may(path: str) -> None:
    store = SQLiteStore(path, busy_timeout=20)
    await store.open()
    gate = Gate(os.path.realpath(path), timeout=1)
    gate.acquire()
    write = asyncio.create_task(store.jobs.enqueue([new()]))
    await asyncio.wait([write], timeout=0.05)
    assert not write.done()
    gate.release()
    assert (await write)[0].created
    gate.close()
    await store.close()


async def test_a_file_that_cannot_be_written_is_read_only(store: SQLiteStore) -> None:
    await store.jobs.enqueue([new()])
    await store._executor._writer.run(lambda raw: raw.execute("PRAGMA query_only = 1"))
    with pytest.raises(StoreReadOnly, match="owner and mode"):
        await store.jobs.enqueue([new()])
    assert await pending(store) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write every file")
async def test_a_file_without_the_write_bit_is_read_only(path: str) -> None:
    store = SQLiteStore(path)
    await store.open()
    await store.close()
    Path(path).chmod(0o400)
    with pytest.raises(StoreReadOnly):
        await store.open()
        await store.jobs.enqueue([new()])
    await store.close()


async def test_a_full_disk_refuses_and_keeps_what_was_there(store: SQLiteStore) -> None:
    await store.jobs.enqueue([new()])
    pages = await store._executor._writer.run(lambda raw: raw.execute("PRAGMA page_count").fetchone()[0])
    await store._executor._writer.run(lambda raw: raw.execute(f"PRAGMA max_page_count = {pages + 5}"))
    with pytest.raises(StoreFull, match="Free space on its disk"):
        await store.jobs.enqueue([new(b"x" * 100_000)])
    assert await pending(store) == 1
    await store._executor._writer.run(lambda raw: raw.execute("PRAGMA max_page_count = 100000"))
    assert (await store.jobs.enqueue([new(b"x" * 100_000)]))[0].created


async def test_a_file_that_may_not_grow_is_told_with_what_to_look_at(store: SQLiteStore) -> None:
    """The limit stands for a quota, too: for SQLite both are a failure of the disk, not a full one."""
    await store.jobs.enqueue([new()])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StoreUnreachable, match="room on it and within the quota, whether files may grow"):
            await store.jobs.enqueue([new(b"x" * 1_000_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (await store.jobs.enqueue([new()]))[0].created
    assert await pending(store) == 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG], ids=errno.errorcode.get)
def test_a_file_beside_the_store_that_finds_no_room_is_told_as_such(number: int) -> None:
    told = store_error(OSError(number, os.strerror(number)), "jobs.db")
    assert isinstance(told, StoreFull) and "Free space on its disk" in str(told)


async def test_a_value_that_sqlite_cannot_hold_is_rejected(store: SQLiteStore) -> None:
    for bad in (NewJob(JobID.new(), "work", b"{}", priority=1 << 70), NewJob(JobID.new(), "\ud800", b"{}")):
        with pytest.raises(DataRejected, match="nothing of that write was stored"):
            await store.jobs.enqueue([new(), bad])
    assert await pending(store) == 0


async def test_a_file_that_is_no_database_is_corrupt(path: str) -> None:
    Path(path).write_bytes(b"this is a text file, and a long one at that. " * 200)
    with pytest.raises(StoreCorrupt, match="Restore a backup"):
        await SQLiteStore(path).open()


async def test_a_damaged_page_is_corrupt(path: str) -> None:
    store = SQLiteStore(path)
    await store.open()
    await store.jobs.enqueue([new(b"x" * 500) for _ in range(200)])
    await store.close()
    with Path(path).open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        for page in range(1, size // 4096):
            file.seek(page * 4096)
            file.write(b"\xee" * 4096)
    with pytest.raises(StoreCorrupt):
        await store.open()
        await store.jobs.claim("wkr_x", queues={"default": 1}, names=["work"], limit=1, lease=1)  # type: ignore[arg-type]
    await store.close()


async def test_a_database_of_another_program_is_left_alone(path: str) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE users (name TEXT)")
    other.commit()
    other.close()
    before = Path(path).read_bytes()
    with pytest.raises(StoreCorrupt, match="is not a Dispatch store"):
        await SQLiteStore(path).open()
    assert Path(path).read_bytes() == before


async def test_a_missing_directory_is_named_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachable, match=r"directory .*/missing does not exist; create it"):
        await SQLiteStore(tmp_path / "missing" / "jobs.db").open()
    assert not (tmp_path / "missing").exists()
    with pytest.raises(StoreUnreachable, match="is a directory"):
        await SQLiteStore(tmp_path).open()


async def test_never_leaves_the_schema_to_the_operator(path: str) -> None:
    store = SQLiteStore(path, migrate="never")
    await store.open()
    assert (await store.schema()).current == 0
    with pytest.raises(SchemaMismatch, match="dispatch store migrate"):
        await store.jobs.enqueue([new()])
    with pytest.raises(SchemaMismatch, match="dispatch store migrate"):
        await store.jobs.count(CountOptions())
    assert await store.migrate() == [name for _, name, _ in migrations()]
    assert await store.migrate() == []
    assert (await store.jobs.enqueue([new()]))[0].created
    assert (await store.schema()).pending == ()
    await store.close()


async def test_a_newer_schema_is_refused(store: SQLiteStore, path: str) -> None:
    await store.close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(SchemaMismatch, match="upgrade dispatch-tasks"):
        await store.open()


async def test_a_migration_that_fails_leaves_the_schema_as_it_was(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = migrations()
    broken = [*known, (len(known) + 1, "9999_broken", "CREATE TABLE extra (x);\nCREATE TABLE jobs (y);\n")]
    monkeypatch.setattr("dispatch.stores.sqlite_schema.migrations", lambda: broken)
    store = SQLiteStore(path)
    with pytest.raises(StoreUnreachable, match="table jobs already exists"):
        await store.open()
    other = sqlite3.connect(path)
    assert other.execute("PRAGMA user_version").fetchone() == (len(known),)
    assert other.execute("SELECT count(*) FROM sqlite_master WHERE name = 'extra'").fetchone() == (0,)
    other.close()


def test_a_script_is_split_at_its_statements() -> None:
    assert [part.strip() for part in split("SELECT ';';\n-- a; comment\nSELECT 2;\n")] == [
        "SELECT ';';",
        "-- a; comment\nSELECT 2;",
    ]
    with pytest.raises(ValueError, match="inside a statement"):
        list(split("SELECT 1"))


def test_what_is_not_sqlites_is_passed_on() -> None:
    assert store_error(ZeroDivisionError(), "x") is None
    assert isinstance(store_error(OSError("gone"), "x"), StoreUnreachable)


@pytest.mark.parametrize("edit", ["state = 'bogus'", f"run_at = {2**62}", "created_at = 'today'"])
async def test_a_row_that_holds_no_job_is_named(store: SQLiteStore, path: str, edit: str) -> None:
    odd = new()
    await store.jobs.enqueue([odd])
    with sqlite3.connect(path) as other:
        other.execute(f"UPDATE jobs SET {edit}")
    other.close()
    with pytest.raises(StoreCorrupt, match=f"the row of {odd.id} holds what no job can hold .*repair that row"):
        await store.jobs.get(odd.id)
