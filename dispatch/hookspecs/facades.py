"""What hooks hand to plugins and get from them: the command line, routes, loops of a worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

if TYPE_CHECKING:
    from dispatch.app import Dispatch
    from dispatch.client.http import HTTPClient

T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")


class CLI(Protocol):
    """The command line as a plugin sees it: where commands are added, and what they show, ask and fail with.

    All but `noun` is for use inside of a command.
    """

    def noun(self, name: str, summary: str, *, examples: Sequence[str] = ()) -> Noun:
        """Adds a group of commands, called by its name in the singular. Raises InvalidPlugin: the name is taken.

        Args:
            name: lower-case letters, digits and "-". summary: one sentence for the help pages.
            examples: whole command lines ("dispatch webhook list").
        """
        ...

    def app(self) -> AbstractAsyncContextManager[Dispatch]:
        """The app on the configured store, open inside of the block; it knows the definitions that were announced."""
        ...

    def on_app(
        self,
        act: Callable[[Dispatch], Awaitable[T]],
        *,
        create: bool = False,
        through: Callable[[HTTPClient], Awaitable[T]] | None = None,
    ) -> T:
        """Opens that app, awaits `act(app)` and closes it; or asks the server that was named in its place (`--url`).

        Args:
            act: works on the app. create: makes a store that is not there; else that ends the command with exit code 6.
            through: does the same by a server's HTTP API, such as `await client.ask("GET", "/v1/oncall")`; the client
                has the key of whoever asks, and raises what the service behind a route raises. Without it, a server
                that was named ends the command with exit code 2.
        """
        ...

    def show(
        self,
        found: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        columns: Sequence[str | tuple[str, str]] = (),
        *,
        empty: str = "",
        once: str = "",
    ) -> None:
        """Writes one document, or a list of them, as `-o` says: table, JSON, JSON lines or ids (their key "id").

        Args:
            found: plain JSON values.
            columns: the keys that a table shows, or pairs of heading and key (default: all keys).
            empty: what a person is told when the list is empty.
            once: what is told on stderr where `-o ids` leaves it out, though nothing shows it again: a new secret.
        """
        ...

    def tell(self, text: str) -> None:
        """Says something to the person, on stderr."""
        ...

    def confirm(self, what: str, *, yes: bool, profile: str | None = None, many: bool = True) -> None:
        """Asks before something is destroyed, naming the store; a refusal, or nobody to ask, ends the command.

        Args:
            what: the act in words with its count ("remove endpoint 'billing'").
            yes: what the command's own option `--yes` said. profile: what its option `--confirm NAME` said, by which a
                profile that is protected is agreed to without a question.
            many: False lets an act on one named thing pass unasked, unless the profile is protected.
        """
        ...

    def fail(self, error: str | BaseException, *, hint: str = "", code: str = "failed", exit_code: int = 1) -> NoReturn:
        """Ends the command: a line on stderr (a document with `--json`) and an exit code.

        Args:
            error: what happened, to which name or id; an error of `dispatch.errors` brings its own code and exit code.
            hint: what to do next. code: a stable name for scripts. exit_code: 1 failed, 4 not found, 5 conflict …
        """
        ...


class Noun(Protocol):
    """A group of commands."""

    def verb(self, name: str, *, examples: Sequence[str]) -> Callable[[F], F]:
        """Decorates the function that is the command: its parameters become arguments and options as typer reads them,
        its docstring the help page. The global options (`--store`, `--json` …) come by themselves."""
        ...


@dataclass(frozen=True, slots=True)
class Routes:
    """Routes that a plugin adds to the HTTP API."""

    router: Any
    """A fastapi.APIRouter; its paths begin with "/" and are mounted under /v1."""
    scopes: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """("GET", "/webhooks") → the scope that a key needs ("admin", "job:read" …); a route that is missing is denied."""


class WorkerService(Protocol):
    """One duty of a plugin, done again and again in every worker: two at once, in any processes, must do no harm."""

    @property
    def name(self) -> str:
        """What it is called in the log."""
        ...

    async def run_once(self) -> float:
        """Does one round and answers the seconds until the next, which a change of the store may end early.

        Under load that is many times a second: what costs more than that is worth, a round leaves out until it is due.
        What it raises is logged, and the round repeated after a pause. A worker that stops waits for the round.
        """
        ...
