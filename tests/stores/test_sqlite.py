"""What is special about the SQLite store: its URL, its file, its statements, its connections, its wake-ups."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from dispatch.clock import ManualClock
from dispatch.errors import ConfigError, DispatchError, StoreUnreachable
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import CountOptions, JobState, NewJob
from dispatch.queues import QueueConfig
from dispatch.stores import open_store, schemes
from dispatch.stores.sql.plan import Do, Plan
from dispatch.stores.sql.statements import Statement, load
from dispatch.stores.sqlite import SQLiteStore
from dispatch.stores.sqlite_connection import on_thread

SQL = Path(__file__).parents[2] / "dispatch" / "stores" / "sql"


def new(**fields: Any) -> NewJob:
    return NewJob(**{"id": JobID.new(), "name": "work", "payload": b"{}", **fields})


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    made = SQLiteStore(tmp_path / "jobs.db", clock=ManualClock())
    await made.open()
    yield made
    await made.close()


def rows(store: SQLiteStore, sql: str) -> list[tuple[Any, ...]]:
    """Asks the file behind the store's back."""
    connection = sqlite3.connect(store.url.removeprefix("sqlite:///"), isolation_level=None)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


async def test_a_url_names_a_relative_or_an_absolute_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url, file in (
        ("sqlite:///one.db", tmp_path / "one.db"),
        (f"sqlite:///{tmp_path}/a%20b.db", tmp_path / "a b.db"),
    ):
        store = open_store(url)
        await store.open()
        await store.close()
        assert file.exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlit:///x.db", "did you mean sqlite://"),
        ("nonsense", "known are memory://, sqlite://"),
        ("sqlite://x.db", "sqlite:///jobs.db"),
        ("sqlite:///", "names no file"),
        ("memory://here", "write memory://"),
    ],
)
def test_a_wrong_url_is_told_the_right_ones(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        open_store(url)


def test_a_wrong_option_is_a_configuration_error() -> None:
    assert schemes()[:2] == ("memory", "sqlite")
    with pytest.raises(ConfigError, match="speed"):
        open_store("sqlite:///x.db", speed="high")
    with pytest.raises(ConfigError, match="FULL"):
        open_store("sqlite:///x.db", synchronous="OFF")
    with pytest.raises(ConfigError, match="never"):
        open_store("sqlite:///x.db", migrate="sometimes")


async def test_every_file_is_for_its_owner_only(store: SQLiteStore, tmp_path: Path) -> None:
    await store.jobs.enqueue([new()])
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert {"jobs.db", "jobs.db-wal", "jobs.db.gate", "jobs.db.gate.turn", "jobs.db.gate.beat"} <= modes.keys()
    assert set(modes.values()) == {0o600}


async def test_a_closed_store_says_so_and_opens_again(store: SQLiteStore) -> None:
    await store.jobs.enqueue([new()])
    await store.close()
    await store.close()
    with pytest.raises(StoreUnreachable, match="closed"):
        await store.jobs.enqueue([new()])
    await store.open()
    assert (await store.jobs.count(CountOptions()))[JobState.PENDING] == 1


async def test_the_file_is_durable_unless_a_claim_needs_not_be(store: SQLiteStore) -> None:
    async def synchronous() -> int:
        return await store._executor._writer.run(lambda raw: raw.execute("PRAGMA synchronous").fetchone()[0])

    await store.jobs.enqueue([new()])
    assert await synchronous() == 2
    await store.jobs.claim(WorkerID.new(), queues={"default": 1}, names=["work"], limit=1, lease=30)
    assert await synchronous() == 1
    await store.jobs.enqueue([new()])
    assert await synchronous() == 2
    assert rows(store, "PRAGMA journal_mode") == [("wal",)]


@pytest.mark.parametrize(
    ("stored", "seen"),
    [("CAST(x'ff00fe' AS TEXT)", b"\xff\x00\xfe"), ("'text'", b"text"), ("NULL", b""), ("x'00'", b"\x00")],
)
async def test_a_payload_that_somebody_edited_comes_out_as_bytes(store: SQLiteStore, stored: str, seen: bytes) -> None:
    job = new()
    await store.jobs.enqueue([job])
    rows(store, f"UPDATE jobs SET payload = {stored}, metadata = 'nonsense', tags = '7'")
    claimed = await store.jobs.claim(WorkerID.new(), queues={"default": 1}, names=["work"], limit=1, lease=30)
    assert [(j.id, j.payload, j.metadata, j.tags) for j in claimed.jobs] == [(job.id, seen, {}, ())]


async def test_an_idle_claim_writes_nothing(store: SQLiteStore) -> None:
    await store.queues.configure(QueueConfig("limited", max_concurrency=0))
    await store.jobs.enqueue([new(delay=60.0), new(name="unknown"), new(queue="limited")])
    wal = Path(str(store._path) + "-wal")
    before, version = wal.stat().st_mtime_ns, store.wakeups.version
    for _ in range(20):
        claimed = await store.jobs.claim(
            WorkerID.new(), queues={"default": 5, "limited": 5}, names=["work"], limit=5, lease=30
        )
        assert not claimed.jobs
        assert await store.jobs.steal(limit=5, max_crashes=3, delays=[1.0]) == []
    assert wal.stat().st_mtime_ns == before
    assert store.wakeups.version == version


# -- statements ---------------------------------------------------------------------------------------------------


def statements() -> dict[str, Statement]:
    return load(SQL / "sqlite")


async def test_every_statement_fits_the_schema(store: SQLiteStore) -> None:
    await store.close()
    connection = sqlite3.connect(store._path)
    for statement in statements().values():
        connection.execute("EXPLAIN " + statement.text, [None] * len(statement.names)).fetchall()
    connection.close()


def test_every_statement_is_used_and_every_used_one_exists() -> None:
    source = "\n".join(file.read_text() for file in [*SQL.glob("*.py"), *SQL.parent.glob("sqlite*.py")])
    used = set(re.findall(r'"([a-z]\w+)"', source))
    assert {name for name in statements() if name not in used} == set()
    assert set(re.findall(r'(?:Do|Rows|Each|Many)\(\s*"(\w+)"', source)) <= statements().keys()


def test_every_statement_says_what_it_does() -> None:
    for file in (SQL / "sqlite").glob("*.sql"):
        blocks = re.findall(r"^-- name: (\w+)\n(.*)$", file.read_text(), re.MULTILINE)
        assert all(comment.startswith("-- ") and comment.endswith(".") for _, comment in blocks), file


async def test_the_claim_jumps_through_its_index(store: SQLiteStore) -> None:
    await store.close()
    connection = sqlite3.connect(store._path)
    for name, columns in {
        "due_jobs": "queue=? AND lane=? AND priority=? AND (run_at,id)>(?,?) AND run_at<?",
        "next_run_at": "queue=? AND lane=? AND priority=? AND run_at>?",
        "complete_jobs": "id=?",
        "start_jobs": "INTEGER PRIMARY KEY (rowid=?)",
    }.items():
        statement = statements()[name]
        plan = str(connection.execute("EXPLAIN QUERY PLAN " + statement.text, [1] * len(statement.names)).fetchall())
        assert "SEARCH jobs" in plan and "SCAN jobs" not in plan and columns in plan, f"{name}: {plan}"
        assert "TEMP B-TREE" not in plan
    connection.close()


# -- connections --------------------------------------------------------------------------------------------------


async def test_aiosqlite_still_runs_whole_functions_on_its_thread(tmp_path: Path) -> None:
    connection = await aiosqlite.connect(tmp_path / "x.db")
    try:
        name, kind = await on_thread(connection, lambda raw: (threading.current_thread(), type(raw)))
        assert name is connection._thread and name is not threading.main_thread()
        assert kind is sqlite3.Connection
    finally:
        await connection.close()


async def test_threads_of_a_forgotten_store_do_not_keep_the_program_alive(store: SQLiteStore) -> None:
    threads = [store._executor._writer._aio._thread, store._executor._reader._aio._thread]  # type: ignore[union-attr]
    assert all(thread.daemon for thread in threads)


async def test_a_cancelled_call_is_done_whole_or_not_at_all(store: SQLiteStore) -> None:
    for pause in (0, 1, 2, 3):
        (task,) = [asyncio.create_task(store.jobs.enqueue([new() for _ in range(200)]))]
        for _ in range(pause):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await store.jobs.enqueue([new(queue="after")]))[0].created
        total = (await store.jobs.count(CountOptions(queues=("default",))))[JobState.PENDING]
        assert total % 200 == 0


