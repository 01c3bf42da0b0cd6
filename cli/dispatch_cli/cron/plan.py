"""`dispatch cron plan`: what the timetables of a module will bring, before they are deployed."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli.cron.base import app
from dispatch_cli.failures import CommandError
from dispatch_cli.render import Column
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch.crons.model import CronSpec

_NEXT = 3
_BAR, _BESIDE = 40, 17
"""Letters of the longest bar, and of what stands on its left."""
_YEAR = timedelta(days=366)
_COLUMNS = (
    Column("cron", "name"),
    Column("schedule", "when"),
    Column("calls", "target", spare=1),
    Column("a day", "ticks", right=True),
    Column("next", "first"),
)


@verb(
    app,
    "plan",
    local="it looks at code that is here",
    storeless=True,
    examples=("dispatch cron plan myapp.tasks", "dispatch cron plan myapp.tasks --json"),
)
def plan(
    ctx: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="TARGET…", help="Modules, packages or files; default: `app` as configured."),
    ] = None,
) -> None:
    """Show what the timetables of a module will bring: next times, how many ticks fall into each hour of the next day,
    and, for a year, those that meet a change of the clock. No store is opened."""
    from dispatch.app.stores import cron_defaults
    from dispatch.clock import utc_now
    from dispatch.discovery import discover
    from dispatch.services.cron_specs import specs_of
    from dispatch_cli.targets import registry_of

    session = session_of(ctx)
    chosen = targets or ([session.config.app] if session.config.app else [])
    if not chosen:
        raise CommandError("which module?", hint="name it, or set `app` in dispatch.toml")
    with contextlib.redirect_stdout(sys.stderr):  # stdout holds the answer and nothing else
        found = discover(*chosen)
        registry = registry_of(found.objects)
        specs = specs_of(registry.crons.values(), defaults=cron_defaults(session.config))
    document = _document(sorted(specs.values(), key=lambda spec: spec.name), utc_now())
    if session.out.format == "table":
        _draw(session, document, empty=f"{', '.join(found.modules)}: no cron entries")
    else:
        session.out.must_not_be_ids()
        session.out.record(document, fields=())


def _document(specs: list[CronSpec], now: datetime) -> dict[str, Any]:
    from dispatch.crons.forecast import load
    from dispatch.text import iso
    from dispatch_cli.inspect import next_times

    end = now + timedelta(days=1)
    minutes: Counter[datetime] = Counter()
    entries = []
    for spec in specs:
        own = load(spec.schedule, spec.timezone, after=now, until=end)
        minutes.update(own)
        entries.append(
            {
                "name": spec.name,
                "schedule": spec.schedule,
                "timezone": spec.timezone,
                "target": spec.target,
                "ticks": own.total(),
                "next": [iso(moment) for moment in next_times(spec.schedule, spec.timezone, now, _NEXT)],
            }
        )
    hours: Counter[datetime] = Counter()
    for minute, count in minutes.items():
        hours[minute.replace(minute=0)] += count
    first = now.replace(minute=0, second=0, microsecond=0)
    fullest = max(minutes, key=lambda minute: (minutes[minute], -minute.timestamp()), default=None)
    return {
        "at": iso(now),
        "until": iso(end),
        "ticks": minutes.total(),
        "busiest": None if fullest is None else {"at": iso(fullest), "ticks": minutes[fullest]},
        "hours": [
            {"at": iso(first + timedelta(hours=n)), "ticks": hours[first + timedelta(hours=n)]} for n in range(25)
        ],
        "entries": entries,
        "collisions": [line for spec in specs for line in _collisions(spec, now)],
    }


def _collisions(spec: CronSpec, now: datetime) -> list[dict[str, Any]]:
    """What changes of the clock within a year do to an entry, in words too."""
    from dispatch.crons.forecast import collisions
    from dispatch.crons.schedule import zone_of
    from dispatch.text import iso

    lines = []
    for found in collisions(spec.schedule, spec.timezone, after=now, until=now + _YEAR):
        fires = f"{found.fires_at.astimezone(zone_of(spec.timezone)):%H:%M %Z}"
        many = "" if found.count == 1 else f" (and {found.count - 1} more)"
        if found.kind == "gap":
            text = f"{found.wall:%Y-%m-%d %H:%M}{many} does not exist; it fires at {fires}, once"
        else:
            text = f"{found.wall:%Y-%m-%d %H:%M}{many} happens twice; it fires the first time only, at {fires}"
        lines.append(
            {
                "name": spec.name,
                "kind": found.kind,
                "wall": found.wall.isoformat(),
                "timezone": spec.timezone,
                "count": found.count,
                "fires_at": iso(found.fires_at),
                "text": text,
            }
        )
    return lines


def _draw(session: Session, document: dict[str, Any], *, empty: str) -> None:
    out = session.out
    rows = [
        {
            **entry,
            "when": entry["schedule"] if entry["timezone"] == "UTC" else f"{entry['schedule']} ({entry['timezone']})",
            "first": next(iter(entry["next"]), None),
        }
        for entry in document["entries"]
    ]
    out.rows(rows, _COLUMNS, empty=empty)
    if not rows:
        return
    width = min(_BAR, max(out.width - _BESIDE, 1)) if out.fancy else _BAR
    out.block("ticks in each hour of the next day (UTC)", "\n".join(_bars(document["hours"], width)))
    busiest = document["busiest"]
    if busiest is not None:
        out.write(
            f"\n{document['ticks']:,} in all; the fullest minute, {busiest['at'][:16]}Z, has {busiest['ticks']:,}\n"
        )
    if document["collisions"]:
        lines = [f"{line['name']}: {line['text']} ({line['timezone']})" for line in document["collisions"]]
        out.sentences("changes of the clock within a year", lines)


def _bars(hours: list[dict[str, Any]], width: int) -> list[str]:
    """A line an hour, its bar as long as its share of the fullest."""
    most = max(hour["ticks"] for hour in hours) or 1
    mark = "█"
    try:
        mark.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        mark = "#"
    return [
        f"{hour['at'][11:16]}  {hour['ticks']:>6,}  {mark * -(-hour['ticks'] * width // most)}".rstrip()
        for hour in hours
    ]
