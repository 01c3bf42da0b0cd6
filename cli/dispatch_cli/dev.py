"""`dispatch dev`: while you write code, a worker and the HTTP API in one process that starts anew with each change."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from dispatch_cli import complete
from dispatch_cli.choices import duration
from dispatch_cli.failures import CommandError
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import single

HOST = "127.0.0.1"
"""What runs unfinished code listens to this machine alone."""


@single(
    local="it runs a worker and a server of its own, on a store",
    examples=("dispatch dev myapp.tasks", "dispatch dev myapp.tasks --port 8485 -c 2"),
)
def app(
    ctx: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="TARGET…", help="Modules, packages, files or module:app; default: `app` as configured."),
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, metavar="N", help="Default: 8484; 0 takes a free one.")
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
        int | None, typer.Option("--concurrency", "-c", min=1, metavar="N", help="Jobs at once.")
    ] = None,
    grace: Annotated[
        str, typer.Option("--grace", metavar="DURATION", help="How long a new start waits for running jobs.")
    ] = "3s",
    log_level: Annotated[
        str | None, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning, error or critical.")
    ] = None,
) -> None:
    """Run jobs and serve the dashboard and the HTTP API on this machine, and start anew, gracefully, when a file of
    the project changes. Without a configured store it is ./dispatch.db. For servers there is `dispatch run`."""
    from dispatch_cli import banner, logs
    from dispatch_cli.processes import run_processes
    from dispatch_cli.reload import watcher

    session = session_of(ctx)
    session.out.must_not_be_ids()
    chosen = targets or ([session.config.app] if session.config.app else [])
    if not chosen:
        raise CommandError(
            "which module has the jobs?", hint="name it: dispatch dev myapp.tasks; or set `app` in dispatch.toml"
        )
    duration("--grace", grace)
    changes = watcher("dispatch dev")
    if not any(":" in target for target in chosen):  # an app that a target names has a store of its own
        asyncio.run(_opens(session))
    bound = _free(session.config.server.port if port is None else port)
    logs.set_up(
        level=log_level or session.config.log.level,
        as_json=session.config.log.format == "json",
        colored=session.settings.colored(sys.stderr),
    )
    arguments = ["run", *chosen, "--http", f"{HOST}:{bound}", "--grace", grace, *_said(session)]
    arguments += [word for name in queue or () for word in ("-q", name)]
    arguments += ["-c", str(concurrency)] if concurrency else []
    arguments += ["--log-level", log_level] if log_level else []
    code = run_processes(1, arguments, burst=False, tell=banner.warn, changes=changes, must_start=True)
    raise typer.Exit(code)


async def _opens(session: Session) -> None:
    """Raises what the store says when it cannot be opened, before a child would try that again and again."""
    async with session.app():
        pass


def _free(port: int) -> int:
    """The port, or a free one for 0, so that each new start has the same. Raises ConfigError when it is taken."""
    from dispatch.api.listening import listen

    with listen(HOST, port, what="the HTTP API") as listening:
        return int(listening.getsockname()[1])


def _said(session: Session) -> list[str]:
    """The global options that a child has to know, too."""
    settings = session.settings
    options = {"--store": settings.store, "--config": settings.config, "--profile": settings.profile}
    words = [word for option, value in options.items() if value is not None for word in (option, value)]
    return [*words, "--no-color"] if settings.no_color else words
