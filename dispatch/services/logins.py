"""What stands in for a key where a browser cannot send one: one-use tickets of 30 seconds, and sessions."""

from __future__ import annotations

import json
from typing import Literal

from dispatch.access import Identity
from dispatch.entity import Reply
from dispatch.errors import APIKeyNotFound
from dispatch.ids import new_secret
from dispatch.records import Record
from dispatch.scope import Scope
from dispatch.services.audit import AuditService
from dispatch.services.keys import APIKeyService, digest
from dispatch.store import Store

TICKETS, SESSIONS = "ticket", "session"
TICKET_SECONDS = 30.0
SESSION_SECONDS = 12 * 3600.0
_LONGEST_TOKEN = 256

Purpose = Literal["stream", "login"]
"""What a ticket opens: one stream (SSE or WebSocket), or a session."""


class LoginService:
    """Tickets and sessions; both are stored as hashes, and end with the key that they were made with."""

    def __init__(self, store: Store, *, keys: APIKeyService, audit: AuditService | None = None) -> None:
        self._store = store
        self._keys = keys
        self._audit = audit or AuditService(store)

    async def ticket(self, identity: Identity, purpose: Purpose, *, expires_in: float = TICKET_SECONDS) -> str:
        """A ticket that may stand in a URL: it serves once, within `expires_in` seconds."""
        ticket = new_secret()
        await self._store.records.put(
            TICKETS, f"{purpose}:{digest(ticket)}", _document(identity), expires_in=expires_in
        )
        return ticket

    async def redeem(self, ticket: str, purpose: Purpose) -> Identity | None:
        """Who holds the ticket; None when it is none, is used up or too old, or its key was revoked."""
        if len(ticket) > _LONGEST_TOKEN:
            return None
        key = f"{purpose}:{digest(ticket)}"
        record = await self._store.records.get(TICKETS, key)
        if record is None or await self._store.records.delete(TICKETS, key) is not Reply.APPLIED:
            return None
        return await self._present(record)

    async def open_session(self, identity: Identity, *, expires_in: float = SESSION_SECONDS) -> str:
        """A token for a cookie, good for `expires_in` seconds."""
        token = new_secret()
        async with self._audit.act("session.open", [], who=identity.who, count=1):
            await self._store.records.put(SESSIONS, digest(token), _document(identity), expires_in=expires_in)
        return token

    async def session(self, token: str) -> Identity | None:
        """Whose session it is; None when it has ended."""
        if len(token) > _LONGEST_TOKEN:
            return None
        record = await self._store.records.get(SESSIONS, digest(token))
        return None if record is None else await self._present(record)

    async def close_session(self, token: str) -> None:
        """Ends a session; one that has ended already does no harm."""
        async with self._audit.act("session.close", [], count=1):
            await self._store.records.delete(SESSIONS, digest(token))

    async def _present(self, record: Record) -> Identity | None:
        """The identity in a record, as its key allows it now."""
        held = json.loads(record.value)
        if not held["key_id"]:
            return Identity(held["name"], "", frozenset(held["scopes"]), Scope(*held["scope"]))
        try:
            return (await self._keys.get(held["key_id"])).identity
        except APIKeyNotFound:
            return None


def _document(identity: Identity) -> bytes:
    facts = {
        "name": identity.name,
        "key_id": identity.key_id,
        "scopes": sorted(identity.scopes),
        "scope": list(identity.scope),
    }
    return json.dumps(facts).encode()
