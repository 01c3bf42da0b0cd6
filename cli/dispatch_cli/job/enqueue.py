"""`dispatch job enqueue | call`: queue a job by its name, or run its function here and now."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import inspect
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli import complete
from dispatch_cli.choices import call_arguments, duration, hint_at_json, moment
from dispatch_cli.consent import DryRun
from dispatch_cli.failures import NOT_FOUND, CommandError
from dispatch_cli.job.base import app
from dispatch_cli.job.wait import Timeout, Wait, print_result
from dispatch_cli.named import FORCED, in_wait, must_be_meant, must_be_of_kind, warn_of_keys, warn_unless_served
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch.cluster.model import Announcement
    from dispatch.jobs.model import Enqueued, Job
    from dispatch.jobs.options import EnqueueOptions
    from dispatch_cli.admin import Admin

JobName = Annotated[str, typer.Argument(metavar="NAME", help="The job's name.", autocompletion=complete.names)]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=TEXT…", help="Its arguments: key=text, or key:=json for numbers, lists and the like."),
]
Document = Annotated[
    str | None,
    typer.Option("--args", metavar="JSON", help="All arguments as JSON; @file reads a file, - standard input."),
]


@verb(
    app,
    "enqueue",
    examples=(
        "dispatch job enqueue send_email to=ada@example.com",
        "dispatch job enqueue add x:=1 y:=2 --in 10m --priority 5",
        """dispatch job enqueue add --args '{"x": 1, "y": 2}' --idempotency-key order-42""",
        "dispatch job enqueue add x:=1 y:=2 --dry-run",
    ),
)
def enqueue(
    ctx: typer.Context,
    name: JobName,
    pairs: Pairs = None,
    args: Document = None,
    in_: Annotated[str | None, typer.Option("--in", metavar="DURATION", help="Start after that time: 10s, 2h.")] = None,
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="Start then: 2026-05-01T09:00.")] = None,
    queue: Annotated[
        str | None, typer.Option("--queue", "-q", metavar="NAME", help="On this queue.", autocompletion=complete.queues)
    ] = None,
    priority: Annotated[int | None, typer.Option("--priority", metavar="N", help="Higher goes first.")] = None,
    unique: Annotated[
        str | None, typer.Option("--unique", metavar="KEY", help="One live job of that name and key; * = by arguments.")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", metavar="KEY", help="The same key again makes no second job.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="Tags to find it by.")] = None,
    wait: Wait = False,
    timeout: Timeout = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also under a name that looks like a slip of one that is known.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Queue a job by name and print its id; the code that runs it need not be here."""
    from dispatch.jobs.options import EnqueueOptions

    session = session_of(ctx)
    if session.server is None and session.config.store.startswith("memory:"):
        from dispatch_cli.banner import IN_MEMORY

        session.tell(f"warning: {IN_MEMORY}")
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

    async def act(app: Admin) -> Job | None:
        definitions = await app.workers.definitions()
        if not force:
            must_be_of_kind("job", name, definitions, hint=FORCED)
        known = {found.name: found for found in definitions if found.kind == "job"}
        if known:
            must_be_meant(session, name, known, force=force)
        announced = known.get(name)
        if dry_run:
            await _rehearse(session, app, name, arguments, options, announced)
            return None
        async with app.audit.act("job.enqueue", detail=name) as held:
            answer = await app.jobs.enqueue_named(name, arguments, options)
            held.settle([answer.id], count=int(answer.created or answer.replaced))
        job = await app.jobs.get(answer.id)
        warn_of_keys(session, announced, unique=unique is not None)
        await warn_unless_served(session, app, job.queue)
        if not wait:
            _tell_of(session, answer, job)
            return None
        session.tell(f"{_became(answer)} {job.id}; {in_wait(limit)}")
        return await app.jobs.wait(job.id, timeout=limit)

    with hint_at_json(pairs or ()):
        ended = session.administer(act, create=not dry_run)
    if ended is not None:
        print_result(session, ended)


def _became(answer: Enqueued) -> str:
    return "enqueued" if answer.created else "replaced" if answer.replaced else "already there:"


