"""How PostgreSQL finds the few jobs of one state among many others: by the index meant for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
from servers.postgres import new_namespace, postgres_url

from dispatch.jobs.model import JobState, ListOptions
from dispatch.stores.postgres import PostgresStore

_OTHERS = 20_000
_FILL = """
INSERT INTO {schema}.jobs (id, ready, state, queue, name, kind, lane, priority, run_at, finished_at, created_at,
  updated_at, app_id, org_id)
SELECT 'job_' || lpad(n::text, 26, '0'), 0, CASE n WHEN 1 THEN 'retrying' WHEN 2 THEN 'cancelled' ELSE 'completed' END,
  'default', 'work', 'job', '', 0, n, n, n, n, '', ''
FROM generate_series(1, $1::int8) AS n
"""


def _indexes(plan: dict[str, Any]) -> Iterator[str]:
    if "Index Name" in plan:
        yield plan["Index Name"]
    for inner in plan.get("Plans", ()):
        yield from _indexes(inner)


@pytest.mark.parametrize("analyzed", [False, True])
async def test_jobs_of_a_rare_state_are_listed_and_counted_by_the_index_of_states(analyzed: bool) -> None:
    store = PostgresStore(postgres_url(), namespace=new_namespace())
    await store.open()
    user = await asyncpg.connect(postgres_url())
    schema = store._place.schema
    try:
        await user.execute(_FILL.format(schema=schema), _OTHERS)
        if analyzed:
            await user.execute(f"ANALYZE {schema}.jobs")
        for state in (JobState.RETRYING, JobState.CANCELLED):
            (job,) = (await store.jobs.list(ListOptions(states=(state,)))).items
            assert job.state is state
        (queue,) = await store.queues.list()
        assert queue.retrying == 1
        async with store._executor._connection() as own:
            for name, values in (
                ("list_jobs_in_state", {"state": "retrying", "kind": "job", "cursor": "~", "limit": 10}),
                ("queue_counts", {}),
            ):
                statement = store._executor._statements[name]
                found = await own.fetchval(
                    f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.text}", *map(values.get, statement.names)
                )
                plan = json.loads(found)[0]["Plan"]
                assert "jobs_of_state" in set(_indexes(plan))
                assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 100
    finally:
        await user.close()
        await store.close()
