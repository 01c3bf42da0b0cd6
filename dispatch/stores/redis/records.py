"""The records part of the Redis store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dispatch.clock import from_micros
from dispatch.entity import LARGEST_PAGE, PAGE_SIZE, Page, Reply
from dispatch.errors import DataRejected
from dispatch.records import Record
from dispatch.stores.redis.client import RedisClient
from dispatch.stores.redis.rows import duration, moment, table

if TYPE_CHECKING:
    from builtins import list as List

_AT_ONCE = 200


class RedisRecords:
    """The verbs of RecordStore."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def put(
        self, namespace: str, key: str, value: bytes, *, if_version: int | None = None, expires_in: float | None = None
    ) -> Record | None:
        what = f"record {namespace}/{key}"
        if type(value) is not bytes:
            raise DataRejected(f"{what} is {type(value).__name__}, not bytes; nothing was written")
        flat = await self._client.run(
            "put_record",
            namespace,
            key,
            value,
            "" if if_version is None else if_version,
            "" if expires_in is None else duration(expires_in, what),
        )
        return None if flat is None else _record(namespace, key, flat)

    async def get(self, namespace: str, key: str) -> Record | None:
        flat = await self._client.run("get_record", namespace, key)
        return None if flat is None else _record(namespace, key, flat)

    async def delete(self, namespace: str, key: str, *, if_version: int | None = None) -> Reply:
        version = "" if if_version is None else if_version
        return Reply((await self._client.run("delete_record", namespace, key, version)).decode())

    async def list(
        self,
        namespace: str,
        *,
        prefix: str = "",
        limit: int = PAGE_SIZE,
        cursor: str | None = None,
        descending: bool = False,
    ) -> Page[Record]:
        size = max(1, min(limit, LARGEST_PAGE))
        back = int(descending)
        if descending:
            last = b"(" + prefix.encode() + b"\xff" if prefix else b"+"
            begin = last if cursor is None or cursor.encode() > last[1:] > b"" else b"(" + cursor.encode()
        else:
            begin = f"[{prefix}".encode()
            if cursor is not None and cursor.encode() >= prefix.encode():
                begin = b"(" + cursor.encode()
        items: List[Record] = []
        while len(items) <= size:
            rows, after = await self._client.run("list_records", namespace, prefix, begin, size + 1 - len(items), back)
            items += [_record(namespace, key.decode(), flat) for key, flat in rows]
            if not after:
                break
            begin = b"(" + after
        return Page(items[:size], items[size - 1].key if len(items) > size else None)

    async def prune(self, *, limit: int = 1000, dry_run: bool = False) -> int:
        removed = 0
        while removed < limit:
            most = limit if dry_run else min(_AT_ONCE, limit - removed)
            count: int = await self._client.run("prune_records", most, int(dry_run))
            removed += count
            if dry_run or count < most:
                break
        return removed


def _record(namespace: str, key: str, flat: Sequence[bytes]) -> Record:
    row = table(flat)
    return Record(
        namespace,
        key,
        row[b"p"],
        int(row[b"v"]),
        from_micros(int(row[b"c"])),
        from_micros(int(row[b"u"])),
        moment(row.get(b"ex")),
    )
