"""`dispatch top`: a live cockpit over any store."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch_cli.choices import duration
from dispatch_cli.failures import CommandError, describe
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import single

if TYPE_CHECKING:
    from dispatch_cli.admin import Admin
    from dispatch_cli.top.view import View

_LEAST = 0.2
_REST = 9
"""A look that took long is followed by a rest of so many times its length: the store has other work."""
_ANY_WIDTH = 1000


@single(examples=("dispatch top --once", "dispatch top --interval 5s --once --json"))
def app(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Show one frame and end; so it does in a pipe.")] = False,
    interval: Annotated[
        str, typer.Option("--interval", metavar="DURATION", help="From look to look; longer if a look takes long.")
    ] = "1s",
) -> None:
    """Watch queues, throughput, workers, failures, crons and pauses, live. q or Ctrl-C ends it."""
    session = session_of(ctx)
    session.out.must_not_be_ids()
    pause = duration("--interval", interval) or 0.0
    if pause < _LEAST:
        raise CommandError(f"--interval {interval}: it takes {_LEAST:g}s or more")
    if not once and session.out.format == "table" and sys.stdout.isatty():
        try:
            session.administer(lambda app: _live(session, app, pause))
        except KeyboardInterrupt:
            return
        return
    view = session.administer(lambda app: _two_looks(session, app, pause))
    if session.out.format != "table":
        session.out.record(_document(view), fields=())
        return
    _print(session, view)


async def _two_looks(session: Session, app: Admin, pause: float) -> View:
    """Two are needed to tell a throughput."""
    from dispatch_cli.top.view import View

    view = View(session.place)
    await _look(view, app)
    await asyncio.sleep(pause)
    await _look(view, app)
    return view


async def _look(view: View, app: Admin) -> float:
    """Takes a look in; answers how many seconds it took."""
    from dispatch.clock import utc_now
    from dispatch_cli.top.view import look

    loop = asyncio.get_running_loop()
    began = loop.time()
    view.add(await look(app, at=utc_now(), clock=began))
    return loop.time() - began


async def _live(session: Session, app: Admin, pause: float) -> None:
    from rich.console import Group
    from rich.live import Live

    from dispatch.client.errors import ClientError
    from dispatch.errors import StoreError
    from dispatch_cli.top.frame import Screen, frame
    from dispatch_cli.top.keys import hearing
    from dispatch_cli.top.view import View

    view, console, loop = View(session.place), session.out.console(), asyncio.get_running_loop()
    took = await _look(view, app)
    wake, ended = asyncio.Event(), False

    def key(letters: str) -> None:
        nonlocal ended
        ended = ended or "q" in letters.lower()
        wake.set()

    def drawn() -> Group:
        screen = Screen(console.width, console.height, plain=_plain(), live=True)
        return Group(*frame(view, screen))

    live = Live(drawn(), console=console, screen=True, auto_refresh=False)
    with hearing(loop, key=key, resized=wake.set), live:
        due = loop.time() + pause
        while not ended:
            try:
                async with asyncio.timeout_at(due):
                    await wake.wait()
            except TimeoutError:
                try:
                    took = await _look(view, app)
                except (ClientError, StoreError) as error:
                    view.trouble = describe(error)[0]
                due = loop.time() + max(pause, took * _REST)
            wake.clear()
            live.update(drawn(), refresh=True)


def _print(session: Session, view: View) -> None:
    from dispatch_cli.top.frame import Screen, frame

    console = session.out.console()
    fancy = session.out.fancy and sys.stdout.isatty()
    width, height = (console.width, console.height) if fancy else (_ANY_WIDTH, None)
    lines = frame(view, Screen(width, height, plain=_plain()))
    if not session.out.fancy:
        session.out.write("".join(f"{line.plain.rstrip()}\n" for line in lines))
        return
    with console.capture() as capture:
        for line in lines:
            console.print(line, no_wrap=True, overflow="crop")
    session.out.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def _plain() -> bool:
    try:
        "█▁…·".encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _document(view: View) -> dict[str, Any]:
    from dispatch.documents.fleet import queue_document, worker_document
    from dispatch.documents.letters import group_document
    from dispatch.documents.overview import crons_document
    from dispatch.text import iso

    look, status = view.latest, view.latest.status
    completed, failed = view.rates or (None, None)
    return {
        "store": view.store,
        "at": iso(look.at),
        "completed_per_second": completed,
        "failed_per_second": failed,
        "dead_letters": status.dead_letters,
        "crons": crons_document(status),
        "queues": [queue_document(info, status.served_by[info.config.name]) for info in status.queues],
        "workers": [worker_document(worker) for worker in status.live],
        "groups": [group_document(group) for group in status.groups],
    }