def _tell_of(session: Session, answer: Enqueued, job: Job) -> None:
    if session.out.format != "table":
        from dispatch.documents.jobs import enqueued_job

        session.out.record(enqueued_job(job, answer), fields=())
        return
    session.tell(f"{_became(answer)} {job.name} on queue {job.queue!r}")
    session.out.write(f"{job.id}\n")


async def _rehearse(
    session: Session, app: Admin, name: str, arguments: Any, options: EnqueueOptions, announced: Announcement | None
) -> None:
    """Checks and shows what an enqueue would write."""
    from dispatch.documents.base import readable
    from dispatch.errors import PayloadTooLarge
    from dispatch.scope import capture
    from dispatch.services.named import named_job
    from dispatch.text import iso

    ttl = session.config.idempotency_ttl.total_seconds()
    job = named_job(name, arguments, options, announced=announced, scope=capture(), idempotency_ttl=ttl)
    if len(job.payload) > session.config.limits.payload:
        raise PayloadTooLarge(f"{name}: the arguments take {len(job.payload):,} bytes, more than limits.payload")
    warn_of_keys(session, announced, unique=options.unique is not None)
    await warn_unless_served(session, app, job.queue)
    document = {
        "name": name,
        "queue": job.queue,
        "priority": job.priority,
        "payload": readable(job.payload)[0],
        "delay_seconds": job.delay,
        "run_at": iso(job.run_at),
        "dry_run": True,
    }
    session.tell("nothing was written; this would be enqueued:")
    session.out.record(document, fields=[(key, value) for key, value in document.items() if key != "dry_run"])


@verb(
    app,
    "call",
    local="it runs the function here, and what that enqueues goes to the store",
    examples=("dispatch job call add x:=1 y:=2 --app myapp.tasks",),
)
def call(
    ctx: typer.Context,
    name: JobName,
    pairs: Pairs = None,
    args: Document = None,
    target: Annotated[
        str | None,
        typer.Option("--app", metavar="TARGET", help="The module with the job; default: `app` as configured."),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Run a job's function here and now, without queue, worker or retries, and print what it returns."""
    from dispatch.discovery import discover
    from dispatch.errors import InvalidArguments
    from dispatch.registry import default_registry

    session = session_of(ctx)
    session.out.must_not_be_ids()
    chosen = target or session.config.app
    if chosen is None:
        raise CommandError(
            "which module has the job?", hint="name it with --app myapp.tasks, or as `app` in dispatch.toml"
        )
    arguments = call_arguments(pairs or (), args)
    with contextlib.redirect_stdout(sys.stderr):  # stdout holds the result and nothing else
        discover(chosen)
    definition = default_registry.jobs.get(name)
    if definition is None:
        near = difflib.get_close_matches(name, default_registry.jobs, 1)
        known = (
            f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(sorted(default_registry.jobs)) or 'none'}"
        )
        raise CommandError(f"{chosen} has no job {name!r}; {known}", code="job_not_found", exit_code=NOT_FOUND)
    try:
        with hint_at_json(pairs or ()):
            document = definition.signature.validate_document(definition.signature.arrange(arguments))
        if dry_run:
            session.tell(f"the arguments fit; {name} at {definition.place} was not called")
            return
        positional, keywords = definition.signature.spread(document)
        with contextlib.redirect_stdout(sys.stderr), session.implicit_app():
            value = definition.function(*positional, **keywords)
            if inspect.isawaitable(value):
                value = asyncio.run(_awaited(value))
    except (InvalidArguments, CommandError):
        raise
    except Exception as error:
        raise CommandError(
            f"{name} raised {type(error).__name__}: {error}",
            code="job_failed",
            exit_code=1,
            hint="DISPATCH_TRACEBACK=1 shows where",
        ) from error
    try:
        result = definition.signature.dump_result(value)
    except TypeError as error:
        raise CommandError(str(error), code="result_not_storable", exit_code=1) from None
    session.out.json(json.loads(result))


async def _awaited(value: Any) -> Any:
    return await value
