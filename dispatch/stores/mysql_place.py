"""What a MySQL URL and a namespace mean: the database, and how the tables in it are called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dispatch.errors import ConfigError
from dispatch.stores.sql.statements import TABLES

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}", re.ASCII)
_TABLE = (
    "ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 "
    # by byte, a space at the end included: each of the two servers has its own name for that, and skips the other's
    "COLLATE /*!80000 utf8mb4_0900_bin *//*M!100600 utf8mb4_nopad_bin */ COMMENT 'dispatch'"
)

_TOLD = {
    "tenant_told": "CASE WHEN NEW.app_id = '' AND NEW.org_id = '' THEN '' ELSE CONCAT(NEW.app_id, '/', NEW.org_id) END",
    "scope_told": "'scope_app_id', nullif(NEW.app_id, ''), 'scope_org_id', nullif(NEW.org_id, '')",
    "error_told": (
        "JSON_OBJECT('error', JSON_OBJECT('type', coalesce(NEW.error_type, NEW.reason, ''), "
        "'message', coalesce(NEW.error_message, '')))"
    ),
}
"""What the triggers of the feed say in several places."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the data is: the tables of one database whose names begin with the namespace."""

    shown: str
    """The URL with its password masked."""
    database: str
    namespace: str

    def table(self, name: str) -> str:
        """A table as SQL writes it, whatever database a connection is in."""
        return f"`{self.database.replace('`', '``')}`.`{self.namespace}_{name}`"

    @property
    def words(self) -> Mapping[str, str]:
        """What stands for each `{name}` in statements and migrations."""
        return {
            **{name: self.table(name) for name in TABLES},
            "database": f"`{self.database.replace('`', '``')}`",
            "namespace": self.namespace,
            "table": _TABLE,
            **_TOLD,
        }


def place(shown: str, database: str | None, namespace: str) -> Place:
    """The place that a database and a namespace name; ConfigError when they name none."""
    if not _NAME.fullmatch(namespace):
        raise ConfigError(
            f"namespace = {namespace!r}: on MySQL the names of tables begin with it: a letter or _, then letters, "
            "digits and _, at most 40"
        )
    if not database:
        raise ConfigError(f"{shown} names no database; write …://user@host/database")
    return Place(shown, database, namespace)
