"""`dispatch run`: a worker for the jobs of a module, in one process or several."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli import complete
from dispatch_cli.choices import duration, word_among
from dispatch_cli.failures import CommandError
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import single

if TYPE_CHECKING:
    from dispatch import Dispatch
    from dispatch.engine.run import RunReport, WorkerReady
    from dispatch_cli.unserved import Unserved


@single(
    local="a worker claims its jobs from the store itself",
    examples=(
        "dispatch run myapp.tasks --burst",
        "dispatch run myapp.tasks -q mailers:2 -q default -c 20 --burst",
        "dispatch run myapp.tasks --burst --fail-on-error --log-format json",
    ),
)
def app(
    ctx: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="TARGET…", help="Modules, packages, files or module:app; default: `app` as configured."),
    ] = None,
    queue: Annotated[
        list[str] | None,
        typer.Option(
            "--queue",
            "-q",
            metavar="NAME[:SLOTS]",
            help="Serve this queue, with at most so many jobs at once.",
            autocompletion=complete.queues,
        ),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", "-c", min=1, metavar="N", help="Jobs at once in a process.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option("--processes", "-p", min=1, metavar="N", help="So many worker processes.")
    ] = None,
    burst: Annotated[bool, typer.Option("--burst", help="Exit when nothing is left to do.")] = False,
    fail_on_error: Annotated[
        bool, typer.Option("--fail-on-error", help="With --burst: exit 1 when a job failed for good.")
    ] = False,
    no_cron: Annotated[bool, typer.Option("--no-cron", help="Leave cron entries to other workers.")] = False,
    only_cron: Annotated[bool, typer.Option("--only-cron", help="Fire cron entries, run no jobs.")] = False,
    max_jobs: Annotated[
        int | None, typer.Option("--max-jobs", min=1, metavar="N", help="Stop once so many jobs have ended.")
    ] = None,
    max_memory: Annotated[
        str | None, typer.Option("--max-memory", metavar="SIZE", help="Stop when the process holds more: 512MB.")
    ] = None,
    grace: Annotated[
        str | None, typer.Option("--grace", metavar="DURATION", help="How long a stop waits for running jobs.")
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Start anew, gracefully, when a file of the project changes.")
    ] = False,
    probe: Annotated[
        str | None, typer.Option("--probe", metavar="HOST:PORT", help="Answer /healthz and /readyz there.")
    ] = None,
    http: Annotated[
        str | None, typer.Option("--http", metavar="HOST:PORT", help="Serve the HTTP API there, in this process.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="A name to know the worker by.")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", metavar="KEY=TEXT", help="Facts about it.")] = None,
    log_format: Annotated[
        str | None, typer.Option("--log-format", metavar="FORMAT", help="text, json or auto (text on a terminal).")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning, error or critical.")
    ] = None,
    parent: Annotated[int | None, typer.Option("--parent", hidden=True)] = None,
    member: Annotated[int, typer.Option("--member", hidden=True)] = 1,
    health_fd: Annotated[int | None, typer.Option("--health-fd", hidden=True)] = None,
) -> None:
    """Start a worker for the jobs of a module; it works until it is told to stop (Ctrl-C, SIGTERM)."""
    session = session_of(ctx)
    session.out.must_not_be_ids()
    if fail_on_error and not burst:
        raise CommandError("--fail-on-error looks at the jobs of a --burst: add --burst")
    if only_cron and (no_cron or burst or queue):
        other = "--no-cron" if no_cron else "--burst" if burst else "-q"
        raise CommandError(f"--only-cron runs no jobs and fires cron entries on and on: leave out {other}")
    chosen = targets or ([session.config.app] if session.config.app else [])
    if not chosen:
        raise CommandError(
            "which module has the jobs?", hint="name it: dispatch run myapp.tasks; or set `app` in dispatch.toml"
        )
    given: dict[str, Any] = {
        "queues": queues_of(queue or ()) or None,
        "concurrency": concurrency,
        "burst": burst,
        "grace": duration("--grace", grace),
        "max_jobs": max_jobs,
        "max_memory": _size("--max-memory", max_memory),
        "name": name,
        "labels": labels_of(label or ()),
        "cron": not no_cron,
        "jobs": not only_cron,
    }
    if probe is not None:
        from dispatch_cli.probing import address_of

        address_of(probe)
    if http is not None:
        from dispatch_cli.probing import address_of

        address_of(http, option="--http")
    if reload and burst:
        raise CommandError("--reload works on and on, a --burst ends: leave out one of them")
    as_json, level = _logging(session, log_format, log_level)
    wanted = processes or (1 if parent else session.config.processes)
    if http is not None and (wanted > 1 or reload):
        raise CommandError("--http serves from one process: leave out -p and --reload, or use `dispatch serve`")
    if wanted > 1 or reload:
        from dispatch_cli import banner, logs
        from dispatch_cli.processes import run_processes
        from dispatch_cli.reload import watcher

        logs.set_up(level=level, as_json=as_json, colored=session.settings.colored(sys.stderr))
        # An app that a target names has a store and a concurrency of its own, which only the children get to know.
        own = any(":" in target for target in chosen)
        banner.announce_processes(
            wanted,
            each=concurrency or (None if own else session.config.concurrency),
            store=None if own else session.store_url,
            as_json=as_json,
        )
        changes = watcher() if reload else None
        arguments = for_a_child(session.settings.argv)
        code = run_processes(wanted, arguments, burst=burst, tell=banner.warn, changes=changes, probe=probe)
        raise typer.Exit(code)
    if parent is not None:
        from dispatch_cli.processes import die_with

        die_with(parent)
    alone = parent is None
    report = _work(
        session,
        chosen,
        given,
        as_json=as_json,
        level=level,
        alone=alone,
        first=member == 1,
        probe=probe,
        http=http,
        health_fd=health_fd,
    )
    if fail_on_error and report.failed:
        raise typer.Exit(1)
    if parent is not None and report.reason in ("max_jobs", "max_memory"):
        from dispatch_cli.processes import RECYCLE

        raise typer.Exit(RECYCLE)


def _work(
    session: Session,
    targets: list[str],
    given: dict[str, Any],
    *,
    as_json: bool,
    level: str,
    alone: bool,
    first: bool,
    probe: str | None,
    http: str | None,
    health_fd: int | None,
) -> RunReport:
    from dispatch.discovery import discover
    from dispatch.engine.opening import open_patiently
    from dispatch.engine.run import RunOptions, run_worker
    from dispatch_cli import banner, job_log, logs
    from dispatch_cli.loops import has_started, run_fast
    from dispatch_cli.probing import OwnHealth, demanded, measured, reported
    from dispatch_cli.serving import api_at
    from dispatch_cli.unserved import due_but_unknown

    colored = session.settings.colored(sys.stderr)
    handler = logs.set_up(level=level, as_json=as_json, colored=colored)
    found = discover(*targets)
    logs.take_the_rest(handler)
    app = app_of(session, found.objects)
    app.plugins.register(job_log.events_for(level, as_json=as_json))
    if first and app.store.url.startswith("memory:"):
        banner.warn_of_memory()
    served: list[tuple[tuple[str, ...], frozenset[str]]] = []

    def ready(worker: WorkerReady) -> None:
        has_started()
        if first:  # now that plugins have said what they bring
            banner.warn_of_idleness(app.served_registry, found.modules, given["queues"] or ())
        info = worker.engine.info
        served.append((tuple(worker.engine.settings.queues), frozenset(info.names)))
        start = banner.Start(
            worker_id=str(info.id),
            pid=os.getpid(),
            version=info.version,
            store=app.store.url,
            queues=worker.engine.settings.queues,
            concurrency=info.concurrency,
            jobs=list(info.names),
            crons=sorted(app.registry.crons) if given["cron"] else [],
            modules=found.modules,
        )
        banner.announce(start, as_json=as_json, alone=alone, colored=colored)

    own = OwnHealth()
    measure = None if probe is None and http is None else measured(app)
    options = RunOptions(**given, targets=tuple(targets), on_ready=ready, on_engine=own.heard)

    async def work() -> tuple[RunReport, Unserved | None]:
        if not options.burst:
            await open_patiently(app)
        async with app:
            reporting = reported(own, probe=probe, descriptor=health_fd, measure=measure, demand=demanded(app))
            async with reporting, api_at(app, http, measure=measure):
                report = await run_worker(app, options)
            if not alone:
                from dispatch_cli.processes import ends_anyway

                ends_anyway()
            looked = report.reason == "burst" and served
            return report, await due_but_unknown(app, *served[0]) if looked else None

    report, unserved = run_fast(work())
    banner.farewell(report, unserved, as_json=as_json)
    if session.out.format != "table":
        session.out.record({**asdict(report), "unserved": asdict(unserved) if unserved else None}, fields=())
    return report


def app_of(session: Session, objects: Sequence[Any]) -> Dispatch:
    """The app that a `module:app` target names, else one as configured over the registry that the targets filled."""
    from dispatch import Dispatch
    from dispatch_cli.targets import registry_of

    registry = registry_of(objects)
    named = [object_ for object_ in objects if isinstance(object_, Dispatch)]
    if not named:
        session.find_own_modules()
        return Dispatch(config=session.config, registry=registry)
    settings = session.settings
    if settings.store or settings.config or settings.profile:
        raise CommandError(
            "the app that the target names has its own configuration: leave out --store, --config and -P"
        )
    return named[0]


def queues_of(words: Sequence[str]) -> dict[str, int]:
    """Queue → slots (0: no cap of its own) from `name` and `name:slots`."""
    from dispatch.jobs.base import NAME

    queues: dict[str, int] = {}
    for word in words:
        name, _, slots = word.rpartition(":")
        if not name or not re.fullmatch(r"[0-9]{1,9}", slots):
            name, slots = word, "0"
        elif int(slots) < 1:
            raise CommandError(f"-q {word!r}: a queue is served with at least 1 slot; leave out the number for no cap")
        if not NAME.fullmatch(name):
            raise CommandError(f"-q {word!r}: {name!r} is no queue name: 1 to 128 of letters, digits and _ . : -")
        if name in queues:
            raise CommandError(f"-q names the queue {name!r} twice")
        queues[name] = int(slots)
    return queues


def labels_of(words: Sequence[str]) -> dict[str, str]:
    """The facts given as key=text."""
    labels: dict[str, str] = {}
    for word in words:
        key, separator, text = word.partition("=")
        if not separator or not key:
            raise CommandError(f"--label {word!r}: write key=text")
        labels[key] = text
    return labels


def _size(option: str, text: str | None) -> int | None:
    from dispatch.config import parse_size

    try:
        return None if text is None else parse_size(text)
    except ValueError as error:
        raise CommandError(f"{option}: {error}") from None


def _logging(session: Session, log_format: str | None, log_level: str | None) -> tuple[bool, str]:
    """Whether to write JSON lines, and from which level on."""
    from dispatch_cli.logs import LEVELS

    chosen = word_among("log format", log_format, ("auto", "text", "json")) if log_format else session.config.log.format
    level = word_among("log level", log_level, LEVELS) if log_level else session.config.log.level
    return chosen == "json" or (chosen == "auto" and not session.settings.fancy(sys.stderr)), level


def for_a_child(argv: Sequence[str]) -> list[str]:
    """The command line for one child: the same without -p, --reload and --probe."""
    kept: list[str] = []
    words = iter(argv)
    for word in words:
        if word in ("-p", "--processes", "--probe"):
            next(words, None)
        elif not word.startswith(("--processes=", "--probe=", "--reload")) and not (
            word.startswith("-p") and word[2:].isdigit()
        ):
            kept.append(word)
    return kept
