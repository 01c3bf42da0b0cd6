"""`dispatch workflow start`: starts a run by the workflow's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dispatch_cli import complete
from dispatch_cli.choices import call_arguments, duration, hint_at_json, moment
from dispatch_cli.consent import DryRun
from dispatch_cli.failures import AUTHENTICATION, CommandError
from dispatch_cli.job.enqueue import Document, Pairs
from dispatch_cli.named import if_allowed, in_wait, must_be_of_kind, warn_of_keys, warn_unless_played
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import verb
from dispatch_cli.workflow.base import app
from dispatch_cli.workflow.result import Timeout, Wait, print_result

if TYPE_CHECKING:
    from dispatch.cluster.model import Announcement
    from dispatch.jobs.options import EnqueueOptions
    from dispatch.workflows.model import CreatedRun, Run
    from dispatch_cli.admin import Admin

WorkflowName = Annotated[
    str, typer.Argument(metavar="NAME", help="The workflow's name.", autocompletion=complete.workflows)
]


@verb(
    app,
    "start",
    examples=(
        "dispatch workflow start checkout order:=42",
        "dispatch workflow start checkout order:=42 --version 2 --unique order-42",
        """dispatch workflow start checkout --args '{"order": 42}' --dry-run""",
    ),
)
def start(
    ctx: typer.Context,
    name: WorkflowName,
    pairs: Pairs = None,
    args: Document = None,
    version: Annotated[int | None, typer.Option("--version", metavar="N", help="Default: the newest.")] = None,
    in_: Annotated[str | None, typer.Option("--in", metavar="DURATION", help="Start after that time: 10s, 2h.")] = None,
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="Start then: 2026-05-01T09:00.")] = None,
    queue: Annotated[
        str | None, typer.Option("--queue", "-q", metavar="NAME", help="On this queue.", autocompletion=complete.queues)
    ] = None,
    priority: Annotated[int | None, typer.Option("--priority", metavar="N", help="Higher goes first.")] = None,
    unique: Annotated[
        str | None, typer.Option("--unique", metavar="KEY", help="One live run of that name and key; * = by arguments.")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", metavar="KEY", help="The same key again makes no second run.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="Tags to find it by.")] = None,
    wait: Wait = False,
    timeout: Timeout = None,
    dry_run: DryRun = False,
) -> None:
    """Start a run by its workflow's name and print its id; the code need not be here, but announced by a worker."""
    from dispatch.jobs.options import EnqueueOptions

    session = session_of(ctx)
    if wait:
        session.out.must_not_be_ids()
    if in_ is not None and at is not None:
        raise CommandError("--in and --at both say when: keep one of them")
    if timeout is not None and not wait:
        raise CommandError("--timeout says how long --wait waits: add --wait")
    arguments = call_arguments(pairs or (), args)
    limit = duration("--timeout", timeout)
    options = EnqueueOptions(
        delay=duration("--in", in_),
        run_at=moment("--at", at),
        queue=queue,
        priority=priority,
        unique=True if unique == "*" else unique,
        idempotency_key=idempotency_key,
        tags=tag,
    )

    async def act(app: Admin) -> Run | None:
        known = await if_allowed(app.workers.definitions()) or ()
        must_be_of_kind("workflow", name, known)
        if dry_run:
            made = await app.workflows.rehearse(name, arguments, options, version=version)
            _warn_of_keys(session, known, (made.name, made.version), options)
            session.tell("nothing was written; this would be started:")
            document = {
                "name": made.name,
                "version": made.version,
                "queue": made.driver.queue,
                "payload": _plain(made.driver.payload),
                "dry_run": True,
            }
            session.out.record(document, fields=[(key, value) for key, value in document.items() if key != "dry_run"])
            return None
        async with app.audit.act("workflow.start", detail=name) as held:
            answer = await app.workflows.start_named(name, arguments, options, version=version)
            held.settle([answer.id], count=int(answer.created))
        run = await if_allowed(app.workflows.get(answer.id))
        if run is None:
            raise CommandError(
                f"{answer.id} was started, but this key may not look at it: it lacks the scope workflow:read",
                code="forbidden",
                exit_code=AUTHENTICATION,
            )
        _warn_of_keys(session, known, (run.name, run.version), options)
        await warn_unless_played(session, app, run.name, run.version, run.queue)
        if not wait:
            _tell_of(session, answer, run)
            return None
        session.tell(f"{_became(answer)} {run.id}; {in_wait(limit)}")
        return await app.workflows.wait(run.id, timeout=limit)

    with hint_at_json(pairs or ()):
        ended = session.administer(act)
    if ended is not None:
        print_result(session, ended)


def _plain(payload: bytes) -> object:
    from dispatch.documents.base import readable

    return readable(payload)[0]


def _became(answer: CreatedRun) -> str:
    return "started" if answer.created else "already there:"


def _tell_of(session: Session, answer: CreatedRun, run: Run) -> None:
    if session.out.format != "table":
        from dispatch.documents.runs import started_run

        session.out.record(started_run(run, created=answer.created), fields=())
        return
    session.tell(f"{_became(answer)} {run.name} version {run.version} on queue {run.queue!r}")
    session.out.write(f"{run.id}\n")


def _warn_of_keys(
    session: Session, known: Sequence[Announcement], which: tuple[str, int], options: EnqueueOptions
) -> None:
    definitions = [found for found in known if found.kind == "workflow"]
    announced = next((found for found in definitions if (found.name, found.version) == which), None)
    warn_of_keys(session, announced, unique=options.unique is not None)
