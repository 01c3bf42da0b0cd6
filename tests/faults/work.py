"""The jobs that the runs are made of; each says when it starts and when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from dispatch import Registry, current_job

from .events import EventLog

registry = Registry()
_log: list[EventLog] = []


def log_to(log: EventLog) -> None:
    """Where this process's handlers say what they do."""
    _log[:] = [log]


@contextlib.contextmanager
def observed(serial: str) -> Iterator[None]:
    """Logs the start and the end (or what broke it off) of the handler inside."""
    context, log = current_job(), _log[0]
    about = {
        "job": context.id,
        "name": context.name,
        "epoch": context.epoch,
        "attempt": context.attempt,
        "worker": context.job.worker_id,
        "serial": serial,
    }
    log.add("start", **about)
    try:
        yield
    except BaseException as error:
        log.add("broken_off", **about, error=repr(error))
        raise
    log.add("end", **about)


@registry.job
async def nap(serial: str, ms: int) -> str:
    """Sleeps on the loop; cancelled as soon as its lease is lost."""
    with observed(serial):
        await asyncio.sleep(ms / 1000)
    return serial


@registry.job
def thread_nap(serial: str, ms: int) -> str:
    """Sleeps in a thread, which nobody can stop: a zombie's comes to its end and writes."""
    with observed(serial):
        time.sleep(ms / 1000)
    return serial


@registry.job
async def block(serial: str, ms: int) -> str:
    """Blocks the event loop."""
    with observed(serial):
        time.sleep(ms / 1000)
    return serial


@registry.job
async def killer(serial: str, armed: str) -> str:
    """Kills its own process for as long as the file `armed` exists."""
    with observed(serial):
        if Path(armed).exists():
            _log[0].add("suicide", pid=os.getpid())
            os.kill(os.getpid(), signal.SIGKILL)
    return serial
