"""The records part of a SQL store."""

from __future__ import annotations

from typing import Any

from dispatch.clock import from_micros
from dispatch.entity import PAGE_SIZE, Page, Reply
from dispatch.records import Record
from dispatch.stores.sql.listing import page_limit
from dispatch.stores.sql.plan import Do, Executor, Lock, Plan, Rows, first
from dispatch.stores.sql.prune import prune_old
from dispatch.stores.sql.rows import later, moment


class SQLRecords:
    """RecordStore over any SQL executor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def put(
        self, namespace: str, key: str, value: bytes, *, if_version: int | None = None, expires_in: float | None = None
    ) -> Record | None:
        def plan() -> Plan[Record | None]:
            now = self._executor.now()
            yield Lock("lock_record", {"namespace": namespace, "key": key})
            before = first((yield Rows("get_record", {"namespace": namespace, "key": key, "now": now})))
            version, created_at = (before[3], before[4]) if before else (0, now)
            if if_version is not None and if_version != version:
                return None
            row = (
                namespace,
                key,
                value,
                version + 1,
                created_at,
                now,
                None if expires_in is None else later(now, expires_in),
            )
            names = ("namespace", "key", "value", "version", "created_at", "now", "expires_at")
            yield Do("put_record", dict(zip(names, row, strict=True)))
            return record_of(row)

        return await self._executor.run(plan)

    async def get(self, namespace: str, key: str) -> Record | None:
        def plan() -> Plan[Record | None]:
            params = {"namespace": namespace, "key": key, "now": self._executor.now()}
            row = first((yield Rows("get_record", params)))
            return None if row is None else record_of(row)

        return await self._executor.run(plan, write=False, single=True)

    async def delete(self, namespace: str, key: str, *, if_version: int | None = None) -> Reply:
        def plan() -> Plan[Reply]:
            params = {"namespace": namespace, "key": key, "now": self._executor.now()}
            yield Lock("lock_record", params)
            row = first((yield Rows("get_record", params)))
            if row is None:
                return Reply.MISSING
            if if_version is not None and if_version != row[3]:
                return Reply.CONFLICT
            yield Do("delete_record", params)
            return Reply.APPLIED

        return await self._executor.run(plan)

    async def list(
        self,
        namespace: str,
        *,
        prefix: str = "",
        limit: int = PAGE_SIZE,
        cursor: str | None = None,
        descending: bool = False,
    ) -> Page[Record]:
        def plan() -> Plan[Page[Record]]:
            size = page_limit(limit)
            rows = yield Rows(
                "list_records_back" if descending else "list_records",
                {
                    "namespace": namespace,
                    "prefix": prefix,
                    "cursor": cursor,
                    "now": self._executor.now(),
                    "limit": size + 1,
                },
            )
            items = [record_of(row) for row in rows[:size]]
            return Page(items, items[-1].key if len(rows) > size else None)

        return await self._executor.run(plan, write=False, single=True)

    async def prune(self, *, limit: int = 1000, dry_run: bool = False) -> int:
        params = {"now": self._executor.now()}
        return await prune_old(
            self._executor, "count_old_records", "prune_records", params, limit=limit, dry_run=dry_run
        )


def record_of(row: tuple[Any, ...]) -> Record:
    """The record in a row of `record_columns`."""
    namespace, key, value, version, created_at, updated_at, expires_at = row
    return Record(
        namespace,
        key,
        b"" if value is None else value,
        version,
        from_micros(created_at),
        from_micros(updated_at),
        moment(expires_at),
    )
