"""`dispatch bench`: how fast this store is here."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from dispatch_cli.progress import progress
from dispatch_cli.render import Column
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import single

_WIDTH = 24
_ROWS = (
    ("one_per_second", "enqueue, one by one", "jobs/s"),
    ("bulk_per_second", "enqueue, in bulk", "jobs/s"),
    ("drain_per_second", "drain, one worker", "jobs/s"),
    ("latency_p50_seconds", "enqueue to start, median", "ms"),
    ("latency_p95_seconds", "enqueue to start, 95 %", "ms"),
    ("latency_p99_seconds", "enqueue to start, 99 %", "ms"),
)
_COLUMNS = (
    Column("measure", "measure"),
    Column("figure", "figure", right=True),
    Column("unit", "unit"),
    Column("", "bar"),
)


@single(
    local="it measures a kind of store, here",
    storeless=True,
    examples=("dispatch bench --store memory:// -n 500", "dispatch bench -n 200 --json"),
)
def app(
    ctx: typer.Context,
    jobs: Annotated[int, typer.Option("-n", "--jobs", min=1, max=1_000_000, metavar="N", help="Jobs to drain.")] = 5000,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, metavar="N", help="Jobs at once in the worker.")
    ] = 100,
) -> None:
    """Measure enqueue, drain and latency on an empty store of the configured kind, made beside it and then removed.

    One process enqueues and works, the jobs do nothing. The configured store's own data is not touched, but its disk or
    server is kept busy meanwhile. Figures of a loaded machine vary: repeat it.
    """
    from dispatch_cli.bench_measure import SAMPLES, SINGLES, measure
    from dispatch_cli.loops import run_fast

    session = session_of(ctx)
    session.out.must_not_be_ids()

    async def act() -> dict[str, float]:
        from dispatch.app.stores import scratch_of

        config = session.config
        with progress(session, "measuring", 2 * (jobs + min(SINGLES, jobs)) + SAMPLES) as advance:
            async with scratch_of(config, config.store) as make_store:
                return asdict(await measure(make_store, config, jobs=jobs, concurrency=concurrency, tick=advance))

    figures = run_fast(act())
    if session.out.format == "table":
        session.tell(f"{session.store_url}: {jobs} jobs, {concurrency} at once")
        session.out.rows(rows_of(figures, bars=_bars(session)), _COLUMNS if _bars(session) else _COLUMNS[:-1])
    else:
        document = {"store": session.store_url, "jobs": jobs, "concurrency": concurrency}
        session.out.record({**document, **{key: round(value, 6) for key, value in figures.items()}}, fields=())


def rows_of(figures: dict[str, float], *, bars: bool) -> list[dict[str, Any]]:
    """A line a figure; the longest bar of each unit is the largest figure of it."""
    rows = []
    for key, measure, unit in _ROWS:
        most = max(figures[other] for other, _, its in _ROWS if its == unit)
        figure = f"{figures[key] * 1000:,.1f}" if unit == "ms" else f"{figures[key]:,.0f}"
        bar = "█" * max(1, round(figures[key] / most * _WIDTH))
        rows.append({"measure": measure, "figure": figure, "unit": unit, **({"bar": bar} if bars else {})})
    return rows


def _bars(session: Session) -> bool:
    return session.out.fancy
