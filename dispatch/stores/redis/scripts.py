"""The Lua scripts: one file a transition, put together with the parts that it names in its head."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from pathlib import Path

_FOLDER = Path(__file__).parent / "lua"
_FLAGS = re.compile(r"^-- flags: (.+)$", re.MULTILINE)
_SELDOM = re.compile(r"^-- wakes: seldom$", re.MULTILINE)
_PARTS = re.compile(r"^-- parts: (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """A script as the server takes it."""

    name: str
    source: str
    sha: str
    wakes: bool
    """It tells other clients that something changed."""
    seldom: bool
    """It mostly changes nothing that anybody waits for: its own client hears, as the others do, when it has."""


@cache
def load(name: str) -> Script:
    """The script of `lua/<name>.lua`."""
    body = (_FOLDER / f"{name}.lua").read_text()
    parts = _PARTS.search(body)
    if parts is None:
        raise ValueError(f"{name}.lua names no parts")
    flags = _FLAGS.search(body)
    return made(name, flags[1] if flags else "", [_part(part) for part in parts[1].split()], body)


def made(name: str, flags: str, parts: list[str], body: str) -> Script:
    """A script of its pieces; comments stay at home."""
    text = "\n".join(["#!lua" + (f" flags={flags}" if flags else ""), *map(_stripped, (*parts, body))]) + "\n"
    return Script(
        name, text, sha1(text.encode(), usedforsecurity=False).hexdigest(), "wake()" in body, bool(_SELDOM.search(body))
    )


def names() -> list[str]:
    """Every script there is."""
    return sorted(file.stem for file in _FOLDER.glob("*.lua"))


def _part(name: str) -> str:
    return (_FOLDER / "parts" / f"{name}.lua").read_text()


def _stripped(text: str) -> str:
    lines = (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("--"))
    return "\n".join(lines)
