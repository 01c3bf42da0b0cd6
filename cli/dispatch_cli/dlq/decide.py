"""`dispatch dlq replay | discard | purge`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli import complete
from dispatch_cli.bulk import COLUMNS, Outcomes, each, finish
from dispatch_cli.choices import duration, many_ids
from dispatch_cli.consent import Confirm, DryRun, Reason, Yes, ask, leave_record
from dispatch_cli.dlq.base import EXAMPLE, STATES, Errors, Names, Queues, app, states_of
from dispatch_cli.failures import CommandError
from dispatch_cli.progress import progress
from dispatch_cli.render import Column
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch import Dispatch
    from dispatch.dlq.model import ListOptions
    from dispatch.ids import DLQID

_NOTHING = "no dead letters match, so nothing was done"
_REPLAYED = (*COLUMNS[:2], Column("job", "job_id"), Column("detail", "detail"))
_PURGE_AT_ONCE = 1000

SomeIDs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ID…", help="The dead letters' ids; - reads them from standard input.", autocompletion=complete.letters
    ),
]


@verb(
    app,
    "replay",
    examples=(
        f"dispatch dlq replay {EXAMPLE}",
        "dispatch dlq replay --all --name charge_card --dry-run",
        "dispatch dlq list --error ValueError -o ids | dispatch dlq replay -",
    ),
)
def replay(
    ctx: typer.Context,
    ids: SomeIDs = None,
    every: Annotated[bool, typer.Option("--all", help="All open ones that match the filters; asks first.")] = False,
    queue: Queues = None,
    name: Names = None,
    error: Errors = None,
    yes: Yes = False,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Make a new job from each dead letter, once: same arguments, same options, a fresh count of attempts."""
    from dispatch.dlq.model import ListOptions
    from dispatch.ids import DLQID

    session = session_of(ctx)
    if bool(ids) == every:
        raise CommandError("which dead letters?", hint="name their ids, or - for those on standard input, or --all")
    if not every and (queue or name or error):
        raise CommandError("--queue, --name and --error choose among --all; ids are already chosen")
    options = ListOptions(queues=queue or (), names=name or (), error_types=error or ())
    chosen = many_ids(DLQID, ids or ())

    async def one_of(app: Dispatch, entry_id: DLQID, outcomes: Outcomes) -> None:
        if dry_run:
            await _must_be_open(app, entry_id)
            outcomes.add(entry_id, "would be replayed", job_id=None)
        else:
            outcomes.add(entry_id, "replayed", job_id=str(await app.dlq.replay(entry_id)))

    async def act(app: Dispatch) -> Outcomes:
        if not every:
            return await each(chosen, lambda entry_id, outcomes: one_of(app, entry_id, outcomes))
        total = await app.dlq.count(options)
        if total and not dry_run:
            ask(session, f"replay {_letters(total)}", yes=yes, confirm=confirm)
        with progress(session, "replaying", total) as advance:
            found = _ids(app, options)
            outcomes = await each(found, lambda entry_id, all_: one_of(app, entry_id, all_), tick=advance)
        if outcomes.done and not dry_run:
            await leave_record(app, "dlq.replay", outcomes.done)
        return outcomes

    finish(session, session.on_app(act), empty=_NOTHING, columns=_REPLAYED)


@verb(
    app,
    "discard",
    examples=(
        f"dispatch dlq discard {EXAMPLE} --dry-run",
        f"dispatch dlq discard {EXAMPLE} --yes --reason 'known, harmless'",
    ),
)
def discard(
    ctx: typer.Context,
    ids: Annotated[
        list[str],
        typer.Argument(
            metavar="ID…",
            help="The dead letters' ids; - reads them from standard input.",
            autocompletion=complete.letters,
        ),
    ],
    reason: Reason = "",
    yes: Yes = False,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Decide that nothing happens with dead letters; they stay visible until they are purged. Asks first."""
    from dispatch.ids import DLQID

    session = session_of(ctx)
    chosen = many_ids(DLQID, ids)
    if chosen and not dry_run:
        ask(session, f"discard {_letters(len(chosen))}", yes=yes, confirm=confirm)

    async def act(app: Dispatch) -> Outcomes:
        async def one(entry_id: DLQID, outcomes: Outcomes) -> None:
            await (_must_be_open(app, entry_id) if dry_run else app.dlq.discard(entry_id))
            outcomes.add(entry_id, "would be discarded" if dry_run else "discarded")

        outcomes = await each(chosen, one)
        if outcomes.done and not dry_run:
            await leave_record(app, "dlq.discard", outcomes.done, reason=reason)
        return outcomes

    finish(session, session.on_app(act), empty=_NOTHING)


@verb(
    app,
    "purge",
    examples=(
        "dispatch dlq purge --older-than 30d --dry-run",
        "dispatch dlq purge --older-than 30d --yes",
        "dispatch dlq purge --state discarded --yes --json",
    ),
)
def purge(
    ctx: typer.Context,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="DURATION", help="Only those that died longer ago: 30d, 12h.")
    ] = "0s",
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            "-s",
            metavar="STATE",
            help="Only in these states; default: all.",
            autocompletion=complete.words_of(STATES),
        ),
    ] = None,
    reason: Reason = "",
    yes: Yes = False,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Delete dead letters for good, open ones too unless --state says otherwise. Asks first."""
    from datetime import timedelta

    from dispatch.clock import utc_now
    from dispatch.dlq.model import ListOptions

    session = session_of(ctx)
    age = duration("--older-than", older_than) or 0.0
    states = states_of(state, default=("all",))

    async def act(app: Dispatch) -> dict[str, Any]:
        before = utc_now() - timedelta(seconds=age) if age else None
        total = await app.dlq.count(ListOptions(states=states, created_before=before))
        if dry_run or not total:
            return {"purged": 0, "would_purge": total}
        ask(session, f"delete {_letters(total)} for good", yes=yes, confirm=confirm)
        purged = 0
        with progress(session, "purging", total) as advance:
            while deleted := await app.dlq.purge(older_than=age, states=states, limit=_PURGE_AT_ONCE):
                purged += deleted
                advance(deleted)
        await leave_record(app, "dlq.purge", (), reason=reason, count=purged)
        return {"purged": purged, "would_purge": 0}

    document = session.on_app(act)
    key = "would_purge" if dry_run else "purged"
    session.out.record(document, fields=[(key, document[key])])


async def _ids(app: Dispatch, options: ListOptions) -> AsyncIterator[DLQID]:
    async for entry in app.dlq.each(options):
        yield entry.id


async def _must_be_open(app: Dispatch, entry_id: DLQID) -> None:
    from dispatch.dlq.model import DLQState
    from dispatch.errors import AlreadyReplayed

    entry = await app.dlq.get(entry_id)
    if entry.state is not DLQState.OPEN:
        raise AlreadyReplayed(f"{entry_id} was {entry.state} before; each dead letter is decided once")


def _letters(count: int) -> str:
    return f"{count} dead letter" if count == 1 else f"{count} dead letters"
