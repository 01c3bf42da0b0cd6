"""`dispatch dlq replay | discard | purge`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli import complete
from dispatch_cli.bulk import COLUMNS, Outcomes
from dispatch_cli.change import Change, Chosen, Named, carry_out
from dispatch_cli.choices import call_arguments, duration, hint_at_json, in_words, interval_of, many_ids
from dispatch_cli.consent import Confirm, DryRun, Reason, Yes, ask
from dispatch_cli.dlq.base import EXAMPLE, STATES, Errors, Names, Queues, app, states_of
from dispatch_cli.failures import CommandError
from dispatch_cli.progress import progress
from dispatch_cli.render import Column
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch.dlq.model import ListOptions
    from dispatch.ids import DLQID
    from dispatch.services.edits import Edit
    from dispatch_cli.admin import Admin

_REPLAYED = (*COLUMNS[:2], Column("job", "job_id"), Column("detail", "detail"))
_PURGE_AT_ONCE = 1000

SomeIDs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ID…", help="The dead letters' ids; - reads them from standard input.", autocompletion=complete.letters
    ),
]


@dataclass
class Open:
    """The open dead letters that match, as they are when they are counted."""

    options: ListOptions
    words: str
    _newest: str = field(default="", init=False)

    async def count(self, app: Admin) -> int:
        """How many match now."""
        first = await app.dlq.list(replace(self.options, limit=1))
        if not first.items:
            return 0
        self._newest = str(first.items[0].id)
        return await app.dlq.count(self.options)

    async def ids(self, app: Admin) -> AsyncIterator[DLQID]:
        """Each of them, newest first."""
        async for entry in app.dlq.each(self.options):
            if str(entry.id) <= self._newest:
                yield entry.id


@verb(
    app,
    "replay",
    examples=(
        f"dispatch dlq replay {EXAMPLE}",
        f"dispatch dlq replay {EXAMPLE} --set amount:=5 --reason 'asked by phone'",
        "dispatch dlq replay --all --name charge_card --dry-run",
        "dispatch dlq replay --all --rate 10/s --yes",
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
    rate: Annotated[
        str | None, typer.Option("--rate", metavar="N/s", help="At most so many a second (10/s) or minute (30/m).")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=TEXT", help="Change an argument: email=a@b.c, amount:=5 (JSON), to.0=ada."),
    ] = None,
    payload: Annotated[
        str | None, typer.Option("--payload", metavar="FILE", help="Other arguments: JSON in a file, - standard input.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Let --set add a field that is not there and that nobody announced.")
    ] = False,
    reason: Reason = "",
    yes: Yes = False,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Make a new job from each dead letter, once: same arguments (or those of --set, --payload, for a single one), same
    options, a fresh count of attempts. The dead letter keeps what it carried."""
    from dispatch.dlq.model import ListOptions
    from dispatch.ids import DLQID

    if bool(ids) == every:
        raise CommandError("which dead letters?", hint="name their ids, or - for those on standard input, or --all")
    if not every and (queue or name or error):
        raise CommandError("--queue, --name and --error choose among --all; ids are already chosen")
    options = ListOptions(queues=queue or (), names=name or (), error_types=error or ())
    chosen: Chosen[DLQID] = (
        Open(options, in_words(all="open", queue=queue, name=name, error=error))
        if every
        else Named(many_ids(DLQID, ids or ()))
    )

    edit = _edit(sets, payload, force=force)
    if edit is not None and (every or not isinstance(chosen, Named) or len(chosen.given) != 1):
        raise CommandError("--set and --payload edit what one dead letter carries: name one id")

    async def act(app: Admin, entry_id: DLQID, outcomes: Outcomes) -> None:
        outcomes.add(entry_id, "replayed", job_id=str(await app.dlq.replay(entry_id, edit=edit)))

    async def rehearse(app: Admin, entry_id: DLQID, outcomes: Outcomes) -> None:
        await app.dlq.rehearse(entry_id, edit=edit)
        outcomes.add(entry_id, "would be replayed", job_id=None)

    change = Change(
        "dlq.replay",
        "dead letter",
        "replaying",
        act,
        rehearse,
        asks="replay {}" if every else "",
        interval=interval_of("--rate", rate),
        columns=_REPLAYED,
        detail="" if edit is None else edit.words,
    )
    with hint_at_json(sets or ()):
        carry_out(session_of(ctx), change, chosen, reason=reason, yes=yes, confirm=confirm, dry_run=dry_run)


def _edit(sets: list[str] | None, payload: str | None, *, force: bool) -> Edit | None:
    """What --set, --payload and --force say."""
    from dispatch.services.edits import Edit

    if force and not sets:
        raise CommandError("--force lets --set add a field: there is no --set")
    if not sets and payload is None:
        return None
    arguments = None if payload is None else call_arguments((), payload if payload == "-" else f"@{payload}")
    if payload is not None and arguments is None:
        raise CommandError(f"--payload {payload} holds null: arguments are an object or a list")
    return Edit(arguments, call_arguments(sets or (), None, whole="--payload FILE"), force)


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

    async def act(app: Admin, entry_id: DLQID, outcomes: Outcomes) -> None:
        await app.dlq.discard(entry_id)
        outcomes.add(entry_id, "discarded")

    async def rehearse(app: Admin, entry_id: DLQID, outcomes: Outcomes) -> None:
        await _must_be_open(app, entry_id)
        outcomes.add(entry_id, "would be discarded")

    chosen = Named(many_ids(DLQID, ids))
    change = Change("dlq.discard", "dead letter", "discarding", act, rehearse, asks="discard {}")
    carry_out(session_of(ctx), change, chosen, reason=reason, yes=yes, confirm=confirm, dry_run=dry_run)


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

    async def act(app: Admin) -> dict[str, Any]:
        before = utc_now() - timedelta(seconds=age) if age else None
        total = await app.dlq.count(ListOptions(states=states, created_before=before))
        if dry_run or not total:
            return {"purged": 0, "would_purge": total}
        ask(session, f"delete {_letters(total)} for good", yes=yes, confirm=confirm)
        purged = 0
        words = in_words(older_than=older_than, state=state or ["all"])
        with progress(session, "purging", total) as advance:
            async with app.audit.act("dlq.purge", count=total, reason=reason, detail=words) as held:
                while deleted := await app.dlq.purge(older_than=age, states=states, limit=_PURGE_AT_ONCE):
                    purged += deleted
                    held.settle((), count=purged)
                    advance(deleted)
                    if deleted < _PURGE_AT_ONCE:
                        break
        return {"purged": purged, "would_purge": 0}

    document = session.administer(act)
    key = "would_purge" if dry_run else "purged"
    session.out.record(document, fields=[(key, document[key])])


async def _must_be_open(app: Admin, entry_id: DLQID) -> None:
    from dispatch.dlq.model import DLQState
    from dispatch.errors import AlreadyReplayed

    entry = await app.dlq.get(entry_id)
    if entry.state is not DLQState.OPEN:
        raise AlreadyReplayed(f"{entry_id} was {entry.state} before; each dead letter is decided once")


def _letters(count: int) -> str:
    return f"{count} dead letter" if count == 1 else f"{count} dead letters"
