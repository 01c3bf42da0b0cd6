"""`dispatch apikey create | list | revoke`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli.choices import duration
from dispatch_cli.consent import Confirm, DryRun, Reason, ask, who
from dispatch_cli.cron.base import scope_of
from dispatch_cli.failures import CommandError
from dispatch_cli.render import Column
from dispatch_cli.session import session_of
from dispatch_cli.shell import noun, verb

if TYPE_CHECKING:
    from dispatch.services import APIKey
    from dispatch_cli.admin import Admin

EXAMPLE = "5f1c0a9be27d4388"

app = noun(
    "Make, list and revoke the keys that clients of the HTTP API show.",
    examples=("dispatch apikey create --scope job:read --scope job:write", "dispatch apikey list"),
)

COLUMNS = (
    Column("id", "id"),
    Column("name", "name"),
    Column("scopes", "scopes"),
    Column("tenant", "tenant"),
    Column("created", "created_at", spare=1),
    Column("expires", "expires_at"),
)


@verb(
    app,
    "create",
    examples=(
        "dispatch apikey create --scope job:read --scope job:write --name deploy",
        "dispatch apikey create --scope '*' --tenant shop/t-42 --expires 90d",
        "dispatch apikey create --scope stats:read --dry-run",
    ),
)
def create(
    ctx: typer.Context,
    scopes: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="SCOPE", help="What it is allowed: job:read, job:write, … or *; repeat it."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Whose it is; default: your name.")] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="APP/ORG", help="It sees and makes only what is this tenant's.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="DURATION", help="It ends by itself after that: 90d, 12h.")
    ] = None,
    reason: Reason = "",
    dry_run: DryRun = False,
) -> None:
    """Make a key and print it: this once, for the store keeps only its hash. Without --expires it stays until it is
    revoked."""
    from dispatch.documents.overview import apikey_document
    from dispatch.scope import NO_SCOPE
    from dispatch.services.keys import checked_scopes

    session = session_of(ctx)
    chosen, lasts = checked_scopes(scopes or ()), duration("--expires", expires)
    if lasts is not None and lasts <= 0:
        raise CommandError(f"--expires: {expires!r} is over at once", hint="leave it out for a key that stays")
    owner = scope_of(tenant) or NO_SCOPE

    async def act(app: Admin) -> dict[str, Any]:
        if dry_run:
            made = {"id": None, "name": name or who(), "scopes": chosen, "tenant": owner.tenant or None}
            return {**made, "created_at": None, "created_by": who(), "expires_at": None, "key": None}
        found = await app.keys.create(name or who(), scopes=chosen, scope=owner, expires_in=lasts, reason=reason)
        return {**apikey_document(found.key), "key": found.token}

    document = {**session.administer(act, create=not dry_run), "dry_run": dry_run}
    if dry_run or session.out.format != "table":
        if not dry_run and session.out.format == "ids":
            session.tell(f"{_in_words(document)}; keep it now, it is not shown again: {document['key']}")
        fields = [("API key", "would be created"), *((name, document[name]) for name in _SHOWN)]
        session.out.record(document, fields=fields)
        return
    session.tell(f"{_in_words(document)}; keep it now, it is not shown again:")
    session.out.write(f"{document['key']}\n")


_SHOWN = ("name", "scopes", "tenant", "expires_at")


def _in_words(document: dict[str, Any]) -> str:
    of = f" of tenant {document['tenant']}" if document["tenant"] else ""
    until = f", valid until {document['expires_at']}" if document["expires_at"] else ""
    return f"API key {document['id']} ({document['name']}){of} may {', '.join(document['scopes'])}{until}"


@verb(app, "list", examples=("dispatch apikey list", "dispatch apikey list -o ids"))
def list_keys(ctx: typer.Context) -> None:
    """List the keys that are valid now, by id; what was revoked or has expired is gone."""
    from dispatch.documents.overview import apikey_document

    session = session_of(ctx)

    async def act(app: Admin) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = await app.keys.list(limit=500, cursor=cursor)
            found += [dict(apikey_document(key)) for key in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return found

    session.out.rows(session.administer(act), COLUMNS, empty="there is no API key; `dispatch apikey create` makes one")


@verb(
    app,
    "revoke",
    examples=(f"dispatch apikey revoke {EXAMPLE} --dry-run", f"dispatch apikey revoke {EXAMPLE} --reason 'it leaked'"),
)
def revoke(
    ctx: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's public id: dk_<ID>_….")],
    reason: Reason = "",
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """End a key at once and for good; sessions opened with it end too."""
    from dispatch.documents.overview import apikey_document

    session = session_of(ctx)

    async def act(app: Admin) -> APIKey:
        found = await app.keys.get(key_id)
        if not dry_run:
            ask(session, f"revoke the API key of {found.name}", yes=False, confirm=confirm, many=False)
            await app.keys.revoke(key_id, reason=reason)
        return found

    outcome = "would be revoked" if dry_run else "revoked"
    document = {**apikey_document(session.administer(act)), "outcome": outcome, "dry_run": dry_run}
    session.out.record(document, fields=[(name, document[name]) for name in ("id", "name", "outcome")])
