"""API keys: shown once, stored as a hash, looked up by their public id, gone for good when they are revoked."""

from __future__ import annotations

import difflib
import hashlib
import hmac
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dispatch.access import EVERYTHING, SCOPES, Identity
from dispatch.clock import LONGEST
from dispatch.entity import LARGEST_PAGE, PAGE_SIZE, Page, Reply, shown
from dispatch.errors import APIKeyNotFound, InvalidArguments
from dispatch.ids import new_public_id, new_secret
from dispatch.records import Record
from dispatch.scope import NO_SCOPE, Scope
from dispatch.services.audit import AuditService, whoami
from dispatch.store import Store

NAMESPACE = "apikey"
PREFIX = "dk"
_LONGEST_NAME = 128
_LONGEST_TOKEN = 256
_NOBODY = "0" * 64


@dataclass(frozen=True, slots=True)
class APIKey:
    """A key as it is remembered: everything but its secret."""

    id: str
    """The public id, which stands in the key itself."""
    name: str
    scopes: tuple[str, ...]
    scope: Scope
    """The tenant it is bound to; empty: none."""
    created_at: datetime
    created_by: str
    expires_at: datetime | None

    @property
    def identity(self) -> Identity:
        """Who its holder is."""
        return Identity(self.name, self.id, frozenset(self.scopes), self.scope)


@dataclass(frozen=True, slots=True)
class NewAPIKey:
    """A key that was just made; the only moment when its token is known."""

    key: APIKey
    token: str = field(repr=False)
    """`dk_<public id>_<secret>`, what goes into `Authorization: Bearer`."""


class APIKeyService:
    """Make, list, revoke and check API keys."""

    def __init__(self, store: Store, *, audit: AuditService | None = None) -> None:
        self._store = store
        self._audit = audit or AuditService(store)

    async def create(
        self,
        name: str,
        *,
        scopes: Collection[str],
        scope: Scope = NO_SCOPE,
        expires_in: float | None = None,
        by: str = "",
        reason: str = "",
    ) -> NewAPIKey:
        """Makes a key and answers it with its token, which nobody can ever read again.

        Args:
            name: whose key it is, as audit records will say. scopes: what it is allowed, of `dispatch.access.SCOPES`.
            scope: the tenant it is bound to; empty: it sees every tenant's things.
            expires_in: seconds until it ends by itself (None: never). by: who asked, default this process's user.

        Raises InvalidArguments.
        """
        chosen = checked_scopes(scopes)
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            raise InvalidArguments(f"{shown(name)} is no name for a key: 1 to {_LONGEST_NAME} printable characters")
        if expires_in is not None and not 0 < expires_in <= LONGEST:
            raise InvalidArguments(f"expires_in is {expires_in:g}; give seconds above 0, or None for a key that stays")
        key_id, secret, creator = new_public_id(), new_secret(), by or whoami()
        facts = {"hash": digest(secret), "name": name, "scopes": chosen, "scope": list(scope), "created_by": creator}
        detail = f"{name}: {' '.join(chosen)}" + (f" for {scope.tenant}" if scope else "")
        async with self._audit.act("apikey.create", [key_id], who=by, reason=reason, detail=detail):
            record = await self._store.records.put(
                NAMESPACE, key_id, json.dumps(facts).encode(), if_version=0, expires_in=expires_in
            )
            if record is None:
                raise InvalidArguments(f"the public id {key_id} is taken; try again")
            return NewAPIKey(_remembered(record), f"{PREFIX}_{key_id}_{secret}")

    async def get(self, key_id: str) -> APIKey:
        """The key with that public id. Raises APIKeyNotFound."""
        record = await self._store.records.get(NAMESPACE, key_id) if _sane(key_id) else None
        if record is None:
            raise _not_found(key_id)
        return _remembered(record)

    async def list(self, *, limit: int = PAGE_SIZE, cursor: str | None = None) -> Page[APIKey]:
        """The keys that are valid, by public id."""
        page = await self._store.records.list(NAMESPACE, limit=min(limit, LARGEST_PAGE), cursor=cursor)
        return Page([_remembered(record) for record in page.items], page.next_cursor)

    async def exists(self) -> bool:
        """Whether there is any valid key."""
        return bool((await self._store.records.list(NAMESPACE, limit=1)).items)

    async def revoke(self, key_id: str, *, reason: str = "") -> None:
        """Ends a key at once and for good, with the sessions and tickets made with it. Raises APIKeyNotFound."""
        async with self._audit.act("apikey.revoke", [key_id], reason=reason):
            if not _sane(key_id) or await self._store.records.delete(NAMESPACE, key_id) is not Reply.APPLIED:
                raise _not_found(key_id)

    async def authenticate(self, token: str) -> Identity | None:
        """Who holds the token; None for whatever reason it is not valid, in about the same time."""
        prefix, _, rest = token.partition("_")
        key_id, _, secret = rest.partition("_")
        plausible = prefix == PREFIX and len(token) <= _LONGEST_TOKEN and _sane(key_id)
        record = await self._store.records.get(NAMESPACE, key_id if plausible else _NOBODY[:16])
        known = _NOBODY if record is None else str(json.loads(record.value)["hash"])
        same = hmac.compare_digest(digest(secret), known)
        return _remembered(record).identity if same and plausible and record is not None else None


def checked_scopes(scopes: Collection[str]) -> Sequence[str]:
    """The scopes, each once, in the order of `SCOPES`; InvalidArguments when one is unknown or there is none."""
    for scope in scopes:
        if scope not in SCOPES:
            near = difflib.get_close_matches(scope, SCOPES, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {' '.join(SCOPES)}"
            raise InvalidArguments(f"there is no scope {shown(scope)}; {hint}")
    if not scopes:
        raise InvalidArguments(f"a key without a scope may do nothing; give some of: {' '.join(SCOPES)}")
    return [EVERYTHING] if EVERYTHING in scopes else [scope for scope in SCOPES if scope in scopes]


def digest(secret: str) -> str:
    """What is stored of a secret of 32 random bytes."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def _sane(key_id: str) -> bool:
    return len(key_id) == 16 and key_id.isascii() and key_id.isalnum()


def _remembered(record: Record) -> APIKey:
    facts = json.loads(record.value)
    return APIKey(
        id=record.key,
        name=facts["name"],
        scopes=tuple(facts["scopes"]),
        scope=Scope(*facts["scope"]),
        created_at=record.created_at,
        created_by=facts["created_by"],
        expires_at=record.expires_at,
    )


def _not_found(key_id: str) -> APIKeyNotFound:
    return APIKeyNotFound(f"there is no API key {shown(key_id)}; `dispatch apikey list` shows the public ids there are")
