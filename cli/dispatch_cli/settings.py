"""The global options: what was said before or after the command, and how the output is to look."""

from __future__ import annotations

import functools
import itertools
import os
import sys
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal, TextIO, cast

import typer

Format = Literal["table", "json", "jsonl", "ids"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the global options say; None and False mean that they were not given."""

    store: str | None = None
    url: str | None = None
    api_key_file: str | None = None
    config: str | None = None
    profile: str | None = None
    json: bool = False
    output: Format | None = None
    no_color: bool = False
    argv: tuple[str, ...] = ()
    """The whole command line as it was given."""

    def over(self, base: Settings) -> Settings:
        """These settings where they say something, else those of `base`."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        said = {name: value for name, value in given.items() if value not in (None, False, ())}
        if self.output and not self.json:
            said["json"] = False
        return replace(base, **said)

    @property
    def format(self) -> Format:
        """How data is to be written."""
        return "json" if self.json else self.output or "table"

    def fancy(self, stream: TextIO) -> bool:
        """Whether a person looks at the stream: relative times and drawn tables instead of plain aligned text."""
        return stream.isatty() or bool(os.environ.get("FORCE_COLOR"))

    def colored(self, stream: TextIO) -> bool:
        """Whether escape sequences may be written to the stream."""
        if self.no_color or os.environ.get("NO_COLOR"):
            return False
        return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


NAMES = tuple(field.name for field in fields(Settings) if field.name != "argv")


def settings_of(ctx: typer.Context) -> Settings:
    """What holds for this command."""
    return cast("Settings", ctx.obj)


def wants_json(argv: list[str]) -> bool:
    """Whether a command line asks for JSON: for errors that come up before it has been understood."""
    flags = argv[: argv.index("--")] if "--" in argv else argv
    pairs = itertools.pairwise(flags)
    return (
        "--json" in flags
        or any(flag in ("-o", "--output") and value == "json" for flag, value in pairs)
        or "--output=json" in flags
        or "-ojson" in flags
    )


def escapes_allowed(stream: TextIO | None = None) -> bool:
    """Whether colour may be used where no command line has been understood, as in help pages."""
    return Settings(no_color="--no-color" in sys.argv).colored(stream or sys.stdout)


def _globals(
    store: Annotated[str | None, typer.Option("--store", metavar="URL", help="The store: sqlite:///file.db …")] = None,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="A server to ask instead: http://host:8484.")
    ] = None,
    api_key_file: Annotated[
        str | None, typer.Option("--api-key-file", metavar="FILE", help="Its API key; or DISPATCH_API_KEY.")
    ] = None,
    config: Annotated[str | None, typer.Option("--config", metavar="FILE", help="The configuration file.")] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", "-P", metavar="NAME", help="The [profiles.NAME] of that file.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
    output: Annotated[
        Format | None,
        typer.Option("--output", "-o", metavar="FORMAT", help="table, json, jsonl (a line each) or ids."),
    ] = None,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colour (NO_COLOR does the same).")] = False,
) -> None:
    """Only its signature matters: typer makes the options out of it."""


@functools.cache
def global_parameters() -> tuple[Any, ...]:
    """The global options as parameters, to be added to every command."""
    carrier = typer.Typer(add_completion=False, rich_markup_mode=None)
    carrier.command()(_globals)
    return tuple(typer.main.get_command(carrier).params)
