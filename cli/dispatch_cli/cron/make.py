"""`dispatch cron create | edit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli import complete
from dispatch_cli.choices import call_arguments, duration, hint_at_json, word_among
from dispatch_cli.consent import DryRun, Reason
from dispatch_cli.cron.base import Name, Tenant, app, named, scope_of, show_change
from dispatch_cli.failures import CommandError
from dispatch_cli.named import if_allowed, must_be_meant, warn_unless_called
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch.crons.model import CronEntry
    from dispatch_cli.admin import Admin

OVERLAPS, MISFIRES = ("skip", "allow", "queue", "cancel_old"), ("once", "all", "skip")

Pairs = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=TEXT…", help="The call's arguments: key=text, or key:=json for numbers and the like."),
]
Document = Annotated[
    str | None,
    typer.Option("--args", metavar="JSON", help="All arguments as JSON; @file reads a file, - standard input."),
]
Timezone = Annotated[str | None, typer.Option("--timezone", metavar="ZONE", help="On whose wall clock: Europe/Berlin.")]
Overlap = Annotated[
    str | None,
    typer.Option(
        "--overlap",
        metavar="RULE",
        help="While an earlier job is not over: skip, allow, queue or cancel_old.",
        autocompletion=complete.words_of(OVERLAPS),
    ),
]
Misfire = Annotated[
    str | None,
    typer.Option(
        "--misfire",
        metavar="RULE",
        help="Late ticks: once, all or skip.",
        autocompletion=complete.words_of(MISFIRES),
    ),
]
Window = Annotated[str | None, typer.Option("--misfire-window", metavar="DURATION", help="Older ticks are missed: 1h.")]
Jitter = Annotated[
    str | None, typer.Option("--jitter", metavar="DURATION", help="Each job waits for a part of this: 30s.")
]


@verb(
    app,
    "create",
    examples=(
        "dispatch cron create digest '*/5 * * * *' send_email to=ada@example.com",
        "dispatch cron create adding '@every 30s' add x:=1 --overlap allow --jitter 5s --dry-run",
        "dispatch cron create t-42-digest @daily send_email to=ada --tenant shop/t-42 --timezone Europe/Berlin",
    ),
)
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The entry's name, unique in its tenant.")],
    schedule: Annotated[str, typer.Argument(metavar="SCHEDULE", help="'*/5 * * * *', @daily, '@every 30s'.")],
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="The job or workflow it calls.", autocompletion=complete.names)
    ],
    pairs: Pairs = None,
    args: Document = None,
    timezone: Timezone = None,
    overlap: Overlap = None,
    misfire: Misfire = None,
    window: Window = None,
    jitter: Jitter = None,
    queue: Annotated[
        str | None, typer.Option("--queue", "-q", metavar="NAME", help="On this queue.", autocompletion=complete.queues)
    ] = None,
    priority: Annotated[int | None, typer.Option("--priority", metavar="N", help="Higher goes first.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="Tags to find its jobs by.")] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="APP/ORG", help="Whose it is: its jobs run in that scope.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also for a target that looks like a slip of a name that is known.")
    ] = False,
    reason: Reason = "",
    dry_run: DryRun = False,
) -> None:
    """Make a cron entry at run time, for a job or workflow by its name; the code that runs it need not be here."""
    from dispatch.jobs.options import EnqueueOptions
    from dispatch.scope import NO_SCOPE

    session = session_of(ctx)
    timing = _timing(timezone, overlap, misfire, window, jitter)
    arguments = call_arguments(pairs or (), args)
    options = EnqueueOptions(queue=queue, priority=priority, tags=tag)

    async def act(app: Admin) -> CronEntry:
        await _must_be_meant(session, app, target, force=force)
        made = {"scope": scope_of(tenant) or NO_SCOPE, **timing}
        if dry_run:
            entry = await app.crons.create_named(name, schedule, target, arguments, options, dry_run=True, **made)
        else:
            async with app.audit.act("cron.create", [name], reason=reason, detail=f"{schedule} {target}"):
                entry = await app.crons.create_named(name, schedule, target, arguments, options, **made)
        await warn_unless_called(session, app, entry)
        return entry

    with hint_at_json(pairs or ()):
        entry = session.administer(act, create=not dry_run)
    show_change(session, entry, "created", dry_run=dry_run)


@verb(
    app,
    "edit",
    examples=(
        "dispatch cron edit paused --schedule '0 4 * * *' --timezone Europe/Berlin",
        "dispatch cron edit paused x:=2 --dry-run",
    ),
)
def edit(
    ctx: typer.Context,
    name: Name,
    pairs: Pairs = None,
    args: Document = None,
    schedule: Annotated[
        str | None, typer.Option("--schedule", metavar="SCHEDULE", help="'*/5 * * * *', @daily, '@every 30s'.")
    ] = None,
    timezone: Timezone = None,
    overlap: Overlap = None,
    misfire: Misfire = None,
    window: Window = None,
    jitter: Jitter = None,
    tenant: Tenant = None,
    reason: Reason = "",
    dry_run: DryRun = False,
) -> None:
    """Change a cron entry that was made at run time; only what is named changes, arguments all together. Exit 5 for one
    that code announces."""
    session, scope = session_of(ctx), scope_of(tenant)
    changes = _timing(timezone, overlap, misfire, window, jitter)
    if schedule is not None:
        changes["schedule"] = schedule
    arguments = call_arguments(pairs or (), args) if pairs or args is not None else None
    if not changes and arguments is None:
        raise CommandError("what is to change?", hint="name it: --schedule '0 4 * * *', --overlap allow, key=text …")

    async def act(app: Admin) -> CronEntry:
        key, owner = await named(session, app, name, scope)
        if arguments is not None:
            from dispatch.services.named import named_payload

            entry = await app.crons.get(key, scope=owner)
            announced = await app.crons.announced(entry.spec.target)
            schema = announced.schema if announced else None
            changes["payload"] = named_payload(entry.spec.target, arguments, schema)
        if dry_run:
            return await app.crons.edit(key, scope=owner, dry_run=True, **changes)
        detail = ", ".join(f"{what}={value}" for what, value in changes.items() if what != "payload")
        async with app.audit.act("cron.edit", [key], reason=reason, detail=detail):
            return await app.crons.edit(key, scope=owner, **changes)

    with hint_at_json(pairs or ()):
        entry = session.administer(act)
    show_change(session, entry, "changed", dry_run=dry_run)


def _timing(
    timezone: str | None, overlap: str | None, misfire: str | None, window: str | None, jitter: str | None
) -> dict[str, Any]:
    """The options that were given."""
    given: dict[str, Any] = {
        "timezone": timezone,
        "overlap": overlap and word_among("overlap rule", overlap, OVERLAPS),
        "misfire": misfire and word_among("misfire rule", misfire, MISFIRES),
        "misfire_window": duration("--misfire-window", window),
        "jitter": duration("--jitter", jitter),
    }
    return {key: value for key, value in given.items() if value is not None}


async def _must_be_meant(session: Session, app: Admin, target: str, *, force: bool) -> None:
    known = await if_allowed(app.workers.definitions())
    if known is None:
        return
    must_be_meant(
        session,
        target,
        {found.name for found in known},
        force=force,
        what="a job or workflow",
        forced="--force makes the entry as it is, for a worker that will know its target",
        waits="its jobs wait",
    )
