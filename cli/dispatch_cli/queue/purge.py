"""`dispatch queue purge`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from dispatch_cli.consent import Confirm, DryRun, Reason, Yes, ask
from dispatch_cli.progress import progress
from dispatch_cli.queue.base import Name, app, must_be_meant, queue_name
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch_cli.admin import Admin

_AT_ONCE = 500


@verb(
    app,
    "purge",
    examples=(
        "dispatch queue purge mailers --dry-run",
        "dispatch queue purge mailers --yes --reason 'sent by hand'",
    ),
)
def purge(
    ctx: typer.Context,
    name: Name,
    reason: Reason = "",
    yes: Yes = False,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Delete the jobs that wait in a queue, for good: due, scheduled, retrying and set aside. What runs goes on, and
    what is enqueued meanwhile stays. Asks first."""
    session = session_of(ctx)
    session.out.must_not_be_ids()
    wanted = queue_name(name)

    async def act(app: Admin) -> dict[str, Any]:
        await must_be_meant(session, app, wanted)
        info = await app.queues.get(wanted)
        total = info.pending + info.retrying
        document = {"name": wanted, "purged": 0, "would_purge": total if dry_run else 0}
        if dry_run or not total:
            return document
        waiting = "waiting job" if total == 1 else "waiting jobs"
        ask(session, f"delete {total:,} {waiting} of queue {wanted!r} for good", yes=yes, confirm=confirm)
        purged = 0
        with progress(session, "purging", total) as advance:
            async with app.audit.act("queue.purge", [wanted], count=total, reason=reason) as held:
                while deleted := await app.queues.purge(wanted, before=info.at, limit=_AT_ONCE):
                    purged += deleted
                    held.settle([wanted], count=purged)
                    advance(deleted)
                    if deleted < _AT_ONCE:
                        break
        return {**document, "purged": purged}

    document = session.administer(act)
    key = "would_purge" if dry_run else "purged"
    session.out.record(document, fields=[("queue", wanted), (key, document[key])])
