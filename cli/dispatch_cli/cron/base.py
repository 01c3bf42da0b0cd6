"""What the verbs of `dispatch cron` share: the noun, its names and tenants, and how an entry and a change are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli import complete
from dispatch_cli.failures import CommandError
from dispatch_cli.session import Session
from dispatch_cli.shell import noun

if TYPE_CHECKING:
    from dispatch.crons.model import CronEntry, Tick
    from dispatch.scope import Scope

app = noun(
    "Look at, plan, make, change, switch and trigger cron entries.",
    examples=("dispatch cron list", "dispatch cron disable nightly --until 2h --reason 'the disk is full'"),
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The entry's name.", autocompletion=complete.crons)]
Tenant = Annotated[
    str | None, typer.Option("--tenant", metavar="APP/ORG", help="The entry of this tenant, where several have one.")
]


def scope_of(text: str | None) -> Scope | None:
    """The scope that --tenant names; None when it is left out."""
    from dispatch.scope import Scope

    if text is None:
        return None
    app_id, _, org_id = text.partition("/")
    if not (app_id or org_id):
        raise CommandError(f"--tenant {text!r} names nobody", hint="write APP/ORG, such as shop/t-42")
    return Scope(app_id, org_id)


def state_of(entry: CronEntry) -> str:
    """Whether it fires, in a word."""
    return "orphaned" if entry.orphaned else "enabled" if entry.enabled else "disabled"


def entry_summary(entry: CronEntry) -> dict[str, Any]:
    """An entry as lists show it."""
    from dispatch_cli.documents import scope_document
    from dispatch_cli.render import iso

    spec = entry.spec
    return {
        "id": str(entry.id),
        "name": spec.name,
        "state": state_of(entry),
        "schedule": spec.schedule,
        "timezone": spec.timezone,
        "target": spec.target,
        "kind": spec.kind,
        "version": spec.version,
        "overlap": spec.overlap,
        "misfire": spec.misfire,
        "misfire_window_seconds": spec.misfire_window,
        "jitter_seconds": spec.jitter,
        "scope": scope_document(spec.scope),
        "origin": "runtime" if entry.code_hash is None else "code",
        "disabled_until": iso(entry.disabled_until),
        "disabled_reason": entry.disabled_reason,
        "disabled_by": entry.disabled_by,
        "last_fired_at": iso(entry.last_fired_at),
        "next_fire_at": iso(entry.next_fire_at),
        "revision": entry.revision,
        "created_at": iso(entry.created_at),
        "updated_at": iso(entry.updated_at),
    }


def entry_document(entry: CronEntry) -> dict[str, Any]:
    """An entry with the arguments of its call; secrets among them are masked by their names."""
    from dispatch.masking import mask_value
    from dispatch_cli.documents import readable

    payload, payload_text = readable(entry.spec.payload)
    options = mask_value("", entry.spec.options)
    return {**entry_summary(entry), "payload": payload, "payload_text": payload_text, "options": options}


def tick_document(tick: Tick) -> dict[str, Any]:
    """A moment of a schedule and what became of it."""
    from dispatch_cli.render import iso

    return {
        "scheduled_at": iso(tick.scheduled_at),
        "outcome": tick.outcome,
        "fired_at": iso(tick.fired_at),
        "job_id": None if tick.job_id is None else str(tick.job_id),
        "run_id": None if tick.run_id is None else str(tick.run_id),
        "note": tick.note,
    }


def show_change(session: Session, entry: CronEntry, outcome: str, *, dry_run: bool) -> None:
    """Writes what became of an entry, or would have."""
    told = f"would be {outcome}" if dry_run else outcome
    document = {**entry_document(entry), "outcome": told, "dry_run": dry_run}
    shown = ("schedule", "timezone", "target", "payload", "disabled_until", "disabled_reason", "next_fire_at")
    fields = [("cron entry", document["name"]), ("outcome", told)]
    session.out.record(document, fields=[*fields, *((key.replace("_", " "), document[key]) for key in shown)])
