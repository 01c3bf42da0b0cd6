"""What is special about runs in a SQLite file: every look goes through an index, and a long life stays linear."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from dispatch.clock import ManualClock
from dispatch.stores.sql import workflow_changes
from dispatch.stores.sql.statements import load
from dispatch.stores.sqlite import SQLiteStore
from dispatch.stores.sqlite_executor import _STATEMENTS
from dispatch.testing.conformance import Env
from dispatch.testing.conformance.flows import begin, step

PLANS = {
    "runs_waiting": "waits_events_match (event=? AND key=? AND app_id=? AND org_id=?)",
    "oldest_broadcast": "events_channel (name=? AND key=? AND app_id=? AND org_id=? AND created_at>?)",
    "oldest_signal": "events_mail (run_id=? AND consumed=?)",
    "list_runs_in_state": "runs_listed (state=? AND id<?)",
    "list_child_runs": "runs_children (parent=? AND id<?)",
    "ended_runs": "runs_ended (state=? AND finished_at<?)",
    "open_child_jobs": "jobs_steps (run_id=?",
    "checkpoint_named": "checkpoints_name (run_id=? AND name=?)",
    "checkpoints_named": "checkpoints_name (run_id=? AND name=?)",
    "with_open_children": "runs_children (parent=?)",
    "journals": "sqlite_autoindex_checkpoints_1 (run_id=?)",
    "count_down": "PRIMARY KEY (run_id=? AND number=?)",
}


@pytest.fixture
async def raw(tmp_path: Path) -> sqlite3.Connection:
    store = SQLiteStore(tmp_path / "runs.db")
    await store.open()
    await store.close()
    return sqlite3.connect(tmp_path / "runs.db")


@pytest.mark.parametrize("name", PLANS)
async def test_a_look_at_runs_goes_through_its_index_and_sorts_nothing(raw: sqlite3.Connection, name: str) -> None:
    statement = load(_STATEMENTS)[name]
    params = ["[1]" if parameter in ("ids", "names", "steps", "pairs") else "1" for parameter in statement.names]
    rows = raw.execute(f"EXPLAIN QUERY PLAN {statement.text}", params).fetchall()
    raw.close()
    plan = " / ".join(row[3] for row in rows)
    assert PLANS[name] in plan, plan
    assert not [row for row in rows if row[3].startswith("SCAN") and "json_each" not in row[3]], plan
    assert "ORDER BY" not in plan or name == "open_child_jobs", plan


async def test_a_prune_ends_early_when_journals_are_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow_changes, "_ROWS_AT_ONCE", 10)
    clock = ManualClock()
    env = Env(SQLiteStore(tmp_path / "runs.db", clock=clock), clock)
    await env.store.open()
    for count in (4, 4, 4, 30, 1):
        held = await begin(env)
        await held.record(*(step(f"s{number}") for number in range(count)))
        await held.finish()
        clock.advance(1)
    clock.advance(1)
    rounds = [await env.store.workflows.prune(completed=1, failed=None, cancelled=None, limit=9) for _ in range(5)]
    assert rounds == [2, 1, 1, 1, 0]
    await env.store.close()
