"""Statements as MySQL's driver takes them: `:name` becomes a value in the text, `IN :name` a list of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from dispatch.stores.mysql_place import Place
from dispatch.stores.sql.statements import texts

_FOLDER = Path(__file__).parent / "sql" / "mysql"
_LIST = re.compile(r"\bIN :([a-z_]+)")
_VALUE = re.compile(r"(?<![:\w]):([a-z_]+)")
_WORD = re.compile(r"%\((\w+)\)s")
_OWN = ("found", "transaction")
"""Parameters that the asking side gives: what the statement before found, and a name for the transaction."""
NOTHING = (None,)
"""A list that nothing is in: `IN ()` is no SQL."""


class Statement:
    """One named block: one statement, or several of which each but the last finds what the next calls `:found`."""

    __slots__ = ("_needs", "name", "names", "texts")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.names = tuple(found for found in dict.fromkeys(_VALUE.findall(text)) if found not in _OWN)
        self.texts: tuple[str, ...] = tuple(_pyformat(part.strip()) for part in text.split(";\n"))
        self._needs = tuple(tuple(dict.fromkeys(_WORD.findall(text))) for text in self.texts)

    def bound(self, part: int, params: Mapping[str, Any]) -> dict[str, Any]:
        """The values in the text of one part; a list comes as JSON text or, found by the part before, as a tuple."""
        return {need: _value(need, params) for need in self._needs[part]}


def _pyformat(text: str) -> str:
    text = text.replace("%", "%%")
    return _VALUE.sub(r"%(\1)s", _LIST.sub(r"IN %(\1__list)s", text))


def _value(need: str, params: Mapping[str, Any]) -> Any:
    name = need.removesuffix("__list")
    value = params[name]
    if name is need or name == need:
        return value
    if isinstance(value, tuple):
        return value or NOTHING
    return tuple(json.loads(value)) or NOTHING if value is not None else NOTHING


def arranged(columns: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    """One row of parameters by name."""
    return dict(zip(columns, row, strict=True))


@cache
def load(place: Place) -> dict[str, Statement]:
    """Every `-- name:` block of the dialect, for the tables of one place."""
    return {name: Statement(name, text) for name, text in texts(_FOLDER, place.words).items()}
