"""Clients of a Dispatch server: over the wire protocol, for asyncio and for threads, and of its HTTP API."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dispatch.client.client import Client
    from dispatch.client.errors import (
        ClientError,
        ConnectionLost,
        Forbidden,
        RequestTimeout,
        ServerFailed,
        TooManyRequests,
        Unauthenticated,
    )
    from dispatch.client.http import HTTPClient
    from dispatch.client.subscription import Event, Subscription
    from dispatch.client.sync import SyncClient, SyncSubscription

_ERRORS = "dispatch.client.errors"
_HOMES = {
    "Client": "dispatch.client.client",
    "ClientError": _ERRORS,
    "ConnectionLost": _ERRORS,
    "Event": "dispatch.client.subscription",
    "Forbidden": _ERRORS,
    "HTTPClient": "dispatch.client.http",
    "RequestTimeout": _ERRORS,
    "ServerFailed": _ERRORS,
    "Subscription": "dispatch.client.subscription",
    "SyncClient": "dispatch.client.sync",
    "SyncSubscription": "dispatch.client.sync",
    "TooManyRequests": _ERRORS,
    "Unauthenticated": _ERRORS,
}
__all__ = [
    "Client",
    "ClientError",
    "ConnectionLost",
    "Event",
    "Forbidden",
    "HTTPClient",
    "RequestTimeout",
    "ServerFailed",
    "Subscription",
    "SyncClient",
    "SyncSubscription",
    "TooManyRequests",
    "Unauthenticated",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
