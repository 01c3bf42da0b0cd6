"""Which jobs a verb means: the filters of `dispatch job list`, as options and as a selection to be worked off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated

import typer

from dispatch_cli import complete
from dispatch_cli.choices import since_when, words_among
from dispatch_cli.failures import CommandError
from dispatch_cli.job.base import STATES

if TYPE_CHECKING:
    from dispatch.ids import JobID
    from dispatch.jobs.model import ListOptions
    from dispatch_cli.admin import Admin

_PAGE = 500

States = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        "-s",
        metavar="STATE",
        help=f"In these states: {', '.join(STATES)}.",
        autocompletion=complete.words_of(STATES),
    ),
]
Queues = Annotated[
    list[str] | None,
    typer.Option("--queue", "-q", metavar="NAME", help="Of these queues.", autocompletion=complete.queues),
]
Names = Annotated[
    list[str] | None,
    typer.Option("--name", "-n", metavar="NAME", help="Jobs of these names.", autocompletion=complete.names),
]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="With all of these tags.")]
Since = Annotated[
    str | None, typer.Option("--since", metavar="WHEN", help="Enqueued within that time (2h), or since then.")
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="WHEN", help="Enqueued longer ago than that (30d), or before then.")
]


def filters_of(
    states: Sequence[str],
    *,
    queue: list[str] | None,
    name: list[str] | None,
    tag: list[str] | None,
    since: str | None,
    until: str | None,
) -> ListOptions:
    """What the options say."""
    from dispatch.jobs.model import JobState, ListOptions

    return ListOptions(
        states=[JobState(word) for word in states],
        queues=queue or (),
        names=name or (),
        tags=tag or (),
        created_after=since_when("--since", since),
        created_before=since_when("--until", until),
    )


def states_among(state: list[str] | None, possible: Sequence[str], verb: str) -> list[str]:
    """The states meant by --state, all possible ones without it; a usage error for one the verb cannot be done to."""
    words = words_among("state", state or (), STATES)
    for word in words:
        if word not in possible:
            raise CommandError(
                f"{word} jobs cannot be {verb}", hint=f"--state takes {', '.join(possible)} here; default: all of them"
            )
    return words or list(possible)


@dataclass
class Selection:
    """The jobs that match, as they are when they are counted; those that come later do not belong to them."""

    options: ListOptions
    words: str
    _newest: str = field(default="", init=False)

    async def count(self, app: Admin) -> int:
        """How many match now."""
        from dispatch.jobs.model import CountOptions

        first = await app.jobs.list(replace(self.options, limit=1))
        if not first.items:
            return 0
        self._newest = str(first.items[0].id)
        options = self.options
        if not (options.tags or options.created_after or options.created_before):
            counts = await app.jobs.count(CountOptions(queues=options.queues, names=options.names))
            return max(1, sum(counts[state] for state in options.states))
        return sum([1 async for _ in self.ids(app)])

    async def ids(self, app: Admin) -> AsyncIterator[JobID]:
        """Each of them, newest first."""
        options = replace(self.options, limit=_PAGE)
        while True:
            page = await app.jobs.list(options)
            for job in page.items:
                if str(job.id) <= self._newest:
                    yield job.id
            if page.next_cursor is None:
                return
            options = replace(options, cursor=page.next_cursor)
