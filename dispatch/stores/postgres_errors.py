"""Maps what PostgreSQL and its driver complain about to the store errors, each saying what to do next."""

from __future__ import annotations

import asyncio
import ssl

from asyncpg import exceptions as pg

from dispatch.errors import (
    DataRejected,
    SchemaMismatch,
    StoreAway,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreTimeout,
    StoreUnreachable,
)

AGAIN = (pg.DeadlockDetectedError, pg.SerializationError, pg.LockNotAvailableError)
"""Nothing was written, and the same transaction may go through at once."""

_NO_ENTRY = (pg.InvalidAuthorizationSpecificationError, pg.InvalidPasswordError)
_FULL = (pg.DiskFullError, pg.OutOfMemoryError)
_GONE = (pg.UndefinedTableError, pg.UndefinedColumnError, pg.InvalidSchemaNameError)
_DAMAGED = (pg.DataCorruptedError, pg.IndexCorruptedError)
_DATA = (
    *(pg.DataError, pg.IntegrityConstraintViolationError, pg.ProgramLimitExceededError),
    # what the driver refuses to encode
    *(OverflowError, UnicodeError, TypeError),
)
_CUT = (pg.IdleInTransactionSessionTimeoutError, pg.IdleSessionTimeoutError, pg.TransactionTimeoutError)
_ENDING = (pg.CannotConnectNowError, pg.AdminShutdownError, pg.CrashShutdownError)
_NETWORK = (OSError, EOFError, pg.PostgresConnectionError, pg.InterfaceError, pg.InternalClientError)


def store_error(error: BaseException, url: str) -> StoreError | None:
    """The store error that stands for `error`; None when it is none of the server's and none of the data's."""
    if isinstance(error, pg.ConnectionDoesNotExistError) and isinstance(error.__cause__, pg.PostgresError):
        error = error.__cause__  # why the server has cut it
    said = _said(error)
    if isinstance(error, _NO_ENTRY):
        return StoreUnreachable(
            f"{url}: the server refuses this user ({said}). Check user, password and the server's pg_hba.conf"
        )
    if isinstance(error, pg.InvalidCatalogNameError):
        return StoreUnreachable(f"{url}: {said}. Create it (`createdb`), or name another database in the URL")
    if isinstance(error, ssl.SSLCertVerificationError):
        return StoreUnreachable(
            f"{url}: the server's certificate cannot be verified ({said}). Add sslrootcert=/path/to/ca.pem to the URL; "
            "without sslmode in the URL nothing is verified"
        )
    if isinstance(error, pg.InsufficientPrivilegeError):
        return StoreReadOnly(
            f"{url}: the user may not do it ({said}); nothing was written. GRANT it what is missing, or let its owner "
            "run `dispatch store migrate`"
        )
    if isinstance(error, pg.ReadOnlySQLTransactionError):
        return StoreReadOnly(
            f"{url}: the server takes no writes ({said}); nothing was written. Name the primary, not a standby"
        )
    if isinstance(error, pg.TooManyConnectionsError):
        return StoreAway(
            f"{url}: {said}. Lower pool_size in [postgres] or `processes`, raise max_connections, or use a pooler"
        )
    if isinstance(error, _FULL):
        return StoreFull(f"{url}: no room left ({said}); nothing was written. Free space where the server keeps data")
    if isinstance(error, _DAMAGED):
        return StoreCorrupt(f"{url}: the data is damaged ({said}). Look into the server's log; restore a backup")
    if isinstance(error, AGAIN):
        return StoreBusy(
            f"{url}: other transactions were in the way for too long ({said}); nothing was written. Try again"
        )
    if isinstance(error, TimeoutError | asyncio.TimeoutError | pg.QueryCanceledError):
        return StoreTimeout(f"{url}: the server took too long; whether it was done is unknown")
    if isinstance(error, _GONE):
        return SchemaMismatch(
            f"{url}: a table is not there or not as it should be ({said}). Look at `dispatch store status`"
        )
    if isinstance(error, _DATA):
        return DataRejected(
            f"{url}: a value cannot be stored ({type(error).__name__}: {said}); nothing of that write was stored"
        )
    if isinstance(error, _ENDING):
        return StoreAway(f"{url}: the server starts or stops ({said}); try again in a moment")
    if isinstance(error, _CUT):
        return StoreAway(
            f"{url}: the server has ended the session, in which this process stood still for too long ({said}); what "
            "was not committed was not written. Try again"
        )
    if isinstance(error, _NETWORK):
        return StoreAway(
            f"{url}: the server does not answer ({type(error).__name__}: {said}). Check that it runs and that host and "
            "port are right"
        )
    if isinstance(error, pg.PostgresError):
        return StoreUnreachable(f"{url}: PostgreSQL could not do it ({type(error).__name__}: {said})")
    return None


def _said(error: BaseException) -> str:
    """The first line of what it says, without what it hints at: details may quote stored values."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