async def test_an_error_inside_a_plan_leaves_nothing_and_the_store_goes_on(store: SQLiteStore) -> None:
    def plan() -> Plan[None]:
        yield Do("free_slot", {"queue": "q", "holder": "h"})
        yield Do("pause_queue", {"queue": "q", "now": 1, "until": None, "by": "", "reason": "", "force": 0})
        raise LookupError("oh")

    with pytest.raises(LookupError, match="oh"):
        await store._executor.run(plan)
    assert (await store.queues.get("q")).pause is None
    await store.queues.pause("q")


async def test_a_connection_that_cannot_roll_back_is_thrown_away(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store._executor._writer._aio

    def broken(raw: sqlite3.Connection) -> None:
        if raw.in_transaction:
            raise sqlite3.OperationalError("disk I/O error")

    def plan() -> Plan[None]:
        yield Do("pause_queue", {"queue": "q", "now": 1, "until": None, "by": "", "reason": "", "force": 0})
        raise LookupError("oh")

    monkeypatch.setattr(store._executor, "_roll_back", broken)
    with pytest.raises(LookupError, match="oh"):
        await store._executor.run(plan)
    monkeypatch.undo()
    assert store._executor._writer._aio is not first
    assert (await store.queues.get("q")).pause is None
    assert (await store.jobs.enqueue([new()]))[0].created


async def test_reads_do_not_wait_for_a_long_write(store: SQLiteStore) -> None:
    begun, end = threading.Event(), threading.Event()

    def plan() -> Plan[None]:
        yield Do("pause_queue", {"queue": "q", "now": 1, "until": None, "by": "", "reason": "", "force": 0})
        begun.set()
        end.wait(10)

    write = asyncio.create_task(store._executor.run(plan))
    try:
        assert await asyncio.to_thread(begun.wait, 5)
        assert (await asyncio.wait_for(store.queues.get("q"), 2)).pause is None
    finally:
        end.set()
        await write
    assert (await store.queues.get("q")).pause is not None


# -- wake-ups -----------------------------------------------------------------------------------------------------


def pollers(store: SQLiteStore) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"dispatch-wakeups {store._path}"]


