"""How the tests of this folder make an empty store of each kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dispatch.clock import ManualClock
from dispatch.store import Store

Make = Callable[[ManualClock], Store]
KINDS = ("memory", "sqlite", "postgres", "redis", "mysql")
SHARED = ("mysql",)
"""Kinds whose plans are those of another server that is tried with every change: all of it, but in the proof tier."""


def kinds(chosen: Sequence[str] = KINDS, *, late: Any = pytest.mark.proof) -> list[Any]:
    """The kinds as parameters of a test; those that are SHARED come `late`."""
    return [pytest.param(kind, marks=late if kind in SHARED else ()) for kind in chosen]


def maker(kind: str, folder: Path, *, anew: bool = False) -> Make:
    """Makes empty, unopened stores of one kind; each call gives another one, for no longer than the test takes.

    `anew`: opening one makes its tables; otherwise those of a former test may be used again.
    """
    count = 0

    def make(clock: ManualClock) -> Store:
        nonlocal count
        count += 1
        if kind == "memory":
            from dispatch.stores.memory import MemoryStore

            return MemoryStore(clock=clock)
        if kind == "postgres":
            from servers.again import lent_namespace
            from servers.postgres import new_namespace, postgres_url

            from dispatch.stores.postgres import PostgresStore

            namespace = new_namespace() if anew else lent_namespace()
            return PostgresStore(postgres_url(), namespace=namespace, clock=clock, command_timeout=20.0)
        if kind == "mysql":
            from servers.mysql import mysql_url
            from servers.postgres import new_namespace

            from dispatch.stores.sqlalchemy import SQLAlchemyStore

            return SQLAlchemyStore(mysql_url(), namespace=new_namespace(), clock=clock, command_timeout=20.0)
        if kind == "redis":
            from servers.postgres import new_namespace
            from servers.redis import redis_url

            from dispatch.stores.redis import RedisStore

            return RedisStore(redis_url(), namespace=new_namespace(), clock=clock, timeout=20.0)
        from servers.again import made_file

        from dispatch.stores.sqlite import SQLiteStore

        file = folder / f"store-{count}.db"
        return SQLiteStore(file if anew else made_file(file), clock=clock)

    return make


def audited(store: Store) -> None:
    """Fails when indexes that a store keeps by hand disagree with its rows."""
    from dispatch.stores.redis import RedisStore

    if isinstance(store, RedisStore):
        from redis_audit import audit
        from servers.redis import redis_url

        audit(redis_url(), store.namespace)
