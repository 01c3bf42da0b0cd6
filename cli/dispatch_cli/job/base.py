"""What the verbs of `dispatch job` share: the noun, its columns, the ids in its examples."""

from __future__ import annotations

from typing import Annotated

import typer

from dispatch_cli import complete
from dispatch_cli.render import Column
from dispatch_cli.shell import noun

EXAMPLE = "job_01k9ztq3e8f5v8k4y3v9h2m7xa"

app = noun(
    "Enqueue, look at, watch, explain, retry, cancel and delete jobs.",
    examples=("dispatch job enqueue send_email to=ada@example.com", "dispatch job list --state failed"),
)
COLUMNS = (
    Column("id", "id"),
    Column("name", "name"),
    Column("queue", "queue"),
    Column("state", "state"),
    Column("try", "attempt", right=True, spare=2),
    Column("created", "created_at", spare=1),
    Column("due", "due_at"),
)
STATES = ("pending", "running", "retrying", "completed", "failed", "cancelled")
WAITING = ("pending", "retrying")

OneID = Annotated[str, typer.Argument(metavar="ID", help="The job's id.", autocompletion=complete.jobs)]
