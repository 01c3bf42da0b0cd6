"""What the verbs of `dispatch workflow` share: the noun, its columns and ids, and the ids in its examples."""

from __future__ import annotations

from typing import Annotated

import typer

from dispatch_cli import complete
from dispatch_cli.render import Column
from dispatch_cli.shell import noun

app = noun(
    "Start, look at, signal, cancel, retry and fork workflow runs.",
    examples=("dispatch workflow list", "dispatch workflow start checkout order:=42"),
)

EXAMPLE = "run_01k9ztr0c2e6r9v1s8f0q5b4nd"
OTHER = "run_01k9ztr0c2e6r9v1s8f0q5b4ne"
STATES = ("pending", "running", "waiting", "compensating", "completed", "failed", "cancelled", "blocked")
ACTIVE = ("pending", "running", "waiting", "compensating", "blocked")
COLUMNS = (
    Column("id", "id"),
    Column("name", "name"),
    Column("version", "version", right=True, spare=3),
    Column("state", "state"),
    Column("reason", "why", spare=2),
    Column("wakes", "wakes_at", spare=1),
    Column("created", "created_at"),
)

OneRun = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.", autocompletion=complete.runs)]
SomeRuns = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN…", help="The runs' ids; - reads them from standard input.", autocompletion=complete.runs
    ),
]
