"""An enqueue inside of the caller's transaction on the file of a SQLite store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from dispatch.errors import DispatchError, NotTransactional
from dispatch.stores import sqlite_schema
from dispatch.stores.sql.plan import Plan
from dispatch.stores.sqlite_errors import store_error

T = TypeVar("T")
_SAVEPOINT = "dispatch_enqueue"


def run_inside(
    raw: sqlite3.Connection,
    plan: Callable[[], Plan[T]],
    *,
    path: str,
    drive: Callable[[sqlite3.Connection, Plan[T]], T],
) -> T:
    """Runs the plan as a part of the transaction that `raw` is in (or begins, where the driver begins by itself).

    All of the plan is done or none of it, and a refusal leaves the transaction as it was. Called on the thread that
    the connection belongs to.

    Raises:
        NotTransactional: it is a connection to another file, or commits each statement by itself.
    """
    with _plain(raw):
        try:
            _refuse_other_file(raw, path)
            found = sqlite_schema.status(raw, path)
            sqlite_schema.refuse_newer(found, path)
            sqlite_schema.refuse_older(found, path)
            if not raw.in_transaction:
                _refuse_autocommit(raw)
                raw.execute("BEGIN IMMEDIATE")
            raw.execute(f"SAVEPOINT {_SAVEPOINT}")
            try:
                answer = drive(raw, plan())
            except BaseException:
                with suppress(sqlite3.Error):  # some errors have ended the whole transaction
                    raw.execute(f"ROLLBACK TO {_SAVEPOINT}")
                    raw.execute(f"RELEASE {_SAVEPOINT}")
                raise
            raw.execute(f"RELEASE {_SAVEPOINT}")
            return answer
        except DispatchError:
            raise
        except Exception as error:
            told = store_error(error, path)
            if told is None:
                raise
            raise told from error


@contextmanager
def _plain(raw: sqlite3.Connection) -> Iterator[None]:
    """Rows as tuples and text as str, whatever the caller has them made into."""
    rows, text = raw.row_factory, raw.text_factory
    raw.row_factory, raw.text_factory = None, str
    try:
        yield
    finally:
        raw.row_factory, raw.text_factory = rows, text


def _refuse_other_file(raw: sqlite3.Connection, path: str) -> None:
    files = [file for _, name, file in raw.execute("PRAGMA database_list").fetchall() if name == "main"]
    main = files[0] if files else ""
    if main and Path(main).exists() and Path(path).exists() and Path(main).samefile(path):
        return
    raise NotTransactional(
        f"connection is to {main or 'a database in memory'}, but the store is {path}: a transaction spans one file. "
        "Connect to the store's file, and keep your own tables there, or enqueue without connection= after the commit"
    )


def _refuse_autocommit(raw: sqlite3.Connection) -> None:
    # isolation_level is the way of all versions, `autocommit` that of Python 3.12
    if raw.isolation_level is None or getattr(raw, "autocommit", -1) is True:
        raise NotTransactional(
            "connection commits each statement by itself and is in no transaction: execute BEGIN first "
            "(with Django: inside transaction.atomic()), so that there is a commit that the job can belong to"
        )
