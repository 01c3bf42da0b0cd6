"""`dispatch cron list | show | next | history`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli import complete
from dispatch_cli.choices import words_among
from dispatch_cli.cron.base import Name, Tenant, app, named, scope_of
from dispatch_cli.render import Column
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dispatch.crons.model import Tick
    from dispatch_cli.admin import Admin

STATES = ("enabled", "disabled", "orphaned")
COLUMNS = (
    Column("cron", "name"),
    Column("schedule", "when"),
    Column("calls", "target", spare=1),
    Column("state", "state"),
    Column("last", "last_fired_at", spare=2),
    Column("next", "next_fire_at"),
    Column("tenant", "tenant", spare=3),
)
_TICKS = (Column("tick", "scheduled_at"), Column("outcome", "outcome"), Column("made", "made"))


@verb(
    app,
    "list",
    examples=("dispatch cron list", "dispatch cron list --state disabled --json", "dispatch cron list -o jsonl"),
)
def list_entries(
    ctx: typer.Context,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            metavar="STATE",
            help="enabled, disabled or orphaned; repeat for more.",
            autocompletion=complete.words_of(STATES),
        ),
    ] = None,
    tenant: Tenant = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, metavar="N", help="At most so many.")] = 500,
    cursor: Annotated[
        str | None, typer.Option("--cursor", metavar="CURSOR", help="Go on where a page ended (next_cursor).")
    ] = None,
) -> None:
    """List cron entries by name: when they tick, what they call, whether they fire."""
    from dispatch.crons.model import ListOptions
    from dispatch.documents.crons import entry_summary

    session = session_of(ctx)
    wanted = words_among("state", state or (), STATES)
    options = ListOptions(
        enabled=True if wanted == ["enabled"] else False if wanted == ["disabled"] else None,
        orphaned=True if wanted == ["orphaned"] else None,
        scope=scope_of(tenant),
        limit=limit,
        cursor=cursor,
    )
    page = session.administer(lambda app: app.crons.list(options))
    documents = [dict(entry_summary(entry)) for entry in page.items]
    documents = [document for document in documents if not wanted or document["state"] in wanted]
    if session.out.format == "table":
        documents = [{**document, **_in_words(document)} for document in documents]
    empty = "no cron entries" if not wanted else f"no cron entries are {' or '.join(wanted)}"
    session.out.rows(documents, COLUMNS, empty=empty, extra={"next_cursor": page.next_cursor})


def _in_words(document: dict[str, Any]) -> dict[str, Any]:
    zone, scope = document["timezone"], document["scope"]
    when = document["schedule"] if zone == "UTC" else f"{document['schedule']} ({zone})"
    tenant = None if scope is None else f"{scope['app_id']}/{scope['org_id']}"
    following = document["next_fire_at"] if document["state"] == "enabled" else None
    return {"when": when, "tenant": tenant, "next_fire_at": following}


@verb(app, "show", examples=("dispatch cron show nightly", "dispatch cron show nightly --json"))
def show(ctx: typer.Context, name: Name, tenant: Tenant = None) -> None:
    """Show a cron entry: what it calls and when, whether it fires and since when not, its next times."""
    from dispatch.documents.crons import entry_document
    from dispatch.text import iso

    session, scope = session_of(ctx), scope_of(tenant)

    async def look(app: Admin) -> dict[str, Any]:
        key, owner = await named(session, app, name, scope)
        entry = await app.crons.get(key, scope=owner)
        following = await app.crons.next(key, count=3, scope=owner)
        return {**entry_document(entry), "next": [iso(moment) for moment in following]}

    document = session.administer(look)
    hidden = ("payload_text",) if document["payload_text"] is None else ("payload",)
    session.out.record(document, fields=[(key, value) for key, value in document.items() if key not in hidden])


@verb(app, "next", examples=("dispatch cron next nightly", "dispatch cron next nightly -n 3 --json"))
def following(
    ctx: typer.Context,
    name: Name,
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=1000, metavar="N", help="So many.")] = 10,
    tenant: Tenant = None,
) -> None:
    """Say when a cron entry ticks next, were it enabled: in UTC and on the wall clock of its zone."""
    from dispatch.text import iso

    session, scope = session_of(ctx), scope_of(tenant)
    session.out.must_not_be_ids()

    async def look(app: Admin) -> list[dict[str, Any]]:
        from dispatch.crons.schedule import zone_of

        key, owner = await named(session, app, name, scope)
        entry = await app.crons.get(key, scope=owner)
        zone = zone_of(entry.spec.timezone)
        moments = await app.crons.next(key, count=count, scope=owner)
        return [{"at": iso(moment), "wall": moment.astimezone(zone).isoformat()} for moment in moments]

    columns = (Column("at (UTC)", "at"), Column("on the entry's clock", "wall"))
    session.out.rows(session.administer(look), columns, empty=f"{name} will not tick again")


@verb(app, "history", examples=("dispatch cron history nightly", "dispatch cron history nightly --limit 5 --json"))
def history(
    ctx: typer.Context,
    name: Name,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, metavar="N", help="At most so many.")] = 50,
    tenant: Tenant = None,
) -> None:
    """List the latest ticks of a cron entry, newest first, and what became of them: fired, skipped because an earlier
    job was not over, missed because nobody could fire it in time, or manual."""
    from dispatch.documents.crons import tick_document

    session, scope = session_of(ctx), scope_of(tenant)
    session.out.must_not_be_ids()

    async def look(app: Admin) -> Sequence[Tick]:
        key, owner = await named(session, app, name, scope)
        return await app.crons.history(key, limit=limit, scope=owner)

    documents = [dict(tick_document(tick)) for tick in session.administer(look)]
    if session.out.format == "table":
        documents = [{**document, "made": document["run_id"] or document["job_id"]} for document in documents]
    session.out.rows(documents, _TICKS, empty=f"{name} has not ticked yet")
