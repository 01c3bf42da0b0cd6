"""What a plugin's `register_commands` is given: the command line, without its insides."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

import typer
from typer.exceptions import TyperException

from dispatch.errors import DispatchError, InvalidPlugin
from dispatch_cli.consent import ask
from dispatch_cli.failures import FAILED, CommandError
from dispatch_cli.render import Column
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import Command, noun, verb

if TYPE_CHECKING:
    from dispatch import Dispatch
    from dispatch.client.http import HTTPClient

T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")
_NOUN = re.compile(r"[a-z][a-z0-9-]{0,31}")
_session: ContextVar[Session] = ContextVar("dispatch_cli_session")


class Facade:
    """The command line as one plugin sees it; see `dispatch.hookspecs.CLI`."""

    def __init__(self, plugin: str, *, taken: Collection[str]) -> None:
        self._plugin = plugin
        self._taken = taken
        self.nouns: dict[str, tuple[str, Callable[[], Any]]] = {}
        """What was added: the summary, and what builds the command."""

    def noun(self, name: str, summary: str, *, examples: Sequence[str] = ()) -> Verbs:
        if not _NOUN.fullmatch(name):
            raise InvalidPlugin(f"{name!r} is no name for a command: lower-case letters, digits and -")
        if {name, name.removesuffix("s")} & {*self._taken, *self.nouns}:
            raise InvalidPlugin(f"there is a command {name!r} already; give this one another name")
        app = noun(summary, examples=tuple(examples))
        self.nouns[name] = (summary, lambda: typer.main.get_command(app))
        return Verbs(app, self._plugin)

    def app(self) -> AbstractAsyncContextManager[Dispatch]:
        return _session.get().app()

    def on_app(
        self,
        act: Callable[[Dispatch], Awaitable[T]],
        *,
        create: bool = False,
        through: Callable[[HTTPClient], Awaitable[T]] | None = None,
    ) -> T:
        return _session.get().on_app(act, create=create, through=through)

    def show(
        self,
        found: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        columns: Sequence[str | tuple[str, str]] = (),
        *,
        empty: str = "",
        once: str = "",
    ) -> None:
        out = _session.get().out
        if once and out.format == "ids":
            self.tell(once)
        pairs = [(each, each) if isinstance(each, str) else each for each in columns]
        if isinstance(found, Mapping):
            fields = pairs or [(key.replace("_", " "), key) for key in found]
            out.record(found, fields=[(title, found.get(key)) for title, key in fields])
            return
        pairs = pairs or [(key.replace("_", " "), key) for key in (found[0] if found else ())]
        out.rows(found, [Column(title, key) for title, key in pairs], empty=empty)

    def tell(self, text: str) -> None:
        _session.get().tell(text)

    def confirm(self, what: str, *, yes: bool, profile: str | None = None, many: bool = True) -> None:
        ask(_session.get(), what, yes=yes, confirm=profile, many=many, dry_run=False)

    def fail(
        self, error: str | BaseException, *, hint: str = "", code: str = "failed", exit_code: int = FAILED
    ) -> NoReturn:
        if isinstance(error, BaseException):
            raise error
        raise CommandError(error, code=code, exit_code=exit_code, hint=hint)


class Verbs:
    """A noun to which a plugin adds verbs; see `dispatch.hookspecs.Noun`."""

    def __init__(self, app: typer.Typer, plugin: str) -> None:
        self._app = app
        self._kind = type("PluginCommand", (_PluginCommand,), {"plugin": plugin})

    def verb(self, name: str, *, examples: Sequence[str]) -> Callable[[F], F]:
        return verb(self._app, name, examples=tuple(examples), cls=self._kind)


class _PluginCommand(Command):
    """A verb whose mistakes are its plugin's, not Dispatch's."""

    plugin: ClassVar[str] = ""

    def invoke(self, ctx: Any) -> Any:
        token = _session.set(session_of(ctx))
        try:
            return super().invoke(ctx)
        except (DispatchError, CommandError, TyperException, typer.Exit, typer.Abort):
            raise
        except Exception as error:
            raise CommandError(
                f"plugin {self.plugin!r}: {type(error).__name__}: {error}",
                code="plugin_failed",
                exit_code=FAILED,
                hint="this is a mistake in the plugin; DISPATCH_TRACEBACK=1 shows where it happened",
            ) from error
        finally:
            _session.reset(token)
