"""`dispatch store init | migrate | status`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from dispatch_cli.consent import DryRun
from dispatch_cli.failures import CHECK, CommandError
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import verb
from dispatch_cli.store.base import app

if TYPE_CHECKING:
    from dispatch.store import Store


@verb(
    app,
    "init",
    local="a server has its store open, with the schema it has",
    examples=("dispatch store init --dry-run", "dispatch store init --store sqlite:///jobs.db"),
)
def init(ctx: typer.Context, dry_run: DryRun = False) -> None:
    """Create the store if it is not there, with the schema of this version."""
    session = session_of(ctx)

    async def act() -> tuple[str, ...]:
        async with session.bare_store() as store:
            return (await store.schema()).pending if dry_run else await _migrated(store, "store.init")

    missing = session.missing_file()
    if missing is not None and dry_run:
        pending = tuple(_migrations(session))
    else:
        pending = asyncio.run(act())
    _tell_applied(session, pending, dry_run=dry_run)


@verb(
    app,
    "migrate",
    local="a server has its store open, with the schema it has",
    examples=("dispatch store migrate --dry-run", "dispatch store migrate --sql", "dispatch store migrate"),
)
def migrate(
    ctx: typer.Context,
    dry_run: DryRun = False,
    sql: Annotated[bool, typer.Option("--sql", help="Print the statements that are pending; write nothing.")] = False,
) -> None:
    """Bring an existing store's schema to this version."""
    session = session_of(ctx)
    session.must_exist()

    async def act() -> tuple[str, ...]:
        async with session.bare_store() as store:
            return (await store.schema()).pending if dry_run or sql else await _migrated(store, "store.migrate")

    names = asyncio.run(act())
    if sql:
        statements = "".join(_statements(session, name) for name in names)
        if session.out.format == "table":
            session.out.write(statements)
        else:
            session.out.record({"store": session.store_url, "pending": list(names), "sql": statements}, fields=())
        if not names:
            session.tell("nothing is pending")
        return
    _tell_applied(session, names, dry_run=dry_run)


@verb(
    app,
    "status",
    local="a server has its store open, with the schema it has",
    examples=("dispatch store status", "dispatch store status --json"),
)
def status(ctx: typer.Context) -> None:
    """Show the store, its schema and what it holds. Exit 9 when the schema is not this version's."""
    session = session_of(ctx)
    session.must_exist()

    async def look() -> tuple[dict[str, object], bool]:
        from dispatch.dlq.model import ListOptions
        from dispatch.jobs.model import CountOptions

        async with session.bare_store() as store:
            await store.ping()
            schema = await store.schema()
            fits = schema.current == schema.wanted and not schema.pending
            document: dict[str, object] = {
                "store": session.store_url,
                "schema": schema.current,
                "schema_wanted": schema.wanted,
                "pending": list(schema.pending),
                "jobs": None,
                "dead_letters": None,
                "live_workers": None,
            }
            if fits:
                counts = await store.jobs.count(CountOptions())
                document["jobs"] = {str(state): count for state, count in counts.items()}
                document["dead_letters"] = await store.dlq.count(ListOptions())
                document["live_workers"] = len(await store.cluster.list(live=True))
            return document, fits

    document, fits = asyncio.run(look())
    fields = [(key, value) for key, value in document.items() if key != "jobs"]
    counts = document["jobs"]
    fields += [(f"jobs {state}", count) for state, count in counts.items()] if isinstance(counts, dict) else []
    session.out.record(document, fields=fields)
    if not fits:
        session.tell("the schema is older than this version: run `dispatch store migrate`")
        raise typer.Exit(CHECK)


async def _migrated(store: Store, verb: str) -> tuple[str, ...]:
    """Applies what is pending; the record comes after it, for an older schema takes no writes."""
    from dispatch.services import AuditService

    names = tuple(await store.migrate())
    if names:
        await AuditService(store).note(verb, names)
    return names


def _tell_applied(session: Session, names: tuple[str, ...], *, dry_run: bool) -> None:
    document = {"store": session.store_url, "applied": [] if dry_run else list(names), "dry_run": dry_run}
    document["pending"] = list(names) if dry_run else []
    verb = "would apply" if dry_run else "applied"
    session.out.record(document, fields=[("store", session.store_url), (verb, list(names))])
    if not names:
        session.tell("the schema is this version's already; nothing to do")


def _statements(session: Session, name: str) -> str:
    return f"-- {name}\n{_migrations(session)[name].rstrip()}\n"


def _migrations(session: Session) -> Mapping[str, str]:
    from dispatch.stores.scripts import migration_scripts

    found = migration_scripts(session.config.store, session.config.namespace)
    if not found:
        raise CommandError(f"{session.store_url} keeps no schema, so there are no statements to show")
    return found