async def test_own_writes_wake_siblings_on_any_loop(store: SQLiteStore) -> None:
    sibling = store.sibling()
    woken = threading.Event()
    waiting = threading.Event()

    async def wait_elsewhere() -> None:
        await sibling.open()
        seen = sibling.wakeups.version
        asyncio.get_running_loop().call_later(0, waiting.set)
        if await sibling.wakeups.wait(seen, 10) > seen:
            woken.set()
        await sibling.close()

    thread = threading.Thread(target=asyncio.run, args=(wait_elsewhere(),))
    thread.start()
    assert await asyncio.to_thread(waiting.wait, 5)
    await store.jobs.enqueue([new()])
    assert await asyncio.to_thread(woken.wait, 5)
    thread.join()


async def test_nothing_polls_while_nobody_waits(store: SQLiteStore) -> None:
    assert not pollers(store)
    seen = store.wakeups.version
    wait = asyncio.create_task(store.wakeups.wait(seen, 30))
    await asyncio.sleep(0)
    assert len(pollers(store)) == 1
    await store.jobs.enqueue([new()])
    assert await wait > seen
    for thread in pollers(store):
        await asyncio.to_thread(thread.join, 10)
    assert not pollers(store)


async def test_a_wait_ends_at_its_timeout_and_when_the_store_closes(store: SQLiteStore) -> None:
    seen = store.wakeups.version
    assert await store.wakeups.wait(seen, 0.01) == seen
    assert await store.wakeups.wait(seen - 1, 10) == seen
    wait = asyncio.create_task(store.wakeups.wait(seen, 30))
    await asyncio.sleep(0)
    await store.close()
    await asyncio.wait_for(wait, 5)
    with pytest.raises(DispatchError):
        await store.ping()
