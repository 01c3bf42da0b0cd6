"""`dispatch inspect`: what discovery finds in a module."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch.text import iso
from dispatch_cli.failures import CommandError
from dispatch_cli.places import below_here
from dispatch_cli.render import Column, Output, ago
from dispatch_cli.session import session_of
from dispatch_cli.shell import single

if TYPE_CHECKING:
    from dispatch.config.model import Cron as CronTable
    from dispatch.crons.definition import CronDefinition
    from dispatch.jobs.definition import JobDefinition
    from dispatch.jobs.limit import Limit
    from dispatch.workflows.definition import WorkflowDefinition

_NEXT = 3
_COLUMNS = (
    Column("kind", "kind"),
    Column("name", "name"),
    Column("queue", "queue"),
    Column("takes", "takes"),
    Column("options", "options"),
    Column("place", "place"),
)


@single(
    local="it looks at code that is here",
    storeless=True,
    examples=("dispatch inspect myapp.tasks", "dispatch inspect myapp.tasks --json"),
)
def app(
    ctx: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="TARGET…", help="Modules, packages or files; default: `app` as configured."),
    ] = None,
) -> None:
    """Show what a module defines, as a worker would find it: jobs, workflows, crons with next times, lifespans."""
    from dispatch.clock import utc_now
    from dispatch.discovery import discover
    from dispatch_cli.targets import registry_of

    session = session_of(ctx)
    chosen = targets or ([session.config.app] if session.config.app else [])
    if not chosen:
        raise CommandError("which module?", hint="name it, or set `app` in dispatch.toml")
    with contextlib.redirect_stdout(sys.stderr):  # stdout holds the answer and nothing else
        found = discover(*chosen)
    registry = registry_of(found.objects)
    document: dict[str, Any] = {
        "modules": list(found.modules),
        "jobs": [_job(definition) for definition in registry.jobs.values()],
        "workflows": [_workflow(definition) for definition in registry.workflows.values()],
        "crons": [_cron(entry, utc_now(), session.config.cron) for entry in registry.crons.values()],
        "lifespans": [
            {"name": function.__qualname__, "place": _place(function)} for function in registry.lifespans.values()
        ],
    }
    rows = [{"kind": kind, **row} for kind in ("job", "workflow", "cron", "lifespan") for row in document[f"{kind}s"]]
    if session.out.format == "json":
        session.out.json(document)
        return
    session.out.rows(
        [_shown(row, session.out) for row in rows], _COLUMNS, empty=f"{', '.join(found.modules)}: no definitions"
    )


def _job(definition: JobDefinition[..., Any]) -> dict[str, Any]:
    return {
        "name": definition.name,
        "queue": definition.settings.queue or "default",
        "summary": definition.summary,
        "executor": definition.executor,
        "parameters": definition.signature.schema,
        "options": _options(definition),
        "place": below_here(definition.place),
    }


def _workflow(definition: WorkflowDefinition[..., Any]) -> dict[str, Any]:
    return {
        "name": definition.name,
        "version": definition.version,
        "queue": definition.settings.queue or "default",
        "summary": definition.summary,
        "place": below_here(definition.place),
    }


def _cron(entry: CronDefinition, now: datetime, defaults: CronTable) -> dict[str, Any]:
    timezone = entry.timezone or defaults.timezone
    return {
        "name": entry.name,
        "schedule": entry.schedule,
        "timezone": timezone,
        "target": entry.target.name,
        "overlap": entry.overlap,
        "misfire": entry.misfire or defaults.misfire,
        "jitter_seconds": defaults.jitter.total_seconds() if entry.jitter is None else entry.jitter,
        "next": [iso(moment) for moment in next_times(entry.schedule, timezone, now)],
        "place": below_here(entry.place),
    }


def _place(function: Callable[..., Any]) -> str:
    code = function.__code__
    return below_here(f"{code.co_filename}:{code.co_firstlineno}")


def next_times(schedule: str, timezone: str, now: datetime, count: int = _NEXT) -> list[datetime]:
    """The next times of a schedule in UTC; "@every" counts from now, as it would for an entry that is made now."""
    from dispatch.crons.schedule import parse

    return list(islice(parse(schedule, timezone, anchor=now).walk(now), count))


def _options(definition: JobDefinition[..., Any]) -> dict[str, Any]:
    """What the decorator says beyond the defaults, as text where it is not plain."""
    given: dict[str, Any] = {}
    for name in type(definition.settings).__dataclass_fields__:
        value = getattr(definition.settings, name)
        if value is not None and name != "queue":
            given[name] = _plain(value)
    return given


def _plain(value: object) -> Any:
    from dispatch.jobs.limit import Limit
    from dispatch.scope import Scope

    match value:
        case bool() | int() | float() | str():
            return value
        case Limit():
            return _limit_in_words(value)
        case Scope():
            return value.tenant
        case list() | tuple():
            return list(value)
        case Mapping():
            return dict(value)
        case _:
            return "by a function" if callable(value) else str(value)


def _briefly(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _limit_in_words(limit: Limit) -> str:
    key = "" if limit.key is None else f" for key {limit.key}"
    of = " for each key (by a function)" if callable(limit.key) else key
    return f"{limit.max} at once{of}" + (f", shared as {limit.name}" if limit.name else "")


def _shown(row: dict[str, Any], out: Output) -> dict[str, Any]:
    """A definition as a line of the table."""
    match row["kind"]:
        case "job":
            takes = ", ".join(row["parameters"].get("properties", {})) or "-"
            how = {} if row["executor"] == "async" else {"executor": row["executor"]}
            options = ", ".join(f"{name}={_briefly(value)}" for name, value in (how | row["options"]).items()) or "-"
        case "workflow":
            takes, options = "-", f"version={row['version']}"
        case "lifespan":
            takes, options = "-", "-"
        case _:
            following = row["next"][0].replace(".000000Z", "Z") if row["next"] else "never"
            if out.fancy and row["next"]:
                following = ago(datetime.fromisoformat(row["next"][0]))
            takes, options = row["target"], f"{row['schedule']} ({row['timezone']}), next {following}"
    return {**row, "queue": row.get("queue"), "takes": takes, "options": options}
