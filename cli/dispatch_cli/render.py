"""How data is written to stdout: a drawn table for a person, aligned text for a pipe, JSON, JSON lines or ids."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from dispatch.clock import utc_now
from dispatch.text import CONTROL, safe
from dispatch_cli.failures import FAILED, CommandError
from dispatch_cli.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

Document = Mapping[str, Any]
_STATES = {
    "completed": "green",
    "failed": "red",
    "cancelled": "dim",
    "retrying": "yellow",
    "running": "cyan",
    "open": "red",
    "replayed": "green",
    "retried": "green",
    "discarded": "dim",
    "ok": "green",
    "CLOSED": "red",
}
_NO_IDS, _OTHER_FORMATS = "-o ids: this command's output has no ids", "use -o table, json or jsonl"
_ID = re.compile(r"[a-z]{3,4}_[0-9a-hjkmnp-tv-z]{26}")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its heading and the key of the document it shows."""

    title: str
    key: str
    right: bool = False
    spare: int = 0
    """On a terminal that is too narrow, columns with the highest number are left out first; 0: never."""


class Output:
    """Writes documents in the format that was asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.format = settings.format
        self.fancy = settings.fancy(sys.stdout)

    def rows(
        self,
        documents: Sequence[Document],
        columns: Sequence[Column],
        *,
        empty: str = "",
        extra: Document | None = None,
    ) -> None:
        """A list. As JSON it is `{"items": [...], **extra}`; `empty` is told on stderr when there is nothing."""
        match self.format:
            case "json":
                self.json({"items": list(documents), **(extra or {})})
            case "jsonl":
                self.write("".join(f"{_dumps(document)}\n" for document in documents))
            case "ids":
                self.write("".join(f"{_identity(document)}\n" for document in documents))
            case _ if documents:
                self._table(documents, columns)
            case _ if empty:
                print(safe(empty), file=sys.stderr)

    def record(
        self, document: Document, *, fields: Sequence[tuple[str, Any]], blocks: Sequence[tuple[str, str]] = ()
    ) -> None:
        """One thing: its fields a line each, then longer texts as blocks under a title."""
        match self.format:
            case "json":
                self.json(document)
            case "jsonl":
                self.write(f"{_dumps(document)}\n")
            case "ids":
                self.write(f"{_identity(document)}\n")
            case _:
                self._fields([(name, value) for name, value in fields if value not in (None, "", [], {})])
                for title, text in blocks:
                    self.block(title, text)

    def block(self, title: str, text: str) -> None:
        """A longer text under its title."""
        self.write(f"\n{self._bold(title)}\n{_indented(safe(text))}\n")

    def must_not_be_ids(self) -> None:
        """Refuses `-o ids` before a command does what has no ids to show."""
        if self.format == "ids":
            raise CommandError(_NO_IDS, hint=_OTHER_FORMATS)

    def json(self, document: Any) -> None:
        """One JSON document, indented for a person."""
        self.write(_dumps(document, indent=2 if self.fancy else None) + "\n")

    def write(self, text: str) -> None:
        """Text to stdout; a reader that has gone away (`| head`) ends the command without fuss."""
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise CommandError(
                f"the output cannot be written: {error.strerror}", code="output_lost", exit_code=FAILED
            ) from None

    def _fields(self, fields: Sequence[tuple[str, Any]]) -> None:
        width = max((len(name) for name, _ in fields), default=0)
        for name, value in fields:
            text = self._styled(name, self._text(value, name))
            self.write(f"{self._bold(name)}{' ' * (width - len(name) + 2)}{text}\n")

    def _table(self, documents: Sequence[Document], columns: Sequence[Column]) -> None:
        cells = [[self._text(document.get(column.key), column.key) for column in columns] for document in documents]
        if not self.fancy:
            self.write(aligned([[column.title.upper() for column in columns], *cells], columns))
            return
        from rich.table import Table
        from rich.text import Text

        console = self.console()
        kept = _fitting(columns, cells, console.width)
        columns, cells = [columns[place] for place in kept], [[row[place] for place in kept] for row in cells]
        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
        for position, column in enumerate(columns):
            whole = all(_ID.fullmatch(row[position]) or len(row[position]) <= 12 for row in cells)
            justify: Any = "right" if column.right else "left"
            table.add_column(column.title.upper(), justify=justify, no_wrap=whole, overflow="fold")
        for row in cells:
            table.add_row(*(Text(cell, _STATES.get(cell, "")) for cell in row))
        with console.capture() as capture:
            console.print(table)
        self.write("\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n")

    def console(self, *, stderr: bool = False) -> Console:
        """A rich console that obeys NO_COLOR and --no-color."""
        from rich.console import Console

        stream = sys.stderr if stderr else sys.stdout
        colored = self._settings.colored(stream)
        fancy = self._settings.fancy(stream)
        return Console(
            file=stream,
            force_terminal=fancy,
            color_system="auto" if colored else None,
            no_color=not colored,
            highlight=False,
            markup=False,
            soft_wrap=False,
        )

    def _text(self, value: Any, key: str) -> str:
        if value is None:
            return "-"
        if key.endswith("_at") and isinstance(value, str) and self.fancy:
            return ago(datetime.fromisoformat(value))
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, list | tuple):
            return safe(", ".join(map(str, value))) or "-"
        if isinstance(value, dict):
            return safe(_dumps(value))
        return safe(str(value)).replace("\n", "\\n").replace("\t", "\\t")

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._settings.colored(sys.stdout) else text

    def _styled(self, name: str, text: str) -> str:
        code = {"green": 32, "red": 31, "yellow": 33, "cyan": 36, "dim": 2}.get(_STATES.get(text, ""))
        return f"\x1b[{code}m{text}\x1b[0m" if code and self._settings.colored(sys.stdout) else text


def aligned(rows: Sequence[Sequence[str]], columns: Sequence[Column]) -> str:
    """Rows as plain text in columns, two blanks apart, nothing cut."""
    widths = [max(len(row[position]) for row in rows) for position in range(len(columns))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)


def _fitting(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """The places of the columns that fit side by side; those that are not spare stay, and are folded if need be."""
    widths = [max(len(column.title), *(len(row[place]) for row in cells)) for place, column in enumerate(columns)]
    kept = list(range(len(columns)))
    spare = sorted((place for place in kept if columns[place].spare), key=lambda place: columns[place].spare)
    while spare and sum(widths[place] + 2 for place in kept) - 2 > width:
        kept.remove(spare.pop())
    return kept


def ago(moment: datetime, now: datetime | None = None) -> str:
    """How long ago or ahead a moment is, roughly: "12 s ago", "in 3 min"."""
    seconds = ((now or utc_now()) - moment).total_seconds()
    size, unit = next(
        ((size, unit) for size, unit in ((86400, "d"), (3600, "h"), (60, "min")) if abs(seconds) >= size), (1, "s")
    )
    count = f"{abs(seconds) / size:.0f} {unit}"
    return f"{count} ago" if seconds >= 0 else f"in {count}"


def brief(seconds: float) -> str:
    """A length of time in at most six letters: "12 ms", "3.4 s", "12 min"."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    size, unit = next(
        ((size, unit) for size, unit in ((86400, "d"), (3600, "h"), (60, "min")) if seconds >= size), (1, "s")
    )
    count = seconds / size
    return f"{count:.1f} {unit}" if count < 9.95 else f"{count:.0f} {unit}"


def _dumps(document: Any, indent: int | None = None) -> str:
    """JSON as readable as the encoding of stdout allows."""
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    text = CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(document, indent=indent)
    return text


def _identity(document: Document) -> str:
    for key in ("id", "name"):
        if key in document:
            return str(document[key])
    raise CommandError(_NO_IDS, hint=_OTHER_FORMATS)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
