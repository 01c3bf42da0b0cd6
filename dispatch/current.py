"""Which app a bare `send_email.enqueue(...)` means: the running worker's, the one open app, or the implicit one."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dispatch.errors import NoOpenApp
from dispatch.portal import bridge, portal, refuse_in_loop, run_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dispatch.events.model import Event
    from dispatch.jobs.definition import Call
    from dispatch.jobs.handle import JobHandle, SyncJobHandle
    from dispatch.jobs.model import Job, JobState
    from dispatch.workflows.definition import WorkflowCall
    from dispatch.workflows.handle import RunHandle
    from dispatch.workflows.model import Run, RunState

T = TypeVar("T")


class AppPort(Protocol):
    """What definitions and handles need of an app; its coroutines run on its own `loop`."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
    async def enqueue_calls(self, calls: Sequence[Call[Any]]) -> list[JobHandle[Any]]: ...
    def enqueue_blocking(self, calls: Sequence[Call[Any]]) -> list[SyncJobHandle[Any]]: ...
    async def enqueue_inside(self, calls: Sequence[Call[Any]], connection: object) -> list[JobHandle[Any]]:
        """Unlike the others, on the loop that the connection is used on."""
        ...

    def enqueue_inside_blocking(self, calls: Sequence[Call[Any]], connection: object) -> list[SyncJobHandle[Any]]: ...
    async def job(self, job_id: Any) -> Job: ...
    async def wait_job(self, job_id: Any, timeout: float | None) -> Job: ...
    async def cancel_job(self, job_id: Any) -> JobState: ...
    async def start_runs(self, calls: Sequence[WorkflowCall[Any]]) -> list[RunHandle[Any]]: ...
    async def run_of(self, run_id: Any) -> Run: ...
    async def wait_run(self, run_id: Any, timeout: float | None) -> Run: ...
    async def cancel_run(self, run_id: Any) -> RunState: ...
    async def signal_run(self, run_id: Any, name: str, payload: Any) -> Event: ...
    async def publish_event(self, name: str, payload: Any, key: str | None) -> Event: ...


_context_app: ContextVar[AppPort | None] = ContextVar("dispatch_app", default=None)
_open_apps: list[AppPort] = []
_opener: Callable[[], Awaitable[AppPort]] | None = None
_implicit: AppPort | None = None
_implicit_lock = threading.Lock()

_WAYS = (
    'Open one around the call (`async with Dispatch("sqlite:///dispatch.db"):`), call a verb of an app you hold '
    "(`app.enqueue(...)`), or set `auto_open = true`"
)


def install_opener(opener: Callable[[], Awaitable[AppPort]] | None) -> Callable[[], Awaitable[AppPort]] | None:
    """Tells how the implicit app is opened (`import dispatch` does; tests say otherwise); answers the way until now."""
    global _opener
    before, _opener = _opener, opener
    return before


def implicit_app() -> AppPort | None:
    """The implicit app while it is open."""
    return _implicit


def app_opened(app: AppPort) -> None:
    """An app says that it is open."""
    _open_apps.append(app)


def app_closed(app: AppPort) -> None:
    """An app says that it is closed."""
    global _implicit
    if app in _open_apps:
        _open_apps.remove(app)
    if app is _implicit:
        _implicit = None


@contextmanager
def using_app(app: AppPort) -> Iterator[None]:
    """Makes `app` the one that the block, and every task it starts, means."""
    token = _context_app.set(app)
    try:
        yield
    finally:
        _context_app.reset(token)


def open_app() -> AppPort | None:
    """The app of this context, or the one open app, or the implicit one if it is open; an error among several."""
    app = _context_app.get()
    if app is not None and (app in _open_apps or app is _implicit):
        return app
    if len(_open_apps) > 1:
        raise NoOpenApp(f"{len(_open_apps)} apps are open and none of them is running this code. {_WAYS}")
    return _open_apps[0] if _open_apps else _implicit


def _open_implicit() -> AppPort:
    """Opens the implicit app on the background loop; runs on any thread but that loop's."""
    global _implicit
    with _implicit_lock:
        if _implicit is None:
            if _opener is None:
                raise NoOpenApp(f"No app is open. {_WAYS}")
            _implicit = run_on(portal.loop, _opener).result()
        return _implicit


async def app_here() -> AppPort:
    """The app that is meant here, opened if it is the implicit one."""
    app = open_app()
    return await asyncio.to_thread(_open_implicit) if app is None else app


async def on_app(act: Callable[[AppPort], Awaitable[T]]) -> T:
    """Awaits `act(app)` on the loop of the app that is meant here."""
    app = await app_here()
    return await bridge(app.loop, lambda: act(app))


def app_for_blocking() -> AppPort:
    """The app that is meant by code that runs on no loop; SyncInAsync elsewhere."""
    refuse_in_loop()
    return open_app() or _open_implicit()


def _after_fork() -> None:
    global _implicit, _implicit_lock
    _implicit = None
    _implicit_lock = threading.Lock()
    _open_apps.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
