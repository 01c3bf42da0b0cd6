"""`dispatch event publish`: wakes every run that waits for the event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dispatch_cli.consent import DryRun
from dispatch_cli.event.base import EventName, Payload, app, payload_of, show_published
from dispatch_cli.failures import CommandError
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch.events.model import Event
    from dispatch_cli.admin import Admin


@verb(
    app,
    "publish",
    examples=(
        """dispatch event publish payment.cleared '{"amount": 5}' --key order-42""",
        "dispatch event publish stock.arrived --dry-run",
    ),
)
def publish(
    ctx: typer.Context,
    name: EventName,
    payload: Payload = None,
    key: Annotated[
        str | None, typer.Option("--key", "-k", metavar="KEY", help="What it is about; waits name the same key.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Publish an event by name and key, print its id, and wake the runs that wait for it."""
    from dispatch.events.model import NAME

    session = session_of(ctx)
    data = payload_of(payload)
    if not NAME.fullmatch(name):
        raise CommandError(f"{name!r} is no event name: 1 to 128 of letters, digits and _ . : -")
    if dry_run:
        show_published(session, None, f"{name!r} would be published" + (f" with key {key!r}" if key else ""))
        return

    async def act(app: Admin) -> Event:
        async with app.audit.act("event.publish", detail=name) as held:
            event = await app.events.publish(name, data, key=key)
            held.settle([event.id])
        return event

    show_published(session, session.administer(act), "")
