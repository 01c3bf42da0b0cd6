"""Maps what MySQL, MariaDB and their driver complain about to the store errors, each saying what to do next."""

from __future__ import annotations

import ssl

from dispatch.errors import (
    DataRejected,
    SchemaMismatch,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreTimeout,
    StoreUnreachable,
)

DUPLICATE = 1062
"""A row that another transaction has just added: looked at again, it is there."""
AGAIN = frozenset((DUPLICATE, 1020, 1205, 1213, 1637, 3058, 3572))
"""Duplicate, changed since it was read, lock wait, deadlock, too many transactions at once, locks not free at once."""
_NO_ENTRY = frozenset((1044, 1045, 1698, 3118, 4151))
_NO_DATABASE = 1049
_NO_TRIGGERS = 1419
_MAY_NOT = frozenset((1142, 1143, 1227, 1370, 3879))
_READ_ONLY = frozenset((1290, 1792, 1836, 3100))
_TOO_MANY = frozenset((1040, 1203, 1226))
_FULL = frozenset((1021, 1037, 1038, 1041, 1114, 1206))
_DAMAGED = frozenset((1034, 1035, 1194, 1195, 1712))
_TOO_LONG = frozenset((1028, 1317, 1969, 3024))
_GONE = frozenset((1054, 1146, 1305, 1932))
_DATA = frozenset(
    (1048, 1153, 1216, 1217, 1264, 1265, 1292, 1300, 1366, 1367, 1406, 1451, 1452, 3819, 3854, 4025, 4078)
)


def code_of(error: BaseException) -> int | None:
    """The number of the server's or the driver's complaint; None when it is neither's."""
    if not type(error).__module__.startswith(("asyncmy", "pymysql")):
        return None
    first = error.args[0] if error.args else None
    return first if isinstance(first, int) else 0


def is_again(error: BaseException) -> bool:
    """Whether nothing was written, and the same transaction may go through at once."""
    return code_of(error) in AGAIN


def survives(error: BaseException) -> bool:
    """Whether the server said it, so that the connection can be used again."""
    code = code_of(error)
    return code is not None and (1000 <= code < 2000 or code >= 3000)


def store_error(error: BaseException, url: str) -> StoreError | None:
    """The store error that stands for `error`; None when it is none of the server's and none of the data's."""
    said = _said(error)
    if isinstance(error, TimeoutError):
        return StoreTimeout(f"{url}: the server took too long; whether it was done is unknown")
    if isinstance(error, ssl.SSLError):
        return StoreUnreachable(f"{url}: no TLS connection could be made ({said})")
    if isinstance(error, OSError | EOFError):
        return _unreachable(error, url, said)
    if isinstance(error, OverflowError | UnicodeError | TypeError):
        return DataRejected(
            f"{url}: a value cannot be stored ({type(error).__name__}: {said}); nothing of that write was stored"
        )
    if isinstance(error, RuntimeError) and "cryptography" in said:
        return StoreUnreachable(
            f"{url}: without TLS this user's password has to be encrypted: pip install cryptography, or use TLS"
        )
    code = code_of(error)
    return None if code is None else _told(error, code, url, said)


def _told(error: BaseException, code: int, url: str, said: str) -> StoreError:
    if code in _NO_ENTRY:
        return StoreUnreachable(f"{url}: the server refuses this user ({said}). Check user, password and their grants")
    if code == _NO_DATABASE:
        return StoreUnreachable(f"{url}: {said}. CREATE DATABASE, or name another one in the URL")
    if code == _NO_TRIGGERS:
        return StoreReadOnly(
            f"{url}: this user may make no triggers ({said}). SET GLOBAL log_bin_trust_function_creators = 1 "
            "(a parameter of managed servers), or let an administrator run `dispatch store migrate`"
        )
    if code in _MAY_NOT:
        return StoreReadOnly(
            f"{url}: the user may not do it ({said}); nothing was written. GRANT it what is missing, or let its owner "
            "run `dispatch store migrate`"
        )
    if code in _READ_ONLY:
        return StoreReadOnly(f"{url}: the server takes no writes ({said}); nothing was written. Name the primary")
    if code in _TOO_MANY:
        return StoreUnreachable(f"{url}: {said}. Lower pool_size or `processes`, or raise max_connections")
    if code in _FULL:
        return StoreFull(f"{url}: no room left ({said}); nothing was written. Free space where the server keeps data")
    if code in _DAMAGED:
        return StoreCorrupt(f"{url}: the data is damaged ({said}). Look into the server's log; restore a backup")
    if code in AGAIN:
        return StoreBusy(
            f"{url}: other transactions were in the way for too long ({said}); nothing was written. Try again"
        )
    if code in _TOO_LONG:
        return StoreTimeout(f"{url}: the server took too long ({said}); whether it was done is unknown")
    if code in _GONE:
        return SchemaMismatch(
            f"{url}: a table is not there or not as it should be ({said}). Look at `dispatch store status`"
        )
    if code in _DATA or (code == 0 and "can not be used with MySQL" in said):
        return DataRejected(f"{url}: a value cannot be stored ({said}); nothing of that write was stored")
    if survives(error):
        return StoreUnreachable(f"{url}: the server could not do it ({said})")
    return _unreachable(error, url, said)


def _unreachable(error: BaseException, url: str, said: str) -> StoreUnreachable:
    return StoreUnreachable(
        f"{url}: the server does not answer ({type(error).__name__}: {said}). Check that it runs and that host and "
        "port are right"
    )


def _said(error: BaseException) -> str:
    """The first line of what it says."""
    parts = [str(part) for part in error.args] if len(error.args) == 2 else [str(error)]
    return (": ".join(parts).strip() or type(error).__name__).splitlines()[0]
