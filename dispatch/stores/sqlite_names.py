"""Names and ids in a SQLite store, read straight from the file: for completion, which has no time to open the store."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal
from urllib.parse import quote

Named = Literal["queue", "name", "worker", "letter", "job", "run", "workflow", "cron"]
_PATIENCE = 0.05
"""Seconds to wait for a lock."""
_MOST = 100

_QUERIES: dict[Named, str] = {
    "queue": """
        WITH RECURSIVE walk (queue) AS (
          SELECT min(queue) FROM jobs WHERE ready = 1
          UNION ALL
          SELECT (SELECT min(jobs.queue) FROM jobs WHERE ready = 1 AND jobs.queue > walk.queue)
          FROM walk WHERE walk.queue IS NOT NULL)
        SELECT queue AS found FROM walk UNION SELECT name FROM queues UNION SELECT queue FROM definitions""",
    "name": "SELECT name AS found FROM definitions WHERE kind = 'job'",
    "worker": "SELECT id AS found FROM workers WHERE state <> 'dead'",
    "letter": "SELECT id AS found FROM dlq WHERE state = 'open'",
    "job": "SELECT id AS found FROM jobs WHERE kind <> 'workflow'",
    "run": "SELECT id AS found FROM runs",
    "workflow": "SELECT name AS found FROM definitions WHERE kind = 'workflow'",
    "cron": "SELECT name AS found FROM crons",
}
_NEWEST_FIRST = ("worker", "letter", "job", "run")


def names_in(path: Path, named: Named, prefix: str) -> list[str]:
    """What begins with `prefix`, at most a hundred: names in order, ids newest first; nothing when the file cannot be
    read at once.

    Queues are those that wait, are configured, or that a definition names; dead letters are the open ones.
    """
    order = "DESC" if named in _NEWEST_FIRST else "ASC"
    sql = (
        f"SELECT DISTINCT found FROM ({_QUERIES[named]}) "  # noqa: S608 - nothing of it comes from outside
        f"WHERE found >= ? AND found < ? ORDER BY found {order} LIMIT {_MOST}"
    )
    address = f"file:{quote(str(path.resolve()))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_PATIENCE)) as connection:
            return [found for (found,) in connection.execute(sql, (prefix, f"{prefix}\U0010ffff"))]
    except sqlite3.Error:
        return []
