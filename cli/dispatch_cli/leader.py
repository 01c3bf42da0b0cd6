"""`dispatch leader show`."""

from __future__ import annotations

import typer

from dispatch_cli.session import session_of
from dispatch_cli.shell import noun, verb

app = noun("See which worker leads the fleet.", examples=("dispatch leader show",))


@verb(app, "show", examples=("dispatch leader show", "dispatch leader show --json"))
def show(ctx: typer.Context) -> None:
    """Show who leads, in which term, and until when unless the term is renewed."""
    from dispatch_cli.render import iso

    session = session_of(ctx)
    session.out.must_not_be_ids()
    found = session.on_app(lambda app: app.workers.leadership())
    document = {
        "leader": None if found is None else str(found.leader),
        "term": None if found is None else found.term,
        "until": None if found is None else iso(found.until),
    }
    session.out.record(document, fields=list(document.items()))
    if found is None:
        session.tell("nobody leads")
