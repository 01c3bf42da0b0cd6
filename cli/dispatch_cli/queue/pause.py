"""`dispatch queue pause | resume`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli.choices import duration
from dispatch_cli.consent import Confirm, DryRun, Reason, ask, who
from dispatch_cli.failures import CONFLICT, CommandError
from dispatch_cli.queue.base import FORCED, Name, app, document_of, must_be_meant, queue_name, show_change
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch.queues import Pause, QueueInfo
    from dispatch_cli.admin import Admin


@verb(
    app,
    "pause",
    examples=(
        "dispatch queue pause mailers --for 1h --reason 'the mail server is down'",
        "dispatch queue pause mailers --dry-run",
    ),
)
def pause(
    ctx: typer.Context,
    name: Name,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="It resumes by itself after so long (30m, 1h).")
    ] = None,
    reason: Reason = "",
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Also a queue whose name looks like a slip, or one that somebody paused for longer."
        ),
    ] = False,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Stop claims from a queue, until it is resumed or for a while. What runs goes on; what waits keeps waiting."""
    session = session_of(ctx)
    wanted, length = queue_name(name), duration("--for", for_)
    if length == 0:
        raise CommandError("--for 0 would pause nothing", hint="leave it out to pause until somebody resumes the queue")
    if not dry_run:
        ask(session, f"pause queue {wanted!r}", yes=True, confirm=confirm)

    async def act(app: Admin) -> dict[str, Any]:
        await must_be_meant(session, app, wanted, force=force, hint=FORCED)
        before = await app.queues.get(wanted)
        if dry_run:
            paused = rehearsed(before, by=who(), reason=reason, length=length, force=force)
        else:
            paused = await app.queues.pause(wanted, by=who(), reason=reason, duration=length, force=force)
        if before.pause and before.pause.by != paused.by:
            session.tell(f"warning: this takes the place of the pause by {before.pause.in_words()}")
        return await document_of(app, replace(await app.queues.get(wanted), pause=paused))

    show_change(session, session.administer(act, create=not dry_run), "paused", dry_run=dry_run)


def rehearsed(info: QueueInfo, *, by: str, reason: str, length: float | None, force: bool) -> Pause:
    """The pause that this would be; QueuePaused where somebody else's stands in the way."""
    from datetime import timedelta

    from dispatch.clock import utc_now
    from dispatch.queues import Pause
    from dispatch.services.queues import pause_refused

    now = utc_now()
    until = None if length is None else now + timedelta(seconds=length)
    if not force and info.pause and info.pause.outlasts(by, until):
        raise pause_refused(info.config.name, info.pause)
    return Pause(by, reason, until, now)


@verb(app, "resume", examples=("dispatch queue resume slow --dry-run", "dispatch queue resume slow"))
def resume(ctx: typer.Context, name: Name, reason: Reason = "", dry_run: DryRun = False) -> None:
    """End a queue's pause. Exit 5 when it is not paused."""
    session = session_of(ctx)
    wanted = queue_name(name)

    async def act(app: Admin) -> dict[str, Any]:
        before = await app.queues.get(wanted)
        if before.pause is None if dry_run else not await app.queues.resume(wanted, reason=reason):
            await must_be_meant(session, app, wanted)
            raise CommandError(
                f"queue {wanted!r} is not paused",
                code="not_paused",
                exit_code=CONFLICT,
                hint="`dispatch queue list` shows which queues are",
            )
        if dry_run:
            return await document_of(app, replace(before, pause=None))
        return await document_of(app, await app.queues.get(wanted))

    show_change(session, session.administer(act), "resumed", dry_run=dry_run)
