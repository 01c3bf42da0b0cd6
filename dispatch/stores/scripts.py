"""The migrations of a kind of store as text, for people who apply them by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dispatch.masking import mask_url
from dispatch.stores import kind

_FOLDER = Path(__file__).parent / "sql"


def migration_scripts(url: str, namespace: str = "dispatch") -> Mapping[str, str]:
    """Name → statements of every migration, in order; none where that kind of store keeps no schema.

    Args:
        url: of the store; nothing is opened.
        namespace: where the tables stand on a server that several applications share.
    """
    what = kind(url)
    if what == "sqlite":
        return {file.stem: file.read_text() for file in sorted((_FOLDER / "sqlite" / "migrations").glob("*.sql"))}
    if what == "postgresql":
        from dispatch.stores.postgres_schema import migrations, script
        from dispatch.stores.postgres_url import place

        where = place(f"postgresql://{url.partition('://')[2]}", namespace)
        return {name: f"BEGIN;\n{script(where, number, name, text)}COMMIT;\n" for number, name, text in migrations()}
    if what == "mysql":
        from sqlalchemy.engine import make_url

        from dispatch.stores import mysql_schema
        from dispatch.stores.mysql_place import place as mysql_place

        there = mysql_place(mask_url(url), make_url(url.removeprefix("sqlalchemy+")).database, namespace)
        return {
            name: ";\n\n".join(mysql_schema.statements(there, number, name, text)) + ";\n"
            for number, name, text in mysql_schema.migrations()
        }
    return {}
