"""`dispatch workflow signal`: sends an event to one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from dispatch_cli.choices import one_id
from dispatch_cli.consent import DryRun
from dispatch_cli.event.base import EventName, Payload, payload_of, show_published
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb
from dispatch_cli.workflow.base import EXAMPLE, OneRun, app

if TYPE_CHECKING:
    from dispatch.events.model import Event
    from dispatch_cli.admin import Admin


@verb(
    app,
    "signal",
    examples=(
        f"dispatch workflow signal {EXAMPLE} order.approved",
        f"""dispatch workflow signal {EXAMPLE} order.approved '{{"by": "ada"}}'""",
    ),
)
def signal(ctx: typer.Context, id_: OneRun, name: EventName, payload: Payload = None, dry_run: DryRun = False) -> None:
    """Send an event to one run; it is kept for the run until it waits for it, or ends."""
    from dispatch.errors import RunEnded
    from dispatch.ids import RunID

    session = session_of(ctx)
    run_id = one_id(RunID, id_)
    data = payload_of(payload)

    async def act(app: Admin) -> Event | None:
        if dry_run:
            run = await app.workflows.get(run_id)
            if run.state.terminal:
                raise RunEnded(f"{run_id} has ended ({run.state}): it takes no signals")
            return None
        async with app.audit.act("workflow.signal", [run_id], detail=name):
            return await app.workflows.signal(run_id, name, data)

    show_published(session, session.administer(act), f"{name!r} would be sent to {run_id}")
