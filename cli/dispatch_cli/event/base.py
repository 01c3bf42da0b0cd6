"""What the verbs of `dispatch event`, and `workflow signal`, share: the noun, payloads, what was published."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli import complete
from dispatch_cli.failures import CommandError
from dispatch_cli.render import Column
from dispatch_cli.session import Session
from dispatch_cli.shell import noun

if TYPE_CHECKING:
    from dispatch.events.model import Event

app = noun(
    "Publish events that workflow runs wait for, and look at those that were.",
    examples=("dispatch event publish payment.cleared --key order-42", "dispatch event list"),
)

EXAMPLE = "evt_01k9ztr0c2e6r9v1s8f0q5b4nd"
COLUMNS = (
    Column("id", "id"),
    Column("name", "name"),
    Column("key", "key"),
    Column("run", "run_id", spare=2),
    Column("payload", "payload", spare=1),
    Column("published", "created_at"),
)

EventName = Annotated[
    str, typer.Argument(metavar="EVENT", help="The event's name.", autocompletion=complete.words_of(()))
]
Payload = Annotated[str | None, typer.Argument(metavar="JSON", help="Its payload; default: null.")]
Names = Annotated[list[str] | None, typer.Option("--name", "-n", metavar="NAME", help="Of these names.")]
Key = Annotated[str | None, typer.Option("--key", "-k", metavar="KEY", help="With this key.")]


def payload_of(text: str | None) -> Any:
    """The payload as given; null without one."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = f"text is written '{json.dumps(text)}'" if len(text) < 60 else ""
        raise CommandError(f"the payload is not JSON: {error}", hint=hint) from None


def show_published(session: Session, event: Event | None, rehearsal: str) -> None:
    """Prints what was published, or says what would have been."""
    from dispatch.documents.runs import event_document

    if event is None:
        session.tell(f"nothing was written; {rehearsal}")
        return
    if session.out.format == "table":
        session.tell(f"published {event.name}" + (f" with key {event.key}" if event.key is not None else ""))
        session.out.write(f"{event.id}\n")
    else:
        session.out.record(event_document(event), fields=())
