"""How PostgreSQL runs the busy statements on a large table: by the indexes meant for them, whatever it believes."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from servers.postgres import Server

from dispatch.ids import WorkerID
from dispatch.stores.postgres import PostgresStore

WORKER = WorkerID.new()
ROWS = 1_000_000
MOST_BUFFERS = 20_000
"""Of 8 kB: a claim of 200 touches some thousands, a walk through the table more than ten times as many."""

_FILL = """
INSERT INTO plans.jobs (id, ready, state, queue, name, kind, lane, priority, run_at, finished_at, created_at,
  updated_at, app_id, org_id)
SELECT 'job_' || lpad(n::text, 26, '0'), (n % 2)::int2, CASE n % 2 WHEN 1 THEN 'pending' ELSE 'completed' END,
  'q' || n % 3, 'work', 'job', '', n % 5, n, CASE n % 2 WHEN 0 THEN n END, n, n, '', ''
FROM generate_series(1, $1::int8) AS n
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server({"fsync": "off", "full_page_writes": "off", "autovacuum": "off", "max_wal_size": "4GB"})
    yield made
    made.close()


@pytest.fixture
async def store(server: Server) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(server.url, namespace="plans", command_timeout=60.0)
    await made.open()
    yield made
    await made.close()


_HELD = "UPDATE plans.jobs SET state = 'running', ready = 0, worker_id = $1, finished_at = NULL WHERE id = ANY ($2)"


async def _explained(connection: Any, text: str, values: list[Any], held: Sequence[str] = ()) -> dict[str, Any]:
    """What a statement did to rows that the worker holds, with the plan that serves any parameters, as the store runs
    it."""
    await connection.execute("BEGIN")
    try:
        if held:
            await connection.execute(_HELD, WORKER, held)
        found = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}", *values)
    finally:
        await connection.execute("ROLLBACK")
    (document,) = json.loads(found)
    return document["Plan"]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def _reads_the_whole_table(plan: dict[str, Any]) -> bool:
    return any(
        node["Node Type"] == "Seq Scan" and node.get("Relation Name") == "jobs" and node["Actual Loops"]
        for node in _nodes(plan)
    )


def _looks_up_a_list_for_each_row(plan: dict[str, Any]) -> bool:
    return any(node["Actual Loops"] > 1 and re.search(r"ANY \(\$", node.get("Index Cond", "")) for node in _nodes(plan))


@pytest.mark.slow
@pytest.mark.proof
@pytest.mark.timeout(300)
async def test_claims_and_completions_of_a_million_rows_use_their_indexes_even_with_bad_statistics(
    store: PostgresStore,
) -> None:
    statements = store._executor._statements
    now = store._executor.now()
    async with store._executor._connection() as connection:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute("ANALYZE plans.jobs")  # as if the table had always been empty
        await connection.execute(_FILL, ROWS)
        for refresh in (False, True):
            if refresh:
                await connection.execute("ANALYZE plans.jobs")
            claim = statements["claim_jobs"]
            params: dict[str, Any] = {
                **{"queues": ["q0", "q1"], "shares": [100, 100], "names": ["work"], "limit": 200, "alone": False},
                **{"now": now, "worker_id": WORKER, "epoch_floor": 1, "lease_until": now},
            }
            plan = await _explained(connection, claim.text, [params[name] for name in claim.names])
            assert not _reads_the_whole_table(plan)
            assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < MOST_BUFFERS
            complete = statements["complete_job"]
            ids = [f"job_{n:026}" for n in range(2, 402)]
            rows: dict[str, Any] = {
                **{"id": ids, "epoch": [0] * 400, "result": [None] * 400, "worker_id": [WORKER] * 400},
                "now": [now] * 400,
            }
            plan = await _explained(connection, complete.text, [rows[name] for name in complete.names], held=ids)
            assert plan["Actual Rows"] == 400
            assert not _reads_the_whole_table(plan) and not _looks_up_a_list_for_each_row(plan)
            assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < MOST_BUFFERS
