"""What is special about removing rows from a SQLite store: the index and its migration, the plan, large rows."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from dispatch.clock import ManualClock, micros
from dispatch.ids import JobID
from dispatch.jobs.model import CountOptions, NewJob
from dispatch.stores import sqlite_schema
from dispatch.stores.sql import prune
from dispatch.stores.sql.statements import load
from dispatch.stores.sqlite import SQLiteStore
from dispatch.stores.sqlite_executor import _STATEMENTS


async def cancelled(store: SQLiteStore, *payloads: bytes) -> list[JobID]:
    ids = [JobID.new() for _ in payloads]
    await store.jobs.enqueue([NewJob(i, "work", payload) for i, payload in zip(ids, payloads, strict=True)])
    for job_id in ids:
        await store.jobs.cancel(job_id)
    return ids


async def test_a_store_of_the_first_schema_is_migrated_with_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    path = tmp_path / "jobs.db"
    with monkeypatch.context() as past:
        only_first = sqlite_schema.migrations()[:1]
        past.setattr(sqlite_schema, "migrations", lambda: only_first)
        old = SQLiteStore(path, clock=clock)
        await old.open()
        assert (await old.schema()).current == 1
        await old.close()
    ended, waiting = [JobID.new(), JobID.new()], JobID.new()
    moment = micros(clock.now())
    with sqlite3.connect(path) as raw:
        raw.executemany(
            "INSERT INTO jobs (id, ready, state, queue, name, kind, lane, priority, run_at, created_at, updated_at, "
            "finished_at, app_id, org_id, payload) "
            "VALUES (?, ?, ?, 'default', 'work', 'job', '', 0, ?, ?, ?, ?, '', '', ?)",
            [
                *(
                    (i, 0, "cancelled", moment, moment, moment, moment, p)
                    for i, p in zip(ended, (b"1", b"2"), strict=True)
                ),
                (waiting, 1, "pending", moment, moment, moment, None, b"3"),
            ],
        )
    store = SQLiteStore(path, clock=clock)
    twin = SQLiteStore(path, clock=clock)
    await store.open()
    await twin.open()
    status = await store.schema()
    assert (status.current, status.pending) == (status.wanted, ())
    assert status.wanted >= 2
    found = [await store.jobs.get(job_id) for job_id in (*ended, waiting)]
    assert [job.payload for job in found if job] == [b"1", b"2", b"3"]
    clock.advance(1)
    assert await store.jobs.prune(completed=0.5, failed=0.5, cancelled=0.5, limit=9) == 2
    assert await twin.jobs.get(waiting) is not None
    await twin.close()
    await store.close()
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_a_prune_finds_its_rows_by_the_index_alone_and_sorts_nothing(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "jobs.db")
    await store.open()
    await store.close()
    raw = sqlite3.connect(tmp_path / "jobs.db")

    def plan(name: str) -> str:
        statement = load(_STATEMENTS)[name]
        rows = raw.execute(f"EXPLAIN QUERY PLAN {statement.text}", ["[1]"] * len(statement.names)).fetchall()
        return " / ".join(row[3] for row in rows)

    for name in ("ended_jobs", "count_ended_jobs"):
        assert "SEARCH jobs USING INDEX jobs_ended (state=? AND finished_at<?)" in plan(name)
        assert "SCAN jobs" not in plan(name)
        assert "TEMP B-TREE" not in plan(name)
    assert plan("forget_jobs").startswith("SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)")
    assert plan("forget_attempts").startswith("SEARCH attempts USING INDEX attempts_job (job_id=?)")
    raw.close()


async def test_a_batch_ends_early_when_its_rows_are_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "_AT_ONCE", 1000)
    clock = ManualClock()
    store = SQLiteStore(tmp_path / "jobs.db", clock=clock)
    await store.open()
    await cancelled(store, b"x" * 600, b"x" * 300, b"x" * 300, b"x" * 5000, b"x")
    clock.advance(1)
    rounds = [await store.jobs.prune(completed=None, failed=None, cancelled=0.5, limit=9) for _ in range(5)]
    assert rounds == [2, 1, 1, 1, 0]
    assert sum((await store.jobs.count(CountOptions())).values()) == 0
    await store.close()
