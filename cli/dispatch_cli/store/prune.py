"""`dispatch store prune`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from dispatch_cli.consent import Confirm, DryRun, Reason, Yes, ask
from dispatch_cli.progress import progress
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb
from dispatch_cli.store.base import app

if TYPE_CHECKING:
    from dispatch import Dispatch

_KINDS = ("completed", "failed", "cancelled", "workers", "events", "records")


@verb(
    app,
    "prune",
    local="what is kept how long is for the workers of a store",
    examples=("dispatch store prune --dry-run", "dispatch store prune --yes --json"),
)
def prune(
    ctx: typer.Context,
    reason: Reason = "",
    yes: Yes = False,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Remove now what [retention] no longer keeps; workers do it by and by. Asks first."""
    session = session_of(ctx)
    session.must_exist()

    async def act(app: Dispatch) -> dict[str, int]:
        old = dict(await app.retention.count())
        total = sum(old.values())
        if dry_run or not total:
            return old
        what = ", ".join(f"{count} {_thing(kind, count)}" for kind, count in old.items() if count)
        ask(session, f"remove {what} for good", yes=yes, confirm=confirm)
        with progress(session, "pruning", total) as advance:
            return dict(await app.retention.prune(tick=advance, reason=reason))

    found = session.on_app(act)
    counts = {kind: found.get(kind, 0) for kind in _KINDS}
    document = {"store": session.store_url, **counts, "total": sum(counts.values()), "dry_run": dry_run}
    session.out.record(document, fields=list(document.items()))
    if not document["total"]:
        session.tell("nothing is older than [retention] keeps it")


def _thing(kind: str, count: int) -> str:
    name = {"workers": "dead worker", "events": "event", "records": "expired record"}.get(kind)
    if name is None:
        return f"{kind} job or run" if count == 1 else f"{kind} jobs and runs"
    return name if count == 1 else f"{name}s"
