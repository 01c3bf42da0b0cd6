"""The records part of the memory store."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import datetime

from dispatch.entity import LARGEST_PAGE, PAGE_SIZE, Page, Reply
from dispatch.records import Record
from dispatch.stores.memory.data import Data, Session, insert_sorted
from dispatch.stores.memory.rows import checked_bytes, checked_text, later


class MemoryRecords:
    """The verbs of RecordStore."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def put(
        self, namespace: str, key: str, value: bytes, *, if_version: int | None = None, expires_in: float | None = None
    ) -> Record | None:
        checked_bytes(value, f"record {namespace}/{key}")
        checked_text(namespace, "the record's namespace")
        checked_text(key, f"the key of a record in {namespace}")
        with self._session as data:
            now = data.clock.now()
            expires_at = None if expires_in is None else later(now, expires_in, f"record {namespace}/{key}")
            present = _present(data, namespace, key, now)
            if if_version is not None and if_version != (present.version if present is not None else 0):
                return None
            version, created_at = (1, now) if present is None else (present.version + 1, present.created_at)
            record = Record(namespace, key, value, version, created_at, now, expires_at)
            records = data.records.setdefault(namespace, {})
            if key not in records:
                insert_sorted(data.record_order.setdefault(namespace, []), key)
            records[key] = record
            data.signal.bump()
            return record

    async def get(self, namespace: str, key: str) -> Record | None:
        with self._session as data:
            return _present(data, namespace, key, data.clock.now())

    async def delete(self, namespace: str, key: str, *, if_version: int | None = None) -> Reply:
        with self._session as data:
            present = _present(data, namespace, key, data.clock.now())
            if present is None:
                return Reply.MISSING
            if if_version is not None and if_version != present.version:
                return Reply.CONFLICT
            _remove(data, present)
            data.signal.bump()
            return Reply.APPLIED

    async def prune(self, *, limit: int = 1000, dry_run: bool = False) -> int:
        with self._session as data:
            now = data.clock.now()
            expired = [r for records in data.records.values() for r in records.values() if not _lasts(r, now)]
            for record in () if dry_run else expired[: max(0, limit)]:
                _remove(data, record)
            return min(len(expired), max(0, limit))

    async def list(
        self,
        namespace: str,
        *,
        prefix: str = "",
        limit: int = PAGE_SIZE,
        cursor: str | None = None,
        descending: bool = False,
    ) -> Page[Record]:
        with self._session as data:
            now, limit = data.clock.now(), max(1, min(limit, LARGEST_PAGE))
            order, records = data.record_order.get(namespace, []), data.records.get(namespace, {})
            found: list[Record] = []
            for at in _places(order, prefix, cursor, descending=descending):
                record = records[order[at]]
                if not record.key.startswith(prefix):
                    break
                if _lasts(record, now):
                    if len(found) >= limit:
                        return Page(found, found[-1].key if found else None)
                    found.append(record)
            return Page(found)


def _places(order: list[str], prefix: str, cursor: str | None, *, descending: bool) -> range:
    """Where to look, from the first key that may count on."""
    if not descending:
        start = bisect_left(order, prefix) if cursor is None else bisect_right(order, max(cursor, prefix))
        return range(start, len(order))
    end = bisect_right(order, prefix + chr(0x10FFFF)) if prefix else len(order)
    return range((end if cursor is None else min(end, bisect_left(order, cursor))) - 1, -1, -1)


def _lasts(record: Record, now: datetime) -> bool:
    return record.expires_at is None or record.expires_at > now


def _present(data: Data, namespace: str, key: str, now: datetime) -> Record | None:
    record = data.records.get(namespace, {}).get(key)
    return record if record is not None and _lasts(record, now) else None


def _remove(data: Data, record: Record) -> None:
    del data.records[record.namespace][record.key]
    order = data.record_order[record.namespace]
    del order[bisect_left(order, record.key)]
    if not order:
        del data.records[record.namespace], data.record_order[record.namespace]
