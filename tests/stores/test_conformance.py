"""The public conformance suite over our own stores, and the suite's own promises."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redis_audit import audit
from servers.again import lent_namespace, made_file
from servers.mysql import forget as forget_tables
from servers.mysql import mysql_url
from servers.postgres import new_namespace, postgres_url
from servers.redis import forget, redis_url

from dispatch.clock import ManualClock
from dispatch.store import Store
from dispatch.stores.memory import MemoryStore
from dispatch.stores.redis import RedisStore
from dispatch.stores.sqlite import SQLiteStore
from dispatch.testing.conformance import STORE_INVARIANTS, Case, Env, cases, run_case, verify
from dispatch.testing.conformance.suite import StoreConformance


class TestMemory(StoreConformance):
    async def make_store(self, clock: ManualClock) -> Store:
        return MemoryStore(clock=clock)


class TestSQLite(StoreConformance):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    async def make_store(self, clock: ManualClock) -> Store:
        return SQLiteStore(made_file(self.folder / "store.db"), clock=clock)


class TestPostgres(StoreConformance):
    async def make_store(self, clock: ManualClock) -> Store:
        from dispatch.stores.postgres import PostgresStore

        return PostgresStore(postgres_url(), namespace=lent_namespace(), clock=clock, command_timeout=20.0)


class TestRedis(StoreConformance):
    async def make_store(self, clock: ManualClock) -> Store:
        self.namespace = new_namespace()
        return RedisStore(redis_url(), namespace=self.namespace, clock=clock, timeout=20.0)

    @pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
    def test_store(self, case: Case) -> None:
        asyncio.run(run_case(case, self.make_store))
        audit(redis_url(), self.namespace)
        forget(self.namespace)


@pytest.mark.proof  # the same statements and kind of file as TestSQLite, through another pool
class TestSQLAlchemySQLite(StoreConformance):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    async def make_store(self, clock: ManualClock) -> Store:
        from dispatch.stores.sqlalchemy import SQLAlchemyStore

        file = made_file(self.folder / "store.db")
        return SQLAlchemyStore(f"sqlalchemy+sqlite+aiosqlite:///{file}", clock=clock)


@pytest.mark.proof  # the same statements and server as TestPostgres, through another pool
class TestSQLAlchemyPostgres(StoreConformance):
    async def make_store(self, clock: ManualClock) -> Store:
        from dispatch.stores.sqlalchemy import SQLAlchemyStore

        url = postgres_url().replace("postgresql://", "sqlalchemy+postgresql+asyncpg://")
        return SQLAlchemyStore(url, namespace=lent_namespace(), clock=clock, command_timeout=20.0)


_SOONEST = ("opening", "races", "jobs_fence", "run_waits", "stream")
"""What MySQL does in its own way: making tables, locks and order. The rest of its suite runs in the proof tier."""


def _mysql_cases() -> list[Any]:
    soon = [case for case in cases() if case.name.partition(".")[0] in _SOONEST]
    return [pytest.param(case, marks=() if case in soon else pytest.mark.proof) for case in cases()]


class TestMySQL(StoreConformance):
    async def make_store(self, clock: ManualClock) -> Store:
        from dispatch.stores.sqlalchemy import SQLAlchemyStore

        self.namespace = new_namespace()
        return SQLAlchemyStore(mysql_url(), namespace=self.namespace, clock=clock, command_timeout=20.0)

    @pytest.mark.parametrize("case", _mysql_cases(), ids=lambda case: case.name)
    def test_store(self, case: Case) -> None:
        asyncio.run(run_case(case, self.make_store))
        forget_tables(self.namespace)


@pytest.mark.parametrize("invariant", STORE_INVARIANTS)
def test_every_invariant_that_a_store_can_break_has_a_case(invariant: str) -> None:
    assert cases(invariant), f"no conformance case proves {invariant}"


def test_every_case_is_named_as_a_sentence_of_its_own() -> None:
    titles = [case.title for case in cases()]
    assert len(titles) > 150
    assert all(len(title.split()) >= 2 for title in titles)


async def test_verify_tells_what_failed_and_goes_on() -> None:
    async def wrong(env: Env) -> None:
        assert await env.claim(1), "nothing was there"

    async def broken(env: Env) -> None:
        raise RuntimeError("oh")

    async def make_store(clock: ManualClock) -> Store:
        return MemoryStore(clock=clock)

    own = [Case("own.wrong", ("I7",), wrong), Case("own.broken", (), broken)]
    results = await verify(make_store, [*own, *cases("I26")])
    assert [result.passed for result in results[:2]] == [False, False]
    assert "nothing was there" in results[0].error
    assert results[1].error.startswith("RuntimeError: oh")
    assert all(result.passed for result in results[2:])


def test_the_cases_need_neither_pytest_nor_a_test_framework() -> None:
    code = (
        "import sys; from dispatch.testing.conformance import cases; cases(); "
        "print(sorted({'pytest', 'hypothesis'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
