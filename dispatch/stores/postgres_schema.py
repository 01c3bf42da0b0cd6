"""The schema of a PostgreSQL store: which migrations does it lack, apply them one transaction each, one at a time."""

from __future__ import annotations

from pathlib import Path

import asyncpg

from dispatch.errors import SchemaMismatch, StoreCorrupt
from dispatch.store import SchemaStatus
from dispatch.stores.postgres_errors import store_error
from dispatch.stores.postgres_url import Place
from dispatch.stores.postgres_url import place as place_of
from dispatch.stores.server_executor import Connection

_FOLDER = Path(__file__).parent / "sql" / "postgres" / "migrations"
_VERSIONS = "dispatch_migrations"
_DROP_LIMIT = 10.0


def migrations() -> list[tuple[int, str, str]]:
    """Number, name and text of every migration, in order."""
    found = [(int(file.name[:4]), file.stem, file.read_text()) for file in sorted(_FOLDER.glob("*.sql"))]
    if [number for number, *_ in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"{_FOLDER} lacks a number: {[name for _, name, _ in found]}")
    return found


async def status(connection: Connection, place: Place) -> SchemaStatus:
    """What the store's schema is; 0 when there is none."""
    known = migrations()
    table = f"{place.schema}.{_VERSIONS}"
    there = await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table)
    current = await connection.fetchval(f"SELECT coalesce(max(number), 0) FROM {table}") if there else 0  # noqa: S608
    return SchemaStatus(current, len(known), tuple(name for number, name, _ in known if number > current))


def refuse_newer(found: SchemaStatus, place: Place) -> None:
    """SchemaMismatch when a newer library has been here."""
    if found.current > found.wanted:
        raise SchemaMismatch(
            f"{place.shown} (schema {place.schema}) has schema {found.current}, this library knows up to "
            f"{found.wanted}: upgrade dispatch-tasks here"
        )


def refuse_older(found: SchemaStatus, place: Place) -> None:
    """SchemaMismatch when migrations are pending."""
    if found.pending:
        what = f"has schema {found.current}" if found.current else "is empty"
        raise SchemaMismatch(
            f"{place.shown} (schema {place.schema}) {what}, this library needs {found.wanted}: "
            'run `dispatch store migrate`, or open it with migrate="auto"'
        )


async def migrate(connection: Connection, place: Place) -> list[str]:
    """Applies what is pending and answers the names; another process that does the same waits, then finds it done.

    An empty store is made whole in one transaction, so that nobody who looks meanwhile takes it for an old one.
    """
    applied: list[str] = []
    while True:
        async with connection.transaction():
            # held until the transaction's end; the number is this library's, the rest the schema's name
            await connection.execute("SELECT pg_advisory_xact_lock(1146310467, hashtext($1))", place.namespace)
            found = await status(connection, place)
            refuse_newer(found, place)
            if not found.pending:
                return applied
            pending = migrations()[found.current :]
            for number, name, text in pending[:1] if found.current else pending:
                try:
                    await connection.execute(script(place, number, name, text))
                except (asyncpg.DuplicateTableError, asyncpg.DuplicateObjectError) as error:
                    raise StoreCorrupt(
                        f"{place.shown}: the schema {place.schema} holds tables of another program ({error}); "
                        "choose another namespace"
                    ) from error
                applied.append(name)


def identity(place: Place) -> str:
    """Asks for what tells this store from every other, its copy on another server included."""
    return (
        "SELECT (SELECT oid::int8 FROM pg_database WHERE datname = current_database()), tableoid::int8, "  # noqa: S608
        f"(extract(epoch FROM applied_at) * 1000000)::int8 FROM {place.schema}.{_VERSIONS} WHERE number = 1"
    )


async def drop(url: str, namespace: str) -> None:
    """Removes a schema with all that is in it; none is no error. Only for what was made to be thrown away."""
    where = place_of(url, namespace)
    try:
        connection = await asyncpg.connect(**where.connect_options(), timeout=_DROP_LIMIT)
        try:
            await connection.execute(f"DROP SCHEMA IF EXISTS {where.schema} CASCADE")
        finally:
            connection.terminate()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise store_error(error, where.shown) or error from error


def script(place: Place, number: int, name: str, text: str) -> str:
    """One migration as it is run: in the store's schema, which it makes if need be, and noted at its end."""
    # the schema's name is quoted and checked, the rest is ours
    return f"""\
CREATE SCHEMA IF NOT EXISTS {place.schema};
SET LOCAL statement_timeout TO 0;
SET LOCAL search_path TO {place.schema};
CREATE TABLE IF NOT EXISTS {_VERSIONS} (number BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at TIMESTAMPTZ NOT NULL);
{text.replace("{schema}", place.schema)}
INSERT INTO {_VERSIONS} (number, name, applied_at) VALUES ({number}, '{name}', now());
"""  # noqa: S608
