"""How data is written to stdout: a drawn table for a person, aligned text for a pipe, JSON, JSON lines or ids."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from dispatch.clock import utc_now
from dispatch.lazily import lazily
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
_TIMES = ("_at", "since", "until")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its heading and the key of the document it shows."""

    title: str
    key: str
    right: bool = False
    spare: int = 0
    """On a terminal that is too narrow, columns with the highest number are left out first; 0: never."""
    folds_first: bool = False
    """A spare column goes only where folding the texts of others is not enough."""


class Output:
    """Writes documents in the format that was asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.format = settings.format
        self.fancy = settings.fancy(sys.stdout)

    @lazily
    def width(self) -> int:
        """How many letters a line of the terminal holds."""
        return shutil.get_terminal_size().columns

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
                self.write("".join(map(_identity, documents)))
            case _ if documents:
                self._table(documents, columns)
            case _ if empty:
                print(safe(empty), file=sys.stderr)

    def room_beside(self, documents: Sequence[Document], columns: Sequence[Column]) -> float:
        """The letters that a table with all its columns leaves on a line of the terminal; without one there is no end.

        Below 0 the table does not fit.
        """
        if not self.fancy:
            return math.inf
        from dispatch_cli.layout import taken

        return self.width - taken(self._grid(documents, columns))

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
                self.write(_identity(document))
            case _:
                self._fields([(name, value) for name, value in fields if value not in (None, "", [], {})])
                for title, text in blocks:
                    self.block(title, text)

    def block(self, title: str, text: str) -> None:
        """A longer text under its title."""
        self.write(f"\n{self._bold(title)}\n{_indented(safe(text))}\n")

    def sentences(self, title: str, lines: Iterable[str]) -> None:
        """Sentences under a title; on a terminal they are folded between words."""
        if self.fancy:
            from dispatch_cli.layout import folded

            lines = ["\n".join(folded(safe(line), self.width - 2, indent="  ")) for line in lines]
        self.block(title, "\n".join(lines))

    def when(self, moment: str) -> str:
        """A moment within a sentence: "at" that time, or how long ago for a person."""
        return ago(datetime.fromisoformat(moment)) if self.fancy else f"at {moment}"

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
        width = max((len(name) for name, _ in fields), default=0) + 2
        for name, value in fields:
            lines = [self._text(value, name)]
            if self.fancy and len(lines[0]) > self.width - width:
                from dispatch_cli.layout import folded

                lines = folded(lines[0], self.width - width)
            text = self._styled(name, f"\n{' ' * width}".join(lines))
            self.write(f"{self._bold(name)}{' ' * (width - len(name))}{text}\n")

    def _table(self, documents: Sequence[Document], columns: Sequence[Column]) -> None:
        rows = self._grid(documents, columns)
        if not self.fancy:
            self.write(aligned(rows, columns))
            return
        from rich.table import Table
        from rich.text import Text

        from dispatch_cli.layout import GAP, kept_of, widths_of

        kept = kept_of(rows, [0 if column.folds_first else column.spare for column in columns], self.width)
        late = sorted((place for place in kept if columns[place].spare), key=lambda place: columns[place].spare)
        while (widths := widths_of([[row[place] for place in kept] for row in rows], self.width)) is None and late:
            kept.remove(late.pop())
        head, *cells = [[row[place] for place in kept] for row in rows]
        if widths is None:
            self._stacked(columns, rows[1:])
            return
        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0))
        for title, place, width in zip(head, kept, widths, strict=True):
            table.add_column(title, justify="right" if columns[place].right else "left", width=width, overflow="fold")
        for row in cells:
            table.add_row(*(Text(cell, _STATES.get(cell, "")) for cell in row))
        console = self.console()
        console.width = self.width
        with console.capture() as capture:
            console.print(table)
        self.write("\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n")

    def _grid(self, documents: Sequence[Document], columns: Sequence[Column]) -> list[list[str]]:
        """Headings and cells as they are shown."""
        rows = [[self._text(document.get(column.key), column.key) for column in columns] for document in documents]
        return [[column.title.upper() for column in columns], *rows]

    def _stacked(self, columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> None:
        """A table for a terminal that is too narrow for one: a line for each cell."""
        for number, row in enumerate(cells):
            self.write("\n" if number else "")
            names = [column.title or column.key for column in columns]
            self._fields([(name, cell) for name, cell in zip(names, row, strict=True) if cell])

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
        if isinstance(value, str) and self.fancy and key.endswith(_TIMES) and (moment := _moment(value)):
            return ago(moment)
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


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


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
    """The line of its id; what a rehearsal has not made has none."""
    for key in ("id", "name"):
        if key in document:
            return "" if document[key] is None else f"{document[key]}\n"
    raise CommandError(_NO_IDS, hint=_OTHER_FORMATS)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
