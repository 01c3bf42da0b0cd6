"""`dispatch store copy`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli.consent import Confirm, DryRun, Reason, ask
from dispatch_cli.failures import CHECK, CommandError
from dispatch_cli.progress import progress
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import verb
from dispatch_cli.store.base import app

if TYPE_CHECKING:
    from dispatch.services import Copied
    from dispatch.store import Store


@verb(
    app,
    "copy",
    local="it opens the two stores that it is given",
    storeless=True,
    examples=(
        "dispatch store copy sqlite:///dispatch.db sqlite:///copy.db --force --dry-run",
        "dispatch store copy sqlite:///dispatch.db sqlite:///copy.db --force --reason 'a new disk'",
    ),
)
def copy(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SRC", help="The URL of the store to copy.")],
    destination: Annotated[str, typer.Argument(metavar="DST", help="The URL of an empty store; made if need be.")],
    force: Annotated[
        bool, typer.Option("--force", help="Although workers live at SRC: what they do meanwhile may be done twice.")
    ] = False,
    reason: Reason = "",
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Copy jobs, workflow runs, keys, dead letters, queues, crons, events and records to another store, then compare.

    Stop workers and whoever enqueues first. Interrupted, the same command goes on where it stopped. SRC is only read.
    Exit 9 when the two differ in the end.
    """
    session = session_of(ctx)
    session.out.must_not_be_ids()
    name = _identity(session, source)
    if name == _identity(session, destination):
        raise CommandError("SRC and DST are the same store: name another destination")
    for url in (source, destination):
        if url.startswith("memory:"):
            raise CommandError(f"{url} lives in one process: nothing can be copied from it or to it by a command")
    session.must_exist(source)
    if not dry_run:
        ask(session, f"copy {name} to {_shown(destination)}", yes=True, confirm=confirm)
    document = {"source": _shown(source), "destination": _shown(destination), "dry_run": dry_run}
    if dry_run:
        counts, resumed = asyncio.run(_rehearse(session, source, destination, force=force))
        document |= {"resumed": resumed, "written": 0, "counts": counts, "equal": None, "differences": []}
        session.out.record(document, fields=_fields(document))
        return
    done = asyncio.run(_copy(session, source, destination, name=name, force=force, reason=reason))
    first = [{"kind": found.kind, "key": found.key, "text": found.text} for found in done.differences.first]
    equal = not done.differences.count
    document |= {"resumed": done.resumed, "written": done.written, "counts": dict(done.counts), "equal": equal}
    document["differences"] = first
    session.out.record(document, fields=_fields(document))
    if not equal:
        for found in done.differences.first:
            session.tell(f"{found.kind} {found.key} {found.text}")
        session.tell(
            f"{done.differences.count} differences: somebody wrote to a store while it was copied. Stop workers and "
            "whoever enqueues, and copy to an empty store"
        )
        raise typer.Exit(CHECK)


async def _copy(session: Session, source: str, destination: str, *, name: str, force: bool, reason: str) -> Copied:
    from dispatch import Dispatch
    from dispatch.registry import Registry
    from dispatch.services import StoreCopy

    async with session.bare_store(source) as theirs, session.bare_store(destination, migrate="auto") as ours:
        task = StoreCopy(theirs, ours, name=name, force=force)
        counts, _ = await task.plan()
        total = sum(counts.values())
        with progress(session, "copying", total) as copied, progress(session, "comparing", total) as compared:
            done = await task.run(copied=copied, compared=compared)
    if not done.differences.count:
        # Only now: the marker in DST tells of a copy under way, and a record before it would make DST differ.
        async with Dispatch(destination, config=session.config, registry=Registry()) as app:
            await app.audit.note("store.copy", [name], count=sum(done.counts.values()), reason=reason)
    return done


async def _rehearse(session: Session, source: str, destination: str, *, force: bool) -> tuple[dict[Any, int], bool]:
    from dispatch.services import StoreCopy

    async with session.bare_store(source) as theirs:
        if session.missing_file(destination) is not None:
            return await _onto_nothing(theirs, force=force)
        async with session.bare_store(destination) as ours:
            if not (await ours.schema()).current:
                return await _onto_nothing(theirs, force=force)
            return await StoreCopy(theirs, ours, name=_identity(session, source), force=force).plan()


async def _onto_nothing(source: Store, *, force: bool) -> tuple[dict[Any, int], bool]:
    """The rehearsal of a copy to a store that has to be made first."""
    from dispatch.services import StoreCopy
    from dispatch.stores.memory import MemoryStore

    empty = MemoryStore()
    await empty.open()
    return await StoreCopy(source, empty, name="", force=force).plan()


def _identity(session: Session, url: str) -> str:
    """What a store is known by, wherever the command is run."""
    path = session.store_file(url)
    return _shown(url) if path is None else f"sqlite:///{path.resolve()}"


def _shown(url: str) -> str:
    from dispatch.config import mask_url

    return mask_url(url)


def _fields(document: dict[str, Any]) -> list[tuple[str, Any]]:
    return [
        *((key, value) for key, value in document.items() if key not in ("counts", "differences")),
        *document["counts"].items(),
    ]
