"""Loads named statements from the .sql files of a dialect; `:name` parameters become numbered ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any

_HEAD = re.compile(r"^-- (name|part): (\w+)\n", re.MULTILINE)
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")
_PART = re.compile(r"\{(\w+)\}")

TABLES = (
    *("jobs", "attempts", "unique_keys", "concurrency_keys", "idempotency", "dlq"),
    *("queues", "slots", "events", "workers", "definitions"),
    *("leadership", "locks", "records", "stream_state", "stream_channels", "stream_listeners", "stream"),
    *("crons", "cron_codes", "cron_announced", "cron_ticks"),
    *("runs", "checkpoints", "child_results", "park_groups", "park_steps", "waits", "waits_events"),
)
"""The tables of a store on a server, where a schema of its own holds them."""

FUNCTIONS = ("feed_triggers", "feed_on", "feed_off")
"""The functions that statements call, in the same schema."""


class Statement:
    """The text of a statement with numbered parameters, and the names that the numbers stand for."""

    __slots__ = ("_orders", "name", "names", "text")

    def __init__(self, name: str, text: str, mark: str = "?") -> None:
        self.name = name
        self.names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
        numbers = {parameter: f"{mark}{number}" for number, parameter in enumerate(self.names, 1)}
        self.text = _PARAMETER.sub(lambda match: numbers[match[1]], text)
        self._orders: dict[tuple[str, ...], itemgetter[Any] | None] = {}

    def arrange(self, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> Sequence[tuple[Any, ...]]:
        """Rows given in the order of `columns`, in the order this statement numbers its parameters."""
        if columns == self.names:
            return rows
        order = self._orders.get(columns)
        if order is None:
            if len(self.names) < 2:
                raise ValueError(f"statement {self.name} takes {self.names}, not {columns}")
            order = self._orders[columns] = itemgetter(*map(columns.index, self.names))
        return [order(row) for row in rows]


@cache
def load(folder: Path, mark: str = "?", schema: str = "") -> dict[str, Statement]:
    """Every `-- name:` block of the folder's .sql files, with `{part}` replaced by that `-- part:` block.

    `mark` stands before the numbers of parameters; with `schema`, `{table}` is replaced by `schema.table`, and so are
    names of functions.
    """
    tables = {name: f"{schema}.{name}" for name in (*TABLES, *FUNCTIONS)} if schema else {}
    return {name: Statement(name, text, mark) for name, text in texts(folder, tables).items()}


def texts(folder: Path, tables: Mapping[str, str]) -> dict[str, str]:
    """As `load`, but as text with `:name` parameters; `tables` says what stands for the name of each table."""
    blocks: dict[str, str] = {}
    parts: dict[str, str] = {}
    for file in sorted(folder.glob("*.sql")):
        _, *pieces = _HEAD.split(file.read_text())
        for kind, name, text in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True):
            if name in blocks or name in parts:
                raise ValueError(f"{file.name} defines {name} a second time")
            lines = (line for line in text.splitlines() if not line.lstrip().startswith("--"))
            (blocks if kind == "name" else parts)[name] = "\n".join(lines).strip().rstrip(";")
    return {name: filled(text, {**tables, **parts}) for name, text in blocks.items()}


def filled(text: str, parts: Mapping[str, str]) -> str:
    """The text with its parts put in, and theirs."""
    while _PART.search(text):
        text = _PART.sub(lambda match: parts[match[1]], text)
    return text
