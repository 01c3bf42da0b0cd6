"""`dispatch workflow timeline`: what a run has recorded, drawn along time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer

from dispatch_cli.choices import one_id
from dispatch_cli.render import Column, brief
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb
from dispatch_cli.workflow.base import EXAMPLE, OneRun, app

if TYPE_CHECKING:
    from dispatch.workflows.model import Checkpoint, ChildResult, Run
    from dispatch_cli.admin import Admin

WIDTH, _LEAST = 40, 10
"""Letters of the longest bar where there is room, and where there is little."""
COLUMNS = (
    Column("step", "step_name"),
    Column("kind", "kind"),
    Column("attempt", "attempt", right=True, spare=2),
    Column("state", "state", spare=1),
    Column("took", "took", right=True),
    Column("timeline", "bar"),
)


@verb(
    app, "timeline", examples=(f"dispatch workflow timeline {EXAMPLE}", f"dispatch workflow timeline {EXAMPLE} --json")
)
def timeline(ctx: typer.Context, id_: OneRun) -> None:
    """Draw a run's steps, waits, children and undos along time."""
    from dispatch.documents.runs import checkpoint_document
    from dispatch.ids import RunID

    session = session_of(ctx)
    run_id = one_id(RunID, id_)

    async def look(app: Admin) -> tuple[Run, Sequence[Checkpoint], dict[str, ChildResult]]:
        children = {child.step: child for child in await app.workflows.children(run_id)}
        return await app.workflows.get(run_id), await app.workflows.timeline(run_id), children

    run, checkpoints, children = session.administer(look)
    documents = [dict(checkpoint_document(found, children.get(found.name))) for found in checkpoints]
    if session.out.format != "table":
        session.out.rows(documents, ())
        return
    room = session.out.room_beside(drawn(documents, checkpoints, 0), COLUMNS)
    rows = drawn(documents, checkpoints, int(min(WIDTH, max(room + len(COLUMNS[-1].title), _LEAST))))
    session.out.rows(rows, COLUMNS, empty="nothing is recorded yet")
    session.tell(f"{run.name} version {run.version} is {run.state}")


def drawn(documents: Sequence[dict[str, Any]], checkpoints: Sequence[Checkpoint], width: int) -> list[dict[str, Any]]:
    """The rows of the picture: each with a bar from its start to its end, on one scale."""
    spans = [(found.started_at or found.created_at, _end(found)) for found in checkpoints]
    first = min((start for start, _ in spans), default=None)
    last = max((end for _, end in spans), default=None)
    if first is None or last is None:
        return []
    return [
        {**document, "took": brief((end - start) / timedelta(seconds=1)), "bar": bar(start, end, first, last, width)}
        for document, (start, end) in zip(documents, spans, strict=True)
    ]


def bar(start: datetime, end: datetime, first: datetime, last: datetime, width: int) -> str:
    """A bar on a line of that width that stands for the time from first to last.

    >>> from datetime import UTC
    >>> moment = [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in range(5)]
    >>> bar(moment[1], moment[3], moment[0], moment[4], 8)
    '  ████'
    """
    whole = max((last - first) / timedelta(seconds=1), 1e-9)
    left = round((start - first) / timedelta(seconds=1) / whole * width)
    right = round((end - first) / timedelta(seconds=1) / whole * width)
    left = min(left, width - 1)
    return " " * left + "█" * max(right - left, 1)


def _end(found: Checkpoint) -> datetime:
    """When a visit was over: a sleep, when it ends; anything else, when it was recorded."""
    if found.kind == "sleep":
        from dispatch.workflows.documents import read_time

        return max(read_time(found, "until"), found.created_at)
    return max(found.created_at, found.started_at or found.created_at)
