"""Records: small namespaced documents with compare-and-set and expiry (API keys, endpoints, audit, tickets)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dispatch.entity import PAGE_SIZE, Page, Reply


@dataclass(frozen=True, slots=True)
class Record:
    """A document; `version` starts at 1 and rises with each write."""

    namespace: str
    key: str
    value: bytes
    version: int
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None


class RecordStore(Protocol):
    """The records part of a Store. An expired record is as good as absent."""

    async def put(
        self, namespace: str, key: str, value: bytes, *, if_version: int | None = None, expires_in: float | None = None
    ) -> Record | None:
        """Writes durably and answers the record; None when `if_version` (0: absent) is not what stands there."""
        ...

    async def get(self, namespace: str, key: str) -> Record | None:
        """The record, or None."""
        ...

    async def delete(self, namespace: str, key: str, *, if_version: int | None = None) -> Reply:
        """Removes it; CONFLICT when it has another version, MISSING when absent."""
        ...

    async def list(
        self,
        namespace: str,
        *,
        prefix: str = "",
        limit: int = PAGE_SIZE,
        cursor: str | None = None,
        descending: bool = False,
    ) -> Page[Record]:
        """Records whose key starts with `prefix`, by key; `descending`: the last key first."""
        ...

    async def prune(self, *, limit: int = 1000, dry_run: bool = False) -> int:
        """Deletes at most `limit` expired records; answers how many. With `dry_run` it only counts them."""
        ...
