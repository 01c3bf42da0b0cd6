"""`dispatch queue limit`."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli.consent import Confirm, DryRun, Reason, ask
from dispatch_cli.failures import CommandError
from dispatch_cli.queue.base import FORCED, Force, Name, app, document_of, must_be_meant, queue_name, show_change
from dispatch_cli.session import session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch_cli.admin import Admin


@verb(
    app,
    "limit",
    examples=(
        "dispatch queue limit mailers --concurrency 5",
        "dispatch queue limit mailers --rate 50 --burst 10 --dry-run",
        "dispatch queue limit mailers --concurrency none",
        "dispatch queue limit mailers --none",
    ),
)
def limit(
    ctx: typer.Context,
    name: Name,
    concurrency: Annotated[
        str | None, typer.Option("--concurrency", metavar="N|none", help="Jobs at once, over all workers.")
    ] = None,
    rate: Annotated[str | None, typer.Option("--rate", metavar="N|none", help="Starts a second, such as 50.")] = None,
    burst: Annotated[
        str | None, typer.Option("--burst", metavar="N|none", help="Starts at once after a pause; needs a rate.")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="N|none", help="Jobs at once of each tenant.")
    ] = None,
    fair: Annotated[
        bool | None, typer.Option("--fair/--no-fair", help="Tenants take turns (for jobs enqueued from now on).")
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Lift every limit that is not named beside it.")] = False,
    reason: Reason = "",
    force: Force = False,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Set or lift a queue's limits for the whole fleet, at once; only those that are named change."""
    from dispatch.queues import QueueConfig

    session = session_of(ctx)
    wanted = queue_name(name)
    named: dict[str, Any] = {}
    for key, option, text in (
        ("max_concurrency", "--concurrency", concurrency),
        ("rate_burst", "--burst", burst),
        ("tenant_concurrency", "--tenant", tenant),
    ):
        if text is not None:
            named[key] = _count(option, text)
    if rate is not None:
        named["rate_limit"] = _rate(rate)
    if fair is not None:
        named["fair"] = fair
    if not named and not none:
        raise CommandError(
            "which limit?", hint="name one: --concurrency 5, --rate 50, --tenant 2, --fair; --none lifts all"
        )
    if not dry_run:
        ask(session, f"change the limits of queue {wanted!r}", yes=True, confirm=confirm)

    async def act(app: Admin) -> dict[str, Any]:
        await must_be_meant(session, app, wanted, force=force, hint=FORCED)
        info = await app.queues.get(wanted)
        after = replace(QueueConfig(wanted) if none else info.config, **named)
        if after.rate_burst is not None and after.rate_limit is None:
            raise CommandError(
                f"queue {wanted!r} would have a burst of {after.rate_burst} but no rate, which limits nothing",
                hint="set --rate too, or lift the burst with --burst none",
            )
        if wanted in session.tables:
            session.tell(f"warning: the next start of a worker puts back what [queue.{wanted}] says; change it there")
        if dry_run:
            return await document_of(app, replace(info, config=after))
        changes = ", ".join(f"{key}={'none' if value is None else value}" for key, value in named.items())
        detail = ", ".join(filter(None, ["all lifted" if none else "", changes]))
        async with app.audit.act("queue.limit", [wanted], reason=reason, detail=detail):
            await app.queues.configure(after)
        return await document_of(app, await app.queues.get(wanted))

    show_change(
        session, session.administer(act, create=not dry_run), "limited" if named else "unlimited", dry_run=dry_run
    )


def _count(option: str, text: str) -> int | None:
    from dispatch.entity import MOST

    if text == "none":
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= MOST):
        raise CommandError(
            f"{option}: {text!r} is no limit: it takes a whole number from 1 on, or none",
            hint="to stop a queue altogether: `dispatch queue pause`",
        )
    return int(text)


def _rate(text: str) -> float | None:
    from dispatch.entity import MOST
    from dispatch.queues.model import SLOWEST

    if text == "none":
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not SLOWEST <= value <= MOST:
        raise CommandError(
            f"--rate: {text!r} is no rate: it takes starts a second (50, 0.5 for one in two seconds), or none",
            hint="to stop a queue altogether: `dispatch queue pause`",
        )
    return value
