"""What the verbs of `dispatch cron` share: the noun, its names and tenants, and how a change is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dispatch_cli import complete
from dispatch_cli.failures import CommandError
from dispatch_cli.session import Session
from dispatch_cli.shell import noun

if TYPE_CHECKING:
    from dispatch.crons.model import CronEntry
    from dispatch.scope import Scope
    from dispatch_cli.admin import Admin

app = noun(
    "Look at, plan, make, change, switch and trigger cron entries.",
    examples=("dispatch cron list", "dispatch cron disable nightly --until 2h --reason 'the disk is full'"),
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The entry's name or id.", autocompletion=complete.crons)]
Tenant = Annotated[
    str | None, typer.Option("--tenant", metavar="APP/ORG", help="The entry of this tenant, where several have one.")
]


def scope_of(text: str | None) -> Scope | None:
    """The scope that --tenant names; None when it is left out."""
    from dispatch.scope import Scope

    if text is None:
        return None
    app_id, _, org_id = text.partition("/")
    if not (app_id or org_id):
        raise CommandError(f"--tenant {text!r} names nobody", hint="write APP/ORG, such as shop/t-42")
    return Scope(app_id, org_id)


async def named(session: Session, app: Admin, key: str, scope: Scope | None) -> tuple[str, Scope | None]:
    """The name and tenant that the id of an entry stands for; any other key is a name. A server knows ids itself."""
    from dispatch.crons.model import ListOptions
    from dispatch.entity import LARGEST_PAGE
    from dispatch.ids import CronID

    cursor: str | None = None
    while session.server is None and key.startswith(f"{CronID.prefix}_"):
        page = await app.crons.list(ListOptions(scope=scope, limit=LARGEST_PAGE, cursor=cursor))
        for entry in page.items:
            if entry.id == key:
                return entry.name, entry.spec.scope
        cursor = page.next_cursor
        if cursor is None:
            break
    return key, scope


def show_change(session: Session, entry: CronEntry, outcome: str, *, dry_run: bool) -> None:
    """Writes what became of an entry, or would have."""
    from dispatch.documents.crons import entry_document

    told = f"would be {outcome}" if dry_run else outcome
    document = {**entry_document(entry), "outcome": told, "dry_run": dry_run}
    shown = ["schedule", "timezone", "target", "payload", "disabled_until", "disabled_reason"]
    if entry.enabled:
        shown.append("next_fire_at")
    fields = [("cron entry", document["name"]), ("outcome", told)]
    session.out.record(document, fields=[*fields, *((key.replace("_", " "), document[key]) for key in shown)])
