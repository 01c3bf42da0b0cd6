"""`dispatch cron delete | prune`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from dispatch_cli.consent import Confirm, DryRun, Reason, Yes, ask
from dispatch_cli.cron.base import Name, Tenant, app, named, scope_of, show_change
from dispatch_cli.render import Column
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch.crons.model import CronEntry
    from dispatch_cli.admin import Admin

_COLUMNS = (Column("cron", "name"), Column("tenant", "tenant"), Column("outcome", "outcome"))


@verb(app, "delete", examples=("dispatch cron delete paused --dry-run", "dispatch cron delete paused --yes"))
def delete(
    ctx: typer.Context,
    name: Name,
    tenant: Tenant = None,
    reason: Reason = "",
    yes: Yes = False,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Delete a cron entry with its history, for good; what it has made runs on. Asks first. Exit 5 while the code of a
    live worker announces it: disable it instead."""
    session, scope = session_of(ctx), scope_of(tenant)

    async def act(app: Admin) -> CronEntry:
        key, owner = await named(session, app, name, scope)
        entry = await app.crons.get(key, scope=owner)
        if not dry_run:
            ask(session, f"delete cron entry {entry.name!r} with its history", yes=yes, confirm=confirm)
            async with app.audit.act("cron.delete", [entry.name], reason=reason):
                await app.crons.delete(key, scope=owner)
        return entry

    show_change(session, session.administer(act), "deleted", dry_run=dry_run)


@verb(app, "prune", examples=("dispatch cron prune --dry-run", "dispatch cron prune --yes --reason 'two releases ago'"))
def prune(
    ctx: typer.Context, reason: Reason = "", yes: Yes = False, confirm: Confirm = None, dry_run: DryRun = False
) -> None:
    """Delete the orphaned cron entries, whose code no live worker has, with their history. Asks first. Before a deploy
    is over an entry may be an orphan for a while."""
    session = session_of(ctx)

    async def act(app: Admin) -> list[dict[str, Any]]:
        orphans = await app.crons.orphans()
        if orphans and not dry_run:
            many = "1 orphaned cron entry" if len(orphans) == 1 else f"{len(orphans)} orphaned cron entries"
            ask(session, f"delete {many}", yes=yes, confirm=confirm)
            names = [entry.name for entry in orphans]
            async with app.audit.act("cron.prune", names, reason=reason) as held:
                gone = await app.crons.prune_orphans()
                held.settle(gone)
            orphans = [entry for entry in orphans if entry.name in gone]
        outcome = "would be deleted" if dry_run else "deleted"
        return [
            {"name": entry.name, "tenant": entry.spec.scope.tenant or None, "outcome": outcome} for entry in orphans
        ]

    documents = session.administer(act)
    session.out.rows(documents, _COLUMNS, empty="no cron entry is orphaned", extra={"dry_run": dry_run})
