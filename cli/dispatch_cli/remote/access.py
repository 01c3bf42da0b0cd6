"""The audit records and API keys of a server elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from dispatch.entity import LARGEST_PAGE, Page
from dispatch.errors import APIKeyNotFound
from dispatch.scope import NO_SCOPE, Scope
from dispatch.services import Act, APIKey, AuditRecord, NewAPIKey
from dispatch_cli.remote.link import Link, given, part
from dispatch_cli.remote.reading import audit_of, key_of


class RemoteAudit:
    """As AuditService; the server itself leaves the records, in the name of the key."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @asynccontextmanager
    async def act(
        self, verb: str, ids: Sequence[str] = (), *, count: int | None = None, reason: str = "", detail: str = ""
    ) -> AsyncIterator[Act]:
        """Inside, requests give that reason."""
        self._link.reason = reason
        try:
            yield Act(verb, "", [*ids], len(ids) if count is None else count, reason, detail)
        finally:
            self._link.reason = ""

    async def list(self, *, limit: int = 50) -> Sequence[AuditRecord]:
        return await self._link.all("/v1/audit", audit_of, limit=limit)


class RemoteKeys:
    """As APIKeyService."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def get(self, key_id: str) -> APIKey:
        cursor: str | None = None
        while True:
            page = await self.list(limit=LARGEST_PAGE, cursor=cursor)
            found = next((key for key in page.items if key.id == key_id), None)
            if found is not None:
                return found
            if (cursor := page.next_cursor) is None:
                raise APIKeyNotFound(
                    f"there is no API key {key_id!r}; `dispatch apikey list` shows the public ids there are"
                )

    async def list(self, *, limit: int = 50, cursor: str | None = None) -> Page[APIKey]:
        return await self._link.page("/v1/apikeys", key_of, limit=limit, cursor=cursor)

    async def create(
        self,
        name: str,
        *,
        scopes: Sequence[str],
        scope: Scope = NO_SCOPE,
        expires_in: float | None = None,
        reason: str = "",
    ) -> NewAPIKey:
        body = given(
            name=name, scopes=[*scopes], tenant=scope.tenant or None, expires_in=expires_in, reason=reason or None
        )
        return await self._link.post("/v1/apikeys", lambda found: NewAPIKey(key_of(found), found["key"]), body)

    async def revoke(self, key_id: str, *, reason: str = "") -> None:
        self._link.reason = reason
        await self._link.delete(f"/v1/apikeys/{part(key_id)}")
