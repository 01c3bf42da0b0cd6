"""`dispatch serve`: the HTTP API of a store, with no worker."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Annotated

import typer

from dispatch_cli.session import session_of
from dispatch_cli.shell import single


@single(
    local="it is what makes a store a server",
    examples=("dispatch serve", "dispatch serve myapp.tasks --host 127.0.0.1 --port 8484"),
)
def app(
    ctx: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="TARGET…", help="Modules whose definitions it announces; it runs none of them."),
    ] = None,
    host: Annotated[str | None, typer.Option("--host", metavar="HOST", help="Default: 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, metavar="N", help="Default: 8484; 0 takes a free one.")
    ] = None,
) -> None:
    """Serve the HTTP API of the store until told to stop (Ctrl-C, SIGTERM); jobs are for `dispatch run`. An address
    that other machines reach needs an API key."""
    from dispatch.discovery import discover
    from dispatch_cli import logs
    from dispatch_cli.loops import run_fast
    from dispatch_cli.probing import measured
    from dispatch_cli.run import app_of
    from dispatch_cli.serving import http

    session = session_of(ctx)
    session.out.must_not_be_ids()
    as_json = not session.settings.fancy(sys.stderr) and session.config.log.format != "text"
    logs.set_up(
        level=session.config.log.level,
        as_json=as_json or session.config.log.format == "json",
        colored=session.settings.colored(sys.stderr),
    )
    found = discover(*targets) if targets else None
    if found is None:
        session.must_exist()
    server = session.config.server
    bound = server.port if port is None else port
    serving = app_of(session, found.objects if found else ())

    measure = measured(serving)

    async def serve() -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        try:
            if found is None:
                await session.must_be_made()
            async with serving, http(serving, host or server.host, bound, measure=measure):
                await stopped.wait()
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    run_fast(serve())
