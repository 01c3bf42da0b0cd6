"""Reads the fenced snippets of a Markdown page, with their lines, their languages and their opt-outs."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = frozenset({"python", "console", "bash", "toml", "text"})
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# (?P<path>[\w./-]+\.(?:py|toml))\s*$")
_OPT_OUT = re.compile(r"<!-- not run: (?P<reason>[^>]+?) -->\s*\Z")


@dataclass(frozen=True, slots=True)
class Snippet:
    """One fenced block."""

    page: Path
    line: int
    """Of its first line of content, from 1."""
    language: str
    body: str
    not_run: str | None = None
    """The reason given in `<!-- not run: reason -->` right above the fence."""

    @property
    def file(self) -> str | None:
        """The path in a first line such as `# myapp/tasks.py`: the block is that file's content."""
        named = _NAMED.match(self.body.partition("\n")[0])
        return named["path"] if named else None

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"


@dataclass(frozen=True, slots=True)
class Command:
    """One `$ …` of a console snippet, with the output that the page shows below it."""

    place: str
    text: str
    output: tuple[str, ...]


def snippets(page: Path) -> Iterator[Snippet]:
    """Every fenced block of the page, in order."""
    text = page.read_text()
    for found in _FENCE.finditer(text):
        opt_out = _OPT_OUT.search(text[: found.start()])
        yield Snippet(
            page=page,
            line=text.count("\n", 0, found.start("body")) + 1,
            language=found["language"],
            body=textwrap.dedent(found["body"]),
            not_run=opt_out["reason"] if opt_out else None,
        )


def commands(snippet: Snippet) -> Iterator[Command]:
    """The commands of a console or bash snippet; without any `$` each line is one."""
    lines = snippet.body.splitlines()
    prompted = any(line.startswith("$ ") for line in lines)
    starts = [i for i, line in enumerate(lines) if line.startswith("$ ") or (not prompted and line.strip())]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        place = f"{snippet.page.name}:{snippet.line + start}"
        yield Command(place, lines[start].removeprefix("$ "), tuple(line for line in lines[start + 1 : end] if line))
