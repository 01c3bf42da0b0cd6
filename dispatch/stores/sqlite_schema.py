"""The schema of a SQLite store: is this file ours, which migrations does it lack, apply them one transaction each."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from dispatch.errors import SchemaMismatch, StoreCorrupt
from dispatch.store import SchemaStatus

APPLICATION_ID = 0x44535043
"""Marks a file as a Dispatch store ("DSPC")."""
LIBRARY = sqlite3.sqlite_version

_FOLDER = Path(__file__).parent / "sql" / "sqlite" / "migrations"


def migrations() -> list[tuple[int, str, str]]:
    """Number, name and text of every migration, in order."""
    found = [(int(file.name[:4]), file.stem, file.read_text()) for file in sorted(_FOLDER.glob("*.sql"))]
    if [number for number, *_ in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"{_FOLDER} lacks a number: {[name for _, name, _ in found]}")
    return found


def status(connection: sqlite3.Connection, path: str) -> SchemaStatus:
    """What the file's schema is; StoreCorrupt when the file belongs to another program."""
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    current = connection.execute("PRAGMA user_version").fetchone()[0]
    if mark != APPLICATION_ID:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if mark or current or tables:
            raise StoreCorrupt(
                f"{path} is not a Dispatch store: it is a SQLite database of another program ({tables} tables and "
                "indexes); name another file"
            )
        current = 0
    known = migrations()
    return SchemaStatus(current, len(known), tuple(name for number, name, _ in known if number > current))


def refuse_newer(found: SchemaStatus, path: str) -> None:
    """SchemaMismatch when a newer library has been here."""
    if found.current > found.wanted:
        raise SchemaMismatch(
            f"{path} has schema {found.current}, this library knows up to {found.wanted}: upgrade dispatch-tasks here"
        )


def refuse_older(found: SchemaStatus, path: str) -> None:
    """SchemaMismatch when migrations are pending."""
    if found.pending:
        raise SchemaMismatch(
            f"{path} has schema {found.current}, this library needs {found.wanted}: "
            'run `dispatch store migrate`, or open it with migrate="auto"'
        )


def apply_next(connection: sqlite3.Connection, path: str) -> str | None:
    """Applies the first pending migration in its own transaction and answers its name; None: nothing is pending."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = status(connection, path)
        refuse_newer(found, path)
        if not found.pending:
            connection.execute("ROLLBACK")
            return None
        number, name, text = migrations()[found.current]
        for statement in split(text):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return name


def split(script: str) -> Iterator[str]:
    """The statements of a script, one by one."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        raise ValueError(f"the script ends inside a statement: {pending.strip()[:80]!r}")
