"""How an app knows who is let in at its doors: made when a door opens, for a worker needs none of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatch.lazily import lazily

if TYPE_CHECKING:
    from dispatch.services import APIKeyService, AuditService, LoginService
    from dispatch.store import Store


class Admitting:
    """The part of Dispatch about keys, tickets and sessions."""

    _timed_store: Store

    if TYPE_CHECKING:

        @property
        def audit(self) -> AuditService: ...

    @lazily
    def keys(self) -> APIKeyService:
        """The API keys: make, list, revoke and check them."""
        from dispatch.services import APIKeyService

        return APIKeyService(self._timed_store, audit=self.audit)

    @lazily
    def logins(self) -> LoginService:
        """What stands in for a key where a browser cannot send one."""
        from dispatch.services import LoginService

        return LoginService(self._timed_store, keys=self.keys, audit=self.audit)
