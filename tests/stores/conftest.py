"""The stores that this suite runs over, each empty, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from servers.again import give_back
from servers.postgres import new_namespace, postgres_url
from store_kinds import Make, kinds, maker

from dispatch.clock import ManualClock
from dispatch.store import Store
from dispatch.stores.postgres import PostgresStore


@pytest.fixture(autouse=True)
def _again() -> Iterator[None]:
    """What the test was lent is for the next one."""
    yield
    give_back()


@pytest.fixture(params=kinds())
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """A maker of empty stores, once for each kind."""
    return maker(request.param, tmp_path)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(make: Make, clock: ManualClock) -> AsyncIterator[Store]:
    """An open, empty store, once for each kind."""
    made = make(clock)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def namespace() -> str:
    """The name of a schema on PostgreSQL that nothing else uses."""
    return new_namespace()


@pytest.fixture
async def postgres(namespace: str) -> AsyncIterator[PostgresStore]:
    """An open, empty store in that schema, on the server's clock."""
    made = PostgresStore(postgres_url(), namespace=namespace)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def admin() -> AsyncIterator[Any]:
    """A connection to the same server, past the store."""
    connection = await asyncpg.connect(postgres_url())
    yield connection
    await connection.close()
