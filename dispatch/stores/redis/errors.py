"""Maps what Redis complains about to the store errors, each saying what happened and what to do next."""

from __future__ import annotations

import ssl
from collections.abc import Iterable

from dispatch.errors import (
    StoreAway,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreTimeout,
    StoreUnreachable,
)
from dispatch.stores.redis.wire import Refusal, Reply

_AWAY = {
    "LOADING": "the server is still loading its data; try again in a moment",
    "MASTERDOWN": "this replica has lost its primary; try again once the fail-over is over",
}
_UNREACHABLE = {
    "CLUSTERDOWN": "the server is part of a cluster that is down",
    "MOVED": "the server is part of a cluster, which this store does not speak to; use a server without cluster mode",
    "NOAUTH": "the server wants a password; put it into the URL: redis://:PASSWORD@host",
    "WRONGPASS": "user or password are wrong",
    "NOPERM": "the user may not do what the store needs: +@scripting, +@pubsub, +info, and the keys ~{NAMESPACE}:*",
}
_READ_ONLY = {
    "READONLY": "the server is a read-only replica now; nothing was written. After a fail-over the URL must name the "
    "new primary",
    "MISCONF": "the server cannot save its data to disk and refuses writes; nothing was written. See its log",
    "NOREPLICAS": "too few replicas are connected, so the server refuses writes; nothing was written",
}
_DROPS = frozenset({"READONLY", "LOADING", "MASTERDOWN", "NOAUTH", "WRONGPASS", "MISCONF"})
"""After one of these the next call goes through a new connection: it may reach another server."""


def drops_connection(replies: Iterable[Reply]) -> bool:
    """Whether the connection that these came on should not be used again."""
    return any(isinstance(reply, Refusal) and reply.code in _DROPS for reply in replies)


def store_error(error: BaseException, url: str) -> StoreError | None:
    """The store error that stands for `error`; None when it is none of Redis's."""
    code = error.code if isinstance(error, Refusal) else ""
    if code in _AWAY:
        return StoreAway(f"{url}: {_AWAY[code]} ({error})")
    if code in _UNREACHABLE:
        return StoreUnreachable(f"{url}: {_UNREACHABLE[code]} ({error})")
    if code in _READ_ONLY:
        return StoreReadOnly(f"{url}: {_READ_ONLY[code]}")
    if code == "OOM":
        return StoreFull(
            f"{url}: the server has reached its maxmemory; nothing was written. Raise maxmemory, let workers finish "
            "jobs, or shorten [retention]"
        )
    if code == "BUSY":
        return StoreBusy(f"{url}: another client's script keeps the server busy ({error}); nothing was written")
    if "DB index is out of range" in str(error):
        return StoreUnreachable(f"{url}: the server has no database of that number; name one below its `databases`")
    if code == "WRONGTYPE":
        return StoreCorrupt(
            f"{url}: a key of this namespace holds something else ({error}); another program uses the same names"
        )
    if isinstance(error, Refusal):
        return StoreCorrupt(f"{url}: the server could not do it ({error})")
    if isinstance(error, TimeoutError):
        return StoreTimeout(f"{url}: no answer in time; the call may or may not have been done")
    if isinstance(error, ssl.SSLCertVerificationError):
        return StoreUnreachable(
            f"{url}: the server's certificate cannot be verified ({error}). Add "
            "?ssl_ca_certs=/path/to/ca.pem to the URL"
        )
    if isinstance(error, OSError):
        return StoreAway(
            f"{url}: the server cannot be reached ({str(error) or type(error).__name__}). Is it running, and are host "
            "and port right?"
        )
    return None
