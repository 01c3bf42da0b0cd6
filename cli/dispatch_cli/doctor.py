"""`dispatch doctor`: looks for what is wrong, or soon will be, and says what to do about it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

import typer

from dispatch_cli.doctor_server import of_server
from dispatch_cli.failures import CHECK, describe
from dispatch_cli.findings import Check
from dispatch_cli.render import Column
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import single

if TYPE_CHECKING:
    from dispatch.services import Status
    from dispatch.store import SchemaStatus
    from dispatch.stores.sqlite_facts import FileFacts

_MB = 1_000_000
_LITTLE, _NEXT_TO_NOTHING = 1000 * _MB, 100 * _MB
COLUMNS = (Column("check", "name"), Column("", "status"), Column("finding", "text"), Column("advice", "advice"))


@single(local="it examines the store's own file or server", examples=("dispatch doctor", "dispatch doctor --json"))
def app(ctx: typer.Context) -> None:
    """Check the SQLite library, the store's file and disk or its server, schema, workers, queues and dead letters.
    Exit 9 when a check fails; warnings alone exit with 0. It creates no store and migrates nothing."""
    session = session_of(ctx)
    checks = _examine(session)
    session.out.rows([asdict(check) for check in checks], COLUMNS)
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(CHECK)


def _examine(session: Session) -> list[Check]:
    from dispatch.errors import StoreError

    missing = session.missing_file()
    if missing is not None:
        advice = "`dispatch store init` creates it; --store or the configuration name another one"
        return [*_sqlite(session), Check("store", "fail", f"there is no store at {missing}", advice)]
    checks = [*_sqlite(session), *_file(session)]
    try:
        return [*checks, *asyncio.run(_inside(session))]
    except StoreError as error:
        return [*checks, Check("store", "fail", describe(error)[0], "see that the path is right and the file is whole")]


def _sqlite(session: Session) -> list[Check]:
    from dispatch.stores.sqlite import library_version

    if not session.config.store.startswith("sqlite:"):
        return []
    synchronous = session.config.sqlite.synchronous
    return [of_library(library_version()), of_synchronous(synchronous)]


def _file(session: Session) -> list[Check]:
    from dispatch.stores.sqlite_facts import file_facts

    path = session.store_file()
    return [] if path is None else of_file(file_facts(path))


async def _inside(session: Session) -> list[Check]:
    from dispatch.clock import utc_now
    from dispatch.services import read_status
    from dispatch.stores.facts import TellsOfItsServer

    async with session.bare_store() as store:
        await store.ping()
        schema = of_schema(await store.schema())
        facts = await store.server_facts() if isinstance(store, TellsOfItsServer) else {}
        server = of_server(facts, pooler=session.config.postgres.pooler)
        if schema.status == "fail":
            return [*server, schema]
        return [*server, schema, *of_work(await read_status(store, now=utc_now()))]


def of_library(version: str) -> Check:
    """Whether the SQLite library is one with the race at the reset of the write-ahead log."""
    from dispatch.stores.sqlite_facts import may_lose_a_reset

    if may_lose_a_reset(version):
        text = f"SQLite {version} has a rare race between writers and checkpoints (WAL reset)"
        return Check("library", "warn", text, "prefer 3.51.3, 3.50.7 or 3.44.6; keep other programs off the file")
    return Check("library", "ok", f"SQLite {version}")


def of_synchronous(mode: str) -> Check:
    """Whether what was acknowledged survives a power failure."""
    if mode == "FULL":
        return Check("synchronous", "ok", "FULL: what was acknowledged survives a power failure")
    text = f"{mode}: what was acknowledged last may be lost in a power failure"
    return Check("synchronous", "warn", text, 'set synchronous = "FULL" in [sqlite] unless that is meant')


def of_file(facts: FileFacts) -> list[Check]:
    """The journal mode, who may read the file, and the room that is left."""
    wal = facts.journal_mode == "wal"
    free = f"{facts.free // _MB:,} MB free; the store takes {facts.size / _MB:,.1f} MB"
    room: Literal["ok", "warn", "fail"] = "ok" if facts.free >= _LITTLE else "warn"
    room = "fail" if facts.free < _NEXT_TO_NOTHING else room
    return [
        Check("journal", "ok", "wal")
        if wal
        else Check("journal", "fail", facts.journal_mode, "see that it is a Dispatch store; opening it sets wal"),
        Check("file mode", "ok", f"{facts.mode:04o}")
        if not facts.mode & 0o077
        else Check("file mode", "warn", f"{facts.mode:04o}: others may read or write the jobs", "chmod 600 the file"),
        Check("disk", room, free, "" if room == "ok" else "make room, or `dispatch dlq purge` what is not needed"),
    ]


def of_schema(schema: SchemaStatus) -> Check:
    """Whether this version can work with the store."""
    if schema.pending:
        text = f"schema {schema.current}, this version needs {schema.wanted}"
        return Check("schema", "fail", text, "run `dispatch store migrate`")
    return Check("schema", "ok", f"schema {schema.current}")


def of_work(found: Status) -> list[Check]:
    """Whether the store takes writes, somebody works, on every queue, and whether dead letters wait."""
    live, unserved = len(found.live), [info.config.name for info in found.unserved]
    return [
        Check("writes", "ok", "the store takes them")
        if not found.refusal
        else Check("writes", "fail", found.refusal, "see what it says; nothing new is stored until then"),
        Check("workers", "ok", f"{live} alive")
        if live
        else Check("workers", "warn", "none is alive", "start one with `dispatch run yourapp.tasks`"),
        Check("queues", "ok", "where jobs wait, a live worker serves them")
        if not unserved
        else Check(
            "queues", "warn", f"jobs wait and nobody serves: {', '.join(unserved)}", "add -q NAME to a `dispatch run`"
        ),
        Check("dead letters", "ok", "none is open")
        if not found.dead_letters
        else Check("dead letters", "warn", f"{found.dead_letters} open", "`dispatch dlq list --group` shows why"),
    ]
