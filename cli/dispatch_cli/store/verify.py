"""`dispatch store verify`: the conformance suite on a store of the user's own, or a look through its data."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli.failures import CHECK
from dispatch_cli.progress import progress
from dispatch_cli.render import Column
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import verb
from dispatch_cli.store.base import app

if TYPE_CHECKING:
    from dispatch.services.damage import Damage
    from dispatch.testing.conformance import CaseResult

_PARTS = (
    Column("part", "part"),
    Column("promises", "promises", right=True),
    Column("kept", "kept", right=True),
    Column("broken", "broken", right=True),
)
_DAMAGES = (Column("kind", "kind"), Column("key", "key"), Column("finding", "text"), Column("advice", "advice"))


@verb(
    app,
    "verify",
    local="it examines the store's own file or server",
    examples=(
        "dispatch store verify --store memory://",
        "dispatch store verify --data",
    ),
)
def verify(
    ctx: typer.Context,
    data: Annotated[
        bool, typer.Option("--data", help="Look through the store's own data instead: keys, dead letters, runs.")
    ] = False,
) -> None:
    """Run every promise of a store against an empty one of this kind, made beside the configured one and then removed.

    The configured store's own data is not touched. Exit 9 when a promise is broken, or --data finds damage.
    """
    session = session_of(ctx)
    session.out.must_not_be_ids()
    if data:
        _verify_data(session)
    else:
        _verify_kind(session)


def _verify_kind(session: Session) -> None:
    results = asyncio.run(_run_cases(session))
    broken = [result for result in results if not result.passed]
    counts = {"kept": len(results) - len(broken), "broken": len(broken)}
    if session.out.format == "table":
        session.out.rows(_by_part(results), _PARTS)
        for result in broken:
            session.out.block(result.name, result.error)
        session.tell(f"{session.store_url}: {counts['kept']} of {len(results)} promises kept")
    else:
        documents = [{**asdict(result), "invariants": list(result.invariants)} for result in results]
        session.out.rows(documents, (), extra={"store": session.store_url, **counts})
    if broken:
        raise typer.Exit(CHECK)


async def _run_cases(session: Session) -> list[CaseResult]:
    from dispatch.app.stores import scratch_of
    from dispatch.testing.conformance import cases
    from dispatch.testing.conformance import verify as run_cases

    found = cases()
    with progress(session, "verifying", len(found)) as advance:
        async with scratch_of(session.config, session.config.store) as make_store:
            return await run_cases(make_store, found, tick=lambda _: advance())


def _by_part(results: list[CaseResult]) -> list[dict[str, Any]]:
    parts = Counter(result.name.partition(".")[0] for result in results)
    kept = Counter(result.name.partition(".")[0] for result in results if result.passed)
    return [
        {"part": part.replace("_", " "), "promises": count, "kept": kept[part], "broken": count - kept[part]}
        for part, count in parts.items()
    ]


def _verify_data(session: Session) -> None:
    session.must_exist()
    damages: list[Damage] = []

    async def look() -> int:
        from dispatch.services.integrity import examine

        async with session.bare_store() as store:
            total = sum((await store.transfer.count()).values())
            with progress(session, "looking", total) as advance:
                return await examine(store, found=damages.append, tick=advance)

    seen = asyncio.run(look())
    documents = [asdict(damage) for damage in damages]
    session.out.rows(documents, _DAMAGES, extra={"store": session.store_url, "seen": seen, "damages": len(damages)})
    session.tell(f"{session.store_url}: {seen} rows looked at, {len(damages)} damaged")
    if damages:
        raise typer.Exit(CHECK)
