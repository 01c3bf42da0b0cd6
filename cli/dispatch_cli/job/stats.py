"""`dispatch job stats`."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated

import typer

from dispatch_cli import complete
from dispatch_cli.choices import since_when
from dispatch_cli.failures import NOT_FOUND, CommandError
from dispatch_cli.job.base import app
from dispatch_cli.render import Column, ago, brief
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch.services import JobStats, NameStats
    from dispatch.services.stats import Spread
    from dispatch_cli.admin import Admin

_COLUMNS = (
    Column("name", "name"),
    Column("ended", "count", right=True),
    Column("failed", "failed", right=True),
    Column("failed %", "percent", right=True, spare=2),
    Column("a minute", "rate", right=True, spare=1),
    Column("waited 50/95/99 %", "waited"),
    Column("ran 50/95/99 %", "ran"),
)


@verb(
    app,
    "stats",
    examples=("dispatch job stats", "dispatch job stats add --since 24h", "dispatch job stats --limit 20000 --json"),
)
def stats(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Only jobs of this name.", autocompletion=complete.names)
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="WHEN", help="Ended within that time (2h), or since then.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=100_000, metavar="N", help="Look at the newest N that ended.")
    ] = 5000,
) -> None:
    """Show how long jobs waited and ran, and how many failed, by name, from a sample of the newest that ended."""
    from dispatch.documents.overview import stats_document

    session = session_of(ctx)
    after = since_when("--since", since)

    async def look(app: Admin) -> JobStats:
        found = await app.jobs.stats(names=() if name is None else (name,), since=after, limit=limit)
        if name is not None and not found.names:
            await _must_be_known(app, name)
        return found

    found = session.administer(look)
    document = stats_document(found, limit)
    extra = {key: value for key, value in document.items() if key != "items"}
    rows = [dict(row) for row in document["items"]]
    if session.out.format == "table":
        rows = [{**row, **_in_words(stat)} for row, stat in zip(rows, found.names, strict=True)]
    session.out.rows(rows, _COLUMNS, empty="no job has ended" + (" since then" if since else ""), extra=extra)
    if session.out.format == "table" and found.names:
        _tell_sample(session, found, limit)


def _in_words(stat: NameStats) -> dict[str, str]:
    def three(found: Spread) -> str:
        return " / ".join("-" if part is None else brief(part) for part in (found.p50, found.p95, found.p99))

    return {
        "percent": "-" if stat.failure_rate is None else f"{stat.failure_rate:.1%}",
        "rate": "-" if stat.per_minute is None else f"{stat.per_minute:.3g}",
        "waited": three(stat.wait),
        "ran": three(stat.run),
    }


def _tell_sample(session: Session, found: JobStats, limit: int) -> None:
    from dispatch.text import iso

    told = ago if session.out.fancy else iso
    first, last = (told(moment) if moment else "-" for moment in (found.oldest_at, found.newest_at))
    which = "all that are kept" if found.complete else f"of the {limit:,} newest; --limit looks at more"
    session.tell(f"{found.sampled:,} ended jobs, {which}; from {first} to {last}")


async def _must_be_known(app: Admin, name: str) -> None:
    known = {found.name for found in await app.workers.definitions() if found.kind == "job"}
    known |= {stat.name for stat in (await app.jobs.stats(limit=500)).names}
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        raise CommandError(
            f"no job of the name {name!r} has ended, and no app has announced one",
            code="job_not_found",
            exit_code=NOT_FOUND,
            hint=f"did you mean {near[0]!r}?" if near else "`dispatch job stats` shows all names",
        )
