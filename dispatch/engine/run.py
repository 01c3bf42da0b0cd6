"""Runs a worker until something ends it: a signal, a drain request, an empty queue (--burst), a limit."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from dispatch.clock import utc_now
from dispatch.current import using_app
from dispatch.engine.cut_short import cut_short_by
from dispatch.engine.engine import Engine
from dispatch.entity import LARGEST_PAGE
from dispatch.errors import StoreError
from dispatch.jobs.model import WAITING, JobKind, JobState, ListOptions

if TYPE_CHECKING:
    from dispatch.app import Dispatch

_LOOK = 0.05
_NEAR = timedelta(seconds=60)
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """What a worker says once it claims."""

    engine: Engine


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run a worker; None means "as configured"."""

    queues: Mapping[str, int] | None = None
    """Queue → slots (0: no cap of its own)."""
    concurrency: int | None = None
    burst: bool = False
    """Stop once its queues hold nothing running, nothing due that it knows, and no retry due within a minute."""
    grace: float | None = None
    max_jobs: int | None = None
    max_memory: int | None = None
    """Bytes of resident memory after which the worker stops gracefully."""
    name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    cron: bool = True
    """Campaign for leadership and fire cron entries."""
    jobs: bool = True
    """Run jobs; without, the worker only fires cron entries."""
    signals: bool = True
    """Handle SIGTERM and SIGINT: the first stops gracefully, the second at once."""
    on_ready: Callable[[WorkerReady], None] | None = None
    on_engine: Callable[[Engine], None] | None = None
    """Told of the engine before it starts, to ask it for its health."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a worker did."""

    completed: int
    failed: int
    retried: int
    cancelled: int
    released: int
    """Jobs given back unfinished, uncounted."""
    stale: int
    stolen: int
    reason: str
    """signal, burst, max_jobs, max_memory, drain, stopped, or died."""


async def run_worker(
    app: Dispatch, options: RunOptions | None = None, *, stop: asyncio.Event | None = None
) -> RunReport:
    """Runs a worker of an open app until it is told to stop; raises what killed one of its loops."""
    chosen = options or RunOptions()
    ending = _Ending(stop or asyncio.Event())
    engine = app.build_engine(
        queues=chosen.queues,
        concurrency=chosen.concurrency,
        max_jobs=chosen.max_jobs,
        name=chosen.name or "",
        labels=chosen.labels,
        targets=chosen.targets,
        cron=chosen.cron,
        jobs=chosen.jobs,
        on_drain=lambda: ending.end("drain"),
        on_death=ending.died,
    )
    if chosen.on_engine is not None:
        chosen.on_engine(engine)
    with ending.signals() if chosen.signals else contextlib.nullcontext():
        try:
            with using_app(app):
                async with cut_short_by(ending.stop):
                    await engine.start(patient=not chosen.burst)
            if chosen.on_ready is not None and engine.running:
                chosen.on_ready(WorkerReady(engine))
            while not ending.stop.is_set():
                reason = await _reason_to_stop(app, engine, chosen)
                if reason:
                    ending.end(reason)
                    break
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK if chosen.burst or chosen.max_jobs else 1.0):
                        await ending.stop.wait()
        finally:
            await engine.stop(chosen.grace, hurry=ending.hurry)
    if ending.error is not None:
        raise ending.error
    tally = engine.tally
    return RunReport(
        completed=tally.completed,
        failed=tally.failed,
        retried=tally.retried,
        cancelled=tally.cancelled,
        released=tally.released,
        stale=tally.stale,
        stolen=tally.stolen,
        reason=ending.reason,
    )


class _Ending:
    """Why and how fast the worker ends."""

    def __init__(self, stop: asyncio.Event) -> None:
        self.stop = stop
        self.hurry = asyncio.Event()
        self.reason = "stopped"
        self.error: BaseException | None = None

    def end(self, reason: str) -> None:
        if not self.stop.is_set():
            self.reason = reason
        self.stop.set()

    def died(self, error: BaseException) -> None:
        self.error = error
        self.end("died")

    def on_signal(self) -> None:
        if self.stop.is_set():
            self.hurry.set()
        self.end("signal")

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.on_signal)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


async def _reason_to_stop(app: Dispatch, engine: Engine, options: RunOptions) -> str:
    if options.max_jobs is not None and engine.tally.ended >= options.max_jobs:
        return "max_jobs"
    if options.max_memory is not None and resident_bytes() > options.max_memory:
        return "max_memory"
    if options.burst and engine.idle:
        try:
            return "burst" if await _nothing_left(app, engine) else ""
        except StoreError:  # busy, say: its loops complain of it, and the next look may answer
            return ""
    return ""


async def _nothing_left(app: Dispatch, engine: Engine) -> bool:
    queues, names = tuple(engine.settings.queues), tuple(engine.info.names)
    now = utc_now()
    for queue in queues:
        info = await app.store.queues.get(queue)
        if info.running:
            return False
        held_up = info.pause is None and info.oldest_due_at is not None and info.oldest_due_at <= now
        if held_up and await _waiting(app, WAITING, (queue,), names, until=now):
            return False  # due, but a limit or rate of the queue lets it wait
    return not await _waiting(app, (JobState.RETRYING,), queues, names, until=now + _NEAR) and engine.idle


async def _waiting(
    app: Dispatch, states: Collection[JobState], queues: tuple[str, ...], names: tuple[str, ...], *, until: datetime
) -> bool:
    """Whether a job of these waits that is due by then; looks at every page, which a drained queue has few of."""
    kinds: tuple[JobKind, ...] = ("job", "workflow")
    options = ListOptions(states=tuple(states), queues=queues, names=names, kinds=kinds, limit=LARGEST_PAGE)
    while True:
        page = await app.store.jobs.list(options)
        if any(job.run_at <= until for job in page.items):
            return True
        if page.next_cursor is None:
            return False
        options = replace(options, cursor=page.next_cursor)


def resident_bytes() -> int:
    """The memory this process holds now (its peak where the system does not tell)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
