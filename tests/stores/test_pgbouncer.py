"""What is most delicate of the conformance suite, on PostgreSQL behind PgBouncer, which gives each transaction any
connection."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers.pgbouncer import pooler
from servers.postgres import new_namespace, postgres_url

from dispatch.clock import ManualClock
from dispatch.store import Store
from dispatch.stores.postgres import PostgresStore
from dispatch.testing.conformance import Case, cases, run_case


@pytest.fixture(scope="module")
def pooled() -> Iterator[str]:
    with pooler(postgres_url()) as url:
        yield url


QUICK = (
    "feed",
    "jobs_claim",
    "jobs_enqueue",
    "jobs_fence",
    "jobs_gates",
    "jobs_lease",
    "leadership",
    "queues",
    "races",
    "stream",
    "unique",
)


@pytest.mark.long
@pytest.mark.parametrize(
    "case", [case for case in cases() if case.name.partition(".")[0] in QUICK], ids=lambda case: case.name
)
async def test_a_pooler_in_between_changes_nothing(case: Case, pooled: str) -> None:
    async def make(clock: ManualClock) -> Store:
        return PostgresStore(pooled, namespace=new_namespace(), clock=clock, pooler=True, command_timeout=20.0)

    await run_case(case, make)
