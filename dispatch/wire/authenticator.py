"""Who holds a token: the keys of the store, or entries given in code."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from dispatch.access import Identity

if TYPE_CHECKING:
    from dispatch import Dispatch


class Authenticator(Protocol):
    """Finds out who holds a token."""

    async def authenticate(self, token: str) -> Identity | None:
        """Who that is; None for whatever reason the token is not valid."""
        ...


@dataclass(frozen=True, slots=True)
class APIKeyEntry:
    """A token and who holds it."""

    token: str = field(repr=False)
    identity: Identity


class APIKeyAuthenticator:
    """Knows the entries that it was given, and nobody else.

    >>> operator = Identity("operator", "", frozenset({"job:read"}))
    >>> APIKeyAuthenticator(APIKeyEntry("a long random secret", operator))  # doctest: +ELLIPSIS
    <...APIKeyAuthenticator object at ...>
    """

    def __init__(self, *entries: APIKeyEntry) -> None:
        for entry in entries:
            if len(entry.token) < 16:
                raise ValueError(f"the token of {entry.identity.name} has fewer than 16 characters: it can be guessed")
        self._entries = [(_digest(entry.token), entry.identity) for entry in entries]

    async def authenticate(self, token: str) -> Identity | None:
        given = _digest(token)
        found = None
        for known, identity in self._entries:
            if hmac.compare_digest(given, known):
                found = identity
        return found


class StoredKeys:
    """Knows the API keys of an app's store (`dispatch apikey create`)."""

    def __init__(self, app: Dispatch) -> None:
        self._app = app

    async def authenticate(self, token: str) -> Identity | None:
        return await self._app.keys.authenticate(token)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
