"""The schema of a MySQL store: which migrations does it lack, apply them one at a time, whoever else does the same."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dispatch.errors import SchemaMismatch, StoreBusy, StoreCorrupt
from dispatch.store import SchemaStatus
from dispatch.stores.mysql_place import Place
from dispatch.stores.mysql_put import rows
from dispatch.stores.sql.statements import TABLES, filled

_FOLDER = Path(__file__).parent / "sql" / "mysql" / "migrations"
_VERSIONS = "migrations"
_PATIENCE = 300
"""Seconds to wait for another process that migrates."""
_STRICT = ("STRICT_TRANS_TABLES", "STRICT_ALL_TABLES")


def migrations() -> list[tuple[int, str, str]]:
    """Number, name and text of every migration, in order."""
    found = [(int(file.name[:4]), file.stem, file.read_text()) for file in sorted(_FOLDER.glob("*.sql"))]
    if [number for number, *_ in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"{_FOLDER} lacks a number: {[name for _, name, _ in found]}")
    return found


async def status(connection: Any, place: Place) -> SchemaStatus:
    """What the store's schema is; 0 when there is none."""
    known = migrations()
    current = 0
    if (await rows(connection, *_tables_like(place, [_VERSIONS])))[0][0]:
        number = f"SELECT coalesce(max(number), 0) FROM {place.table(_VERSIONS)}"  # noqa: S608
        current = (await rows(connection, number))[0][0]
    await connection.rollback()
    return SchemaStatus(current, len(known), tuple(name for number, name, _ in known if number > current))


def refuse_newer(found: SchemaStatus, place: Place) -> None:
    """SchemaMismatch when a newer library has been here."""
    if found.current > found.wanted:
        raise SchemaMismatch(
            f"{place.shown} (tables {place.namespace}_…) has schema {found.current}, this library knows up to "
            f"{found.wanted}: upgrade dispatch-tasks here"
        )


def refuse_older(found: SchemaStatus, place: Place) -> None:
    """SchemaMismatch when migrations are pending."""
    if found.pending:
        what = f"has schema {found.current}" if found.current else "is empty"
        raise SchemaMismatch(
            f"{place.shown} (tables {place.namespace}_…) {what}, this library needs {found.wanted}: "
            'run `dispatch store migrate`, or open it with migrate="auto"'
        )


async def migrate(connection: Any, place: Place) -> list[str]:
    """Applies what is pending and answers the names.

    No statement that makes a table can be taken back. So each may be repeated: whoever died half-way is continued by
    the next, as what is done is noted after the last of them; of a new store all at once, so that nobody who looks
    meanwhile takes it for an old one.
    """
    applied: list[str] = []
    async with _alone(connection, place):
        await _refuse_strangers(connection, place)
        while True:
            found = await status(connection, place)
            refuse_newer(found, place)
            if not found.pending:
                return applied
            pending = migrations()[found.current :]
            chosen = pending[:1] if found.current else pending
            notes = []
            for number, name, text in chosen:
                *steps, note = statements(place, number, name, text)
                notes.append(note)
                for step in steps:
                    await rows(connection, step)
            for note in notes:
                await rows(connection, note)
            await connection.commit()
            applied += [name for _, name, _ in chosen]


@asynccontextmanager
async def _alone(connection: Any, place: Place) -> AsyncIterator[None]:
    """Nobody else migrates this store; a lock ends with its connection."""
    whole = f"{place.database}.{place.namespace}"
    name = f"dispatch:{hashlib.sha256(whole.encode()).hexdigest()[:40]}"
    ((got,),) = await rows(connection, "SELECT GET_LOCK(%(name)s, %(patience)s)", {"name": name, "patience": _PATIENCE})
    if got != 1:
        raise StoreBusy(f"{place.shown}: another process has been migrating it for {_PATIENCE} s. Look what it does")
    try:
        # what is there already is worth no note to anybody
        await rows(connection, "SET SESSION sql_notes = 0")
        yield
    finally:
        await rows(connection, "SET SESSION sql_notes = 1")
        await rows(connection, "SELECT RELEASE_LOCK(%(name)s)", {"name": name})
        await connection.rollback()


async def _refuse_strangers(connection: Any, place: Place) -> None:
    text, params = _tables_like(place, [_VERSIONS, *TABLES])
    found = await rows(connection, text.replace("count(*)", "table_name") + " AND table_comment <> 'dispatch'", params)
    await connection.rollback()
    if found:
        raise StoreCorrupt(
            f"{place.shown}: there is a table {found[0][0]} of another program; choose another namespace"
        )


def _tables_like(place: Place, names: list[str]) -> tuple[str, dict[str, Any]]:
    text = (
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = %(database)s AND table_name IN %(names)s"
    )
    return text, {"database": place.database, "names": tuple(f"{place.namespace}_{name}" for name in names)}


def identity(place: Place) -> str:
    """Asks for what tells this store from every other, its copy on another server included."""
    return f"SELECT @@hostname, @@port, identity FROM {place.table(_VERSIONS)} WHERE number = 1"  # noqa: S608


def statements(place: Place, number: int, name: str, text: str) -> list[str]:
    """The statements of one migration, and the one that notes that it was applied."""
    lines = (line for line in filled(text, place.words).splitlines() if not line.lstrip().startswith("--"))
    table = place.table(_VERSIONS)
    return [
        f"CREATE TABLE IF NOT EXISTS {table} (number BIGINT PRIMARY KEY, name VARCHAR(255) NOT NULL, "
        f"identity VARCHAR(64) NOT NULL, applied_at DATETIME(6) NOT NULL) {place.words['table']}",
        *(part.strip() for part in "\n".join(lines).strip().rstrip(";").split(";\n") if part.strip()),
        f"INSERT INTO {table} (number, name, identity, applied_at) "  # noqa: S608
        f"VALUES ({number}, '{name}', UUID(), UTC_TIMESTAMP(6))",
    ]


async def refuse_lax(connection: Any, place: Place) -> None:
    """StoreCorrupt for a session that would cut values short instead of refusing them."""
    ((mode, charset),) = await rows(connection, "SELECT @@sql_mode, @@character_set_connection")
    await connection.rollback()
    if not set(mode.split(",")) & set(_STRICT) or charset != "utf8mb4":
        raise StoreCorrupt(
            f"{place.shown}: sessions have sql_mode {mode!r} and character set {charset}, so that values would be "
            "changed silently. Set STRICT_TRANS_TABLES on the server or the engine, and charset=utf8mb4 in the URL"
        )


async def drop(connection: Any, place: Place) -> None:
    """Removes the tables of a namespace; none is no error. Only for what was made to be thrown away."""
    for name in [*TABLES, _VERSIONS]:
        await rows(connection, f"DROP TABLE IF EXISTS {place.table(name)}")
    await connection.commit()
