"""`dispatch leader show | resign`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from dispatch_cli.consent import Confirm, DryRun, Reason, ask
from dispatch_cli.failures import CONFLICT, CommandError
from dispatch_cli.session import session_of
from dispatch_cli.shell import noun, verb

if TYPE_CHECKING:
    from dispatch.cluster.model import Leadership
    from dispatch_cli.admin import Admin

app = noun(
    "See which worker leads the fleet and fires cron entries, or let another one lead.",
    examples=("dispatch leader show", "dispatch leader resign --dry-run"),
)


@verb(app, "show", examples=("dispatch leader show", "dispatch leader show --json"))
def show(ctx: typer.Context) -> None:
    """Show who leads, in which term, and until when unless the term is renewed."""
    from dispatch.documents.fleet import leader_document

    session = session_of(ctx)
    session.out.must_not_be_ids()
    found = session.administer(lambda app: app.workers.leadership())
    document = leader_document(found)
    session.out.record(document, fields=list(document.items()))
    if found is None:
        session.tell("nobody leads")


@verb(app, "resign", examples=("dispatch leader resign --dry-run", "dispatch leader resign --reason 'it is slow'"))
def resign(ctx: typer.Context, reason: Reason = "", confirm: Confirm = None, dry_run: DryRun = False) -> None:
    """End the leader's term, so that another worker leads. It goes on running jobs, and may lead again later. Exit 5
    when nobody leads."""
    from dispatch.documents.fleet import leader_document

    session = session_of(ctx)
    session.out.must_not_be_ids()
    if not dry_run:
        ask(session, "end the leader's term", yes=True, many=False, confirm=confirm)

    async def act(app: Admin) -> Leadership:
        found = await app.workers.leadership()
        if found is not None and not dry_run:
            async with app.audit.act("leader.resign", [found.leader], reason=reason, detail=f"term {found.term}"):
                found = await app.workers.resign()
        if found is None:
            raise CommandError(
                "nobody leads", code="no_leader", exit_code=CONFLICT, hint="`dispatch worker list` shows who is alive"
            )
        return found

    outcome = "would resign" if dry_run else "resigned"
    document = {**leader_document(session.administer(act)), "outcome": outcome, "dry_run": dry_run}
    session.out.record(document, fields=[(key, value) for key, value in document.items() if key != "dry_run"])
