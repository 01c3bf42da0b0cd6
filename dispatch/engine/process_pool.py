"""Runs `executor="process"` jobs in worker subprocesses that are kept warm and killed when a job must stop."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from dispatch.engine.child_documents import job_document, place_of, raised_of
from dispatch.engine.child_frames import FrameTooLarge, Header
from dispatch.engine.child_process import ChildProcess, Death
from dispatch.engine.outcome import Raised, RemoteFailure, Stored, Wish, failure_of
from dispatch.jobs.context import JobContext
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.model import Failure, Job

_FAREWELL = 1.0


class ProcessPool:
    """At most `limit` subprocesses, started when needed; one job at a time each. It belongs to one event loop."""

    def __init__(
        self,
        *,
        limit: int,
        targets: Sequence[str] = (),
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        logger: logging.Logger,
        traceback_limit: int = 16 * 1024,
    ) -> None:
        self._slots = asyncio.Semaphore(limit)
        self._targets = list(targets)
        self._folder = folder
        self._environment = dict(environment or {})
        self._logger = logger
        self._traceback_limit = traceback_limit
        self._children: set[ChildProcess] = set()
        self._idle: list[ChildProcess] = []
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """The process ids of the living subprocesses, in rising order."""
        return sorted(child.pid for child in self._children if child.alive)

    async def run(self, job: Job, definition: JobDefinition[..., Any], context: JobContext) -> Stored:
        """Runs the job in a subprocess and returns its result; RemoteFailure tells what it raised, or how it died.

        Cancelled, it kills the subprocess and all it started, and re-raises once that is dead.
        """
        request = {"job": job_document(job), "place": asdict(place_of(definition))}
        async with self._slots:
            while True:
                child = await self._take()
                try:
                    answer, body = await child.call(request, job.payload, progress=context.progress)
                except Death as death:
                    self._children.discard(child)
                    if self._closed:
                        _stopped()
                    if child.served and not death.started:
                        self._logger.debug("subprocess %d %s while idle; another takes the job", child.pid, death.how)
                        continue
                    raise RemoteFailure(_died(death, job)) from None
                except FrameTooLarge as error:
                    self._idle.append(child)
                    raise RemoteFailure(Raised(Failure("PayloadTooLarge", str(error)), Wish.FAIL)) from None
                except BaseException:
                    context.cancel()
                    await self._kill(child)
                    raise
                return await self._settle(child, answer, body)

    async def close(self) -> None:
        """Lets idle subprocesses leave their lifespans, for a second at most, and kills the busy ones; reaps all."""
        self._closed = True
        children, idle = list(self._children), set(self._idle)
        self._idle.clear()
        for child in children:
            if child in idle:
                child.retire()
            else:
                child.kill()
        ends = [asyncio.create_task(child.gone()) for child in children]
        if ends:
            await asyncio.wait(ends, timeout=_FAREWELL)
        for child in children:
            child.kill()
        if ends:
            await asyncio.wait(ends)
        self._children.clear()

    async def _take(self) -> ChildProcess:
        if self._closed:
            _stopped()
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
            await self._kill(child)
        try:
            child = await ChildProcess.start(self._hello(), environment=self._environment)
        except OSError as error:
            raise RemoteFailure(Raised(failure_of(error, limit=self._traceback_limit))) from error
        self._children.add(child)
        if self._closed:
            await self._kill(child)
            _stopped()
        self._logger.debug("started the worker subprocess %d", child.pid)
        return child

    async def _settle(self, child: ChildProcess, answer: Header, body: bytes) -> Stored:
        if answer["kind"] == "unfit" or self._closed:
            await self._kill(child)
        else:
            self._idle.append(child)
        if answer["kind"] == "result":
            return Stored(body)
        raise RemoteFailure(raised_of(answer["raised"]))

    async def _kill(self, child: ChildProcess) -> None:
        child.kill()
        try:
            await child.gone()
        finally:
            self._children.discard(child)

    def _hello(self) -> Header:
        return {
            "path": [entry for entry in sys.path if isinstance(entry, str)],
            "targets": self._targets,
            "folder": None if self._folder is None else str(self._folder),
            "traceback_limit": self._traceback_limit,
        }


def _died(death: Death, job: Job) -> Raised:
    when = f"while it ran {job.name} ({job.id})" if death.started else f"before it could start {job.name} ({job.id})"
    if death.how.endswith("SIGKILL"):
        advice = (
            "if nobody killed it, it ran out of memory: see the kernel's log, and give it less to hold or more room"
        )
    elif death.started:
        advice = "a crash in native code, os._exit or a signal did that; its standard error may say more"
    else:
        advice = f"its standard error says why; `{Path(sys.executable).name} -m dispatch.engine.child` must be runnable"
    return Raised(Failure("WorkerProcessDied", f"subprocess {death.pid} {death.how} {when}; {advice}"))


def _stopped() -> NoReturn:
    """The worker has stopped: the job is given back uncounted."""
    raise RemoteFailure(Raised(Failure("WorkerStopped", "the worker stopped while the job ran"), Wish.SNOOZE))
