"""`dispatch cron enable | disable | trigger`."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli.choices import moment
from dispatch_cli.consent import Confirm, DryRun, Reason, ask, who
from dispatch_cli.cron.base import Name, Tenant, app, named, scope_of, show_change
from dispatch_cli.failures import CONFLICT, CommandError
from dispatch_cli.named import warn_unless_called
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch.crons.model import CronEntry
    from dispatch_cli.admin import Admin


@verb(app, "enable", examples=("dispatch cron enable paused --dry-run", "dispatch cron enable paused"))
def enable(ctx: typer.Context, name: Name, tenant: Tenant = None, reason: Reason = "", dry_run: DryRun = False) -> None:
    """Let a disabled cron entry fire again, from its next tick on. Exit 5 when it is not disabled."""
    session, scope = session_of(ctx), scope_of(tenant)

    async def act(app: Admin) -> CronEntry:
        key, owner = await named(session, app, name, scope)
        entry = await app.crons.get(key, scope=owner)
        if not dry_run:
            async with app.audit.act("cron.enable", [entry.name], reason=reason):
                if not await app.crons.enable(key, scope=owner):
                    raise _not_disabled(entry.name)
            return await app.crons.get(key, scope=owner)
        if entry.enabled:
            raise _not_disabled(entry.name)
        (following, *_) = [*await app.crons.next(key, count=1, scope=owner), None]
        return replace(entry, enabled=True, disabled_until=None, disabled_reason="", next_fire_at=following)

    show_change(session, session.administer(act), "enabled", dry_run=dry_run)


@verb(
    app,
    "disable",
    examples=(
        "dispatch cron disable nightly",
        "dispatch cron disable nightly --until 2h --reason 'the disk is full'",
        "dispatch cron disable nightly --dry-run",
    ),
)
def disable(
    ctx: typer.Context,
    name: Name,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help="It fires again then: 2h from now, or 2026-05-01T09:00."),
    ] = None,
    tenant: Tenant = None,
    reason: Reason = "",
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Keep a cron entry from firing, until it is enabled or for a while; a deploy does not change that. What it has
    made runs on."""
    session, scope = session_of(ctx), scope_of(tenant)
    end = _end(until)
    if not dry_run:
        ask(session, f"disable cron entry {name!r}", yes=True, many=False, confirm=confirm)

    async def act(app: Admin) -> CronEntry:
        key, owner = await named(session, app, name, scope)
        entry = await app.crons.get(key, scope=owner)
        if dry_run:
            return replace(entry, enabled=False, disabled_until=end, disabled_reason=reason, disabled_by=who())
        await app.crons.disable(key, until=end, reason=reason, by=who(), scope=owner)
        return await app.crons.get(key, scope=owner)

    show_change(session, session.administer(act), "disabled", dry_run=dry_run)


@verb(app, "trigger", examples=("dispatch cron trigger nightly", "dispatch cron trigger nightly --dry-run"))
def trigger(
    ctx: typer.Context, name: Name, tenant: Tenant = None, reason: Reason = "", dry_run: DryRun = False
) -> None:
    """Make a cron entry's call now, enabled or not, whatever of it still runs; its schedule goes on as before. Prints
    the id of the job or run."""
    from dispatch.documents.base import readable
    from dispatch.documents.crons import tick_document

    session, scope = session_of(ctx), scope_of(tenant)

    async def act(app: Admin) -> dict[str, Any]:
        key, owner = await named(session, app, name, scope)
        entry = await app.crons.get(key, scope=owner)
        await warn_unless_called(session, app, entry)
        if dry_run:
            payload, text = readable(entry.spec.payload)
            call = f"{entry.spec.target}({json.dumps(payload, ensure_ascii=False) if text is None else text})"
            session.tell(f"nothing was written; this would be called: {call}")
            nothing = dict.fromkeys(("scheduled_at", "job_id", "run_id"))
            return {"id": None, "name": entry.name, **nothing, "dry_run": True}
        async with app.audit.act("cron.trigger", [entry.name], reason=reason):
            tick = tick_document(await app.crons.trigger(key, scope=owner))
        made = {key: tick[key] for key in ("scheduled_at", "job_id", "run_id")}
        return {"id": tick["run_id"] or tick["job_id"], "name": entry.name, **made, "dry_run": False}

    document = session.administer(act)
    if session.out.format == "table":
        session.out.write("" if dry_run else f"{document['id']}\n")
    else:
        session.out.record(document, fields=())


def _end(text: str | None) -> datetime | None:
    """When a pause ends: a moment, or how long from now."""
    from dispatch.clock import LONGEST, seconds, utc_now

    if text is None:
        return None
    now = utc_now()
    try:
        length = seconds(text)
        found = now + timedelta(seconds=min(max(length, 0.0), LONGEST))
    except ValueError:
        at = moment("--until", text, instead="2h (from now on), ")
        assert at is not None
        found = at
    if found <= now:
        raise CommandError(
            f"--until {text}: that is over, so nothing would be disabled",
            hint="leave it out to disable the entry until somebody enables it",
        )
    return found


def _not_disabled(name: str) -> CommandError:
    return CommandError(
        f"cron entry {name!r} is not disabled",
        code="not_disabled",
        exit_code=CONFLICT,
        hint="`dispatch cron list --state disabled` shows which are",
    )
