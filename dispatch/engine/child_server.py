"""Runs, in a worker subprocess, one job after the other: the main thread works, a second one listens to the worker."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any, NoReturn

from dispatch.engine.child_documents import Place, job_of, raised_document
from dispatch.engine.child_frames import Channel, FrameTooLarge, Header
from dispatch.engine.child_lookup import Lookup
from dispatch.engine.child_resources import Resources
from dispatch.engine.outcome import Raised, Wish, first, observe
from dispatch.errors import HandlerCrashed, InvalidArguments
from dispatch.jobs.context import JobContext, enter_job
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.model import Failure, Job
from dispatch.registry import Registry
from dispatch.scope import restore

Answer = tuple[Header, bytes]


def serve(descriptor: int) -> None:
    """Answers the worker's jobs until it closes the connection."""
    channel = Channel(descriptor)
    hello = channel.receive()
    if hello is not None:
        sys.path[:] = hello[0]["path"]
        with asyncio.Runner() as runner:
            Server(channel, hello[0], runner).run()


class Server:
    """The subprocess's loop. Between jobs the event loop runs, so that what lifespans hold open stays alive."""

    def __init__(self, channel: Channel, hello: Header, runner: asyncio.Runner) -> None:
        self._channel = channel
        self._targets: list[str] = hello["targets"]
        self._folder: str | None = hello["folder"]
        self._limit: int = hello["traceback_limit"]
        self._runner = runner
        self._inbox: asyncio.Queue[Answer | None] = asyncio.Queue()
        self._busy = threading.Event()
        self._job: Job | None = None
        self._lookup: Lookup | None = None
        self._resources = Resources()

    def run(self) -> None:
        """Works until the worker is gone or wants no more."""
        loop = self._runner.get_loop()
        threading.Thread(target=self._listen, args=(loop,), name="dispatch-worker-link", daemon=True).start()
        while (request := self._runner.run(self._inbox.get())) is not None:
            answer, body = self._answer(*request)
            _flush()
            self._job = None
            self._busy.clear()
            with _gone_means_end():
                try:
                    self._channel.send(answer, body)
                except FrameTooLarge as error:
                    self._channel.send(_refused("ResultNotStorable", str(error), "result_not_storable"))
        self._runner.run(self._resources.close())

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        while (frame := self._channel.receive()) is not None:
            self._busy.set()
            loop.call_soon_threadsafe(self._inbox.put_nowait, frame)
        if self._busy.is_set():
            _end_at_once()
        loop.call_soon_threadsafe(self._inbox.put_nowait, None)

    def _answer(self, request: Header, payload: bytes) -> Answer:
        with _gone_means_end():
            self._channel.send({"kind": "started"})
        job = job_of(request["job"], payload)
        try:
            registry, definition = self._find(Place(**request["place"]))
            if not self._resources.ready(registry):
                self._runner.run(self._resources.enter(registry))
        except BaseException as error:
            return {"kind": "unfit", "raised": raised_document(observe(error, None, limit=self._limit))}, b""
        return self._work(job, registry, definition)

    def _find(self, place: Place) -> tuple[Registry, JobDefinition[..., Any]]:
        if self._lookup is None:
            self._lookup = Lookup(self._targets, None if self._folder is None else Path(self._folder))
        lookup = self._lookup
        if place.main and not lookup.known(place):
            # Inside the loop, so that a program which is not guarded by `__name__` fails to start itself once more.
            return self._runner.run(_inside(lambda: lookup.find(place)))
        return lookup.find(place)

    def _work(self, job: Job, registry: Registry, definition: JobDefinition[..., Any]) -> Answer:
        try:
            args, kwargs = definition.signature.load(job.payload)
        except InvalidArguments as error:
            return _refused("InvalidArguments", str(error), "invalid_payload"), b""
        context = JobContext(job, resources=self._resources.of(registry), progress=self._progress)
        context.arguments = (args, kwargs)
        self._job = job
        around = copy_context()
        around.run(enter_job, context)
        around.run(restore, job.scope)
        try:
            if definition.is_async:
                value = self._runner.run(_caught(definition.function, args, kwargs), context=around).value()
            else:
                value = around.run(definition.function, *args, **kwargs)
        except Exception as error:
            return _raised(observe(error, definition, limit=self._limit)), b""
        except BaseException as error:
            crash = HandlerCrashed(
                f"{job.name} ({job.id}) raised {type(error).__name__}({error}), which would have ended the subprocess; "
                "a handler ends its job with an Exception, for good with dispatch.Fail"
            )
            crash.__cause__ = error
            return _raised(observe(crash, definition, limit=self._limit)), b""
        if not first(job.keep_result, definition.settings.keep_result, True):
            return {"kind": "result"}, b"null"
        try:
            return {"kind": "result"}, definition.signature.dump_result(value)
        except TypeError as error:
            return _refused("ResultNotStorable", str(error), "result_not_storable"), b""

    def _progress(self, job: Job, fraction: float, note: str | None) -> None:
        if job is not self._job:
            return  # a thread or task that outlived its job
        with _gone_means_end():
            self._channel.send({"kind": "progress", "fraction": fraction, "note": note})


class _Outcome:
    """What a coroutine returned or raised; even SystemExit, which would stop the event loop on its way."""

    def __init__(self, returned: Any, error: BaseException | None) -> None:
        self._returned = returned
        self._error = error

    def value(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._returned


async def _caught(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> _Outcome:
    try:
        return _Outcome(await function(*args, **kwargs), None)
    except BaseException as error:
        return _Outcome(None, error)


async def _inside(
    work: Callable[[], tuple[Registry, JobDefinition[..., Any]]],
) -> tuple[Registry, JobDefinition[..., Any]]:
    return work()


@contextlib.contextmanager
def _gone_means_end() -> Iterator[None]:
    try:
        yield
    except OSError:
        _end_at_once()


def _end_at_once() -> NoReturn:
    """The worker is gone, and its claim with it: ends this process and what the job started."""
    os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def _raised(raised: Raised) -> Header:
    return {"kind": "raised", "raised": raised_document(raised)}


def _refused(kind: str, message: str, reason: str) -> Header:
    return _raised(Raised(Failure(kind, message), Wish.FAIL, reason=reason))
