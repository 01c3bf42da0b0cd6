"""The scaffolding over typer: nouns imported when used, global options everywhere, help pages with examples."""

from __future__ import annotations

import difflib
import functools
import importlib
import re
import sys
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from dispatch_cli.settings import NAMES, Settings, escapes_allowed, global_parameters

F = TypeVar("F", bound="Callable[..., Any]")

_HEADING = re.compile(r"^(Usage|[A-Z][A-Za-z ]*)(?=:)", re.MULTILINE)
_FEW = 3
_HELP = ["-h", "--help"]
_SEE_GLOBAL = "--store, --url, --config, -P, --json, -o FORMAT, --no-color: dispatch --help"


class _Shared:
    """What commands and groups have in common: the global options and the look of the help page."""

    examples: tuple[str, ...] = ()
    all_global_options = False
    params: list[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *global_parameters()]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        rest: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        given = Settings(**{name: ctx.params.pop(name) for name in NAMES})
        for name in ("store", "server_url", "api_key_file", "config", "profile"):
            if getattr(given, name) == "":
                ctx.fail(
                    f"--{name.removeprefix('server_').replace('_', '-')} is empty: give it a value, or leave it out"
                )
        if given.json and given.output not in (None, "json"):
            ctx.fail(f"--json and -o {given.output} ask for different things: keep one of them")
        ctx.obj = given.over(ctx.obj if isinstance(ctx.obj, Settings) else Settings())
        return rest

    def get_help(self, ctx: Any) -> str:
        text: str = super().get_help(ctx)  # type: ignore[misc]
        return _HEADING.sub("\x1b[1m\\1\x1b[0m", text) if escapes_allowed() else text

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces = ["[OPTIONS]"]
        for param in self.params:
            if param.param_type_name == "argument":
                name = param.metavar or param.name.upper()
                name = name if param.nargs == 1 or name.endswith("…") else f"{name}…"
                pieces.append(name if param.required else f"[{name}]")
        if isinstance(self, TyperGroup):
            pieces.append("COMMAND …")
        return pieces

    def format_options(self, ctx: Any, formatter: Any) -> None:
        arguments: list[tuple[str, str]] = []
        options: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for param in [p for p in ctx.command.get_params(ctx) if not p.hidden]:
            record = param.get_help_record(ctx)
            if param.param_type_name == "argument":
                if param.help:
                    arguments.append((param.metavar or param.name.upper(), param.help))
            elif record is not None:
                (shared if param.name in NAMES else options).append(record)
        for title, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
        self.format_members(ctx, formatter)
        with formatter.section("Global options"):
            if self.all_global_options:
                formatter.write_dl(shared)
            else:
                formatter.write(f"  {_SEE_GLOBAL}\n")

    def format_members(self, ctx: Any, formatter: Any) -> None:
        """The list of commands of a group."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        if self.examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {example}\n" for example in self.examples))


class Command(_Shared, TyperCommand):
    """A verb."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = getattr(self.callback, "_examples", ())
        self.local: str = getattr(self.callback, "_local", "")
        self.storeless: bool = getattr(self.callback, "_storeless", False)

    def invoke(self, ctx: Any) -> Any:
        if self.local:
            from dispatch_cli.session import must_be_here

            must_be_here(ctx, self.local, storeless=self.storeless)
        return super().invoke(ctx)


class Group(_Shared, TyperGroup):
    """A noun with its verbs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = getattr(self.callback, "_examples", ()) or self.examples

    def format_members(self, ctx: Any, formatter: Any) -> None:
        rows = [(name, summary) for name, summary in self.members(ctx) if summary]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def members(self, ctx: Any) -> list[tuple[str, str]]:
        """The commands to be shown, each with a line that says what it does."""
        return [(name, (command.help or "").partition("\n")[0]) for name, command in self.commands.items()]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            names = self.list_commands(ctx)
            meant = self.elsewhere(ctx, name) or [repr(near) for near in difflib.get_close_matches(name, names, 1)]
            hint = f"did you mean {' or '.join(meant)}?" if meant else f"there are: {', '.join(names)}"
            ctx.fail(f"there is no command {name!r}; {hint}")
        return super().resolve_command(ctx, args)

    def elsewhere(self, ctx: Any, name: str) -> list[str]:
        """Where else there is a command of that name."""
        return []


class LazyGroup(Group):
    """The root: its table says what there is, and a noun's module is imported when the noun is used."""

    all_global_options = True
    table: ClassVar[dict[str, tuple[str, str]]] = {}
    """Noun → (its module in this package, one line about it)."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.table)

    def members(self, ctx: Any) -> list[tuple[str, str]]:
        return [(name, summary) for name, (_, summary) in self.table.items()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        noun = cmd_name if cmd_name in self.table else cmd_name.removesuffix("s")
        if noun not in self.table:
            return None
        return _command_of(self.table[noun][0])

    def elsewhere(self, ctx: Any, name: str) -> list[str]:
        """The nouns that have such a verb, unless it is one that many have."""
        nouns = ((noun, self.get_command(ctx, noun)) for noun in self.table)
        found = [f"`dispatch {noun} {name}`" for noun, has in nouns if isinstance(has, Group) and name in has.commands]
        return found if len(found) <= _FEW else []


@functools.cache
def _command_of(module: str) -> Any:
    """The command of a module of this package; building it takes longer than importing it."""
    return typer.main.get_command(importlib.import_module(f"dispatch_cli.{module}").app)


def noun(
    summary: str, *, cls: type[Group] = Group, empty_is_fine: bool = False, examples: tuple[str, ...] = ()
) -> typer.Typer:
    """A typer app for a noun; called without a verb it prints its help page."""
    app = typer.Typer(
        cls=cls,
        help=summary,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        invoke_without_command=True,
        context_settings={"help_option_names": _HELP},
    )

    @app.callback()
    def without_a_verb(ctx: typer.Context) -> None:
        if ctx.invoked_subcommand is None:
            print(ctx.get_help(), file=sys.stdout if empty_is_fine else sys.stderr)
            raise typer.Exit(0 if empty_is_fine else 2)

    without_a_verb._examples = examples  # type: ignore[attr-defined]
    return app


def verb(
    app: typer.Typer,
    name: str,
    *,
    examples: tuple[str, ...],
    cls: type[Command] = Command,
    local: str = "",
    storeless: bool = False,
) -> Callable[[F], F]:
    """Adds a command to a noun; its docstring is the help page, its examples are run by the tests.

    local: why it cannot be done through a server (--url); "": it can. storeless: nor does it look at the store.
    """

    def decorate(function: F) -> F:
        function._examples = examples  # type: ignore[attr-defined]
        function._local, function._storeless = local, storeless  # type: ignore[attr-defined]
        app.command(name, cls=cls, context_settings={"help_option_names": _HELP})(function)
        return function

    return decorate


def single(
    *, examples: tuple[str, ...], local: str = "", storeless: bool = False
) -> Callable[[Callable[..., Any]], typer.Typer]:
    """A typer app that is one command, without verbs; `local` and `storeless` as for `verb`."""

    def decorate(function: Callable[..., Any]) -> typer.Typer:
        app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        name = function.__name__.replace("_", "-")
        verb(app, name, examples=examples, local=local, storeless=storeless)(function)
        return app

    return decorate
