"""What the verbs of `dispatch dlq` share: the noun, its columns and filters, the id in its examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dispatch_cli import complete
from dispatch_cli.choices import words_among
from dispatch_cli.render import Column
from dispatch_cli.shell import noun

if TYPE_CHECKING:
    from dispatch.dlq.model import DLQState

app = noun(
    "Look at, replay, discard and purge dead letters: jobs that failed for good.",
    examples=("dispatch dlq list", "dispatch dlq list --error ValueError -o ids | dispatch dlq replay -"),
)

EXAMPLE = "dlq_01k9ztr0c2e6r9v1s8f0q5b4nd"
COLUMNS = (
    Column("id", "id"),
    Column("job", "job_name"),
    Column("queue", "queue", spare=1),
    Column("state", "state", spare=2),
    Column("error", "why"),
    Column("died", "created_at"),
)
GROUP_COLUMNS = (
    Column("job", "job_name"),
    Column("error", "error_type"),
    Column("count", "count", right=True),
    Column("oldest", "oldest_at", spare=1),
    Column("newest", "newest_at"),
    Column("sample", "sample"),
)
STATES = ("open", "replayed", "retried", "discarded")

Queues = Annotated[
    list[str] | None,
    typer.Option("--queue", "-q", metavar="NAME", help="Of these queues.", autocompletion=complete.queues),
]
Names = Annotated[
    list[str] | None,
    typer.Option("--name", "-n", metavar="NAME", help="Of jobs of these names.", autocompletion=complete.names),
]
Errors = Annotated[list[str] | None, typer.Option("--error", metavar="TYPE", help="With these error types.")]
States = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        "-s",
        metavar="STATE",
        help=f"{', '.join(STATES)} or all; default: open.",
        autocompletion=complete.words_of((*STATES, "all")),
    ),
]


def states_of(words: list[str] | None, default: tuple[str, ...] = ("open",)) -> list[DLQState]:
    """The states meant by --state; none at all for "all"."""
    from dispatch.dlq.model import DLQState

    chosen = words_among("state", words or default, (*STATES, "all"))
    return [] if "all" in chosen else [DLQState(word) for word in chosen]
