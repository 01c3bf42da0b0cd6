"""The probe of `dispatch run`: one worker answers for itself, a parent of several for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from dispatch.clock import boot_seconds
from dispatch_cli.failures import CommandError

if TYPE_CHECKING:
    from dispatch import Dispatch
    from dispatch.api.probe import Demanded
    from dispatch.engine.engine import Engine
    from dispatch.services.scale import Demand

Document = dict[str, Any]

_EVERY = 1.0
"""Seconds between two words of a child to its parent."""
_SILENT = 30.0
"""Seconds of silence after which a child counts as stuck."""


def address_of(text: str, *, option: str = "--probe") -> tuple[str, int]:
    """Host and port; a usage error says how to write them.

    >>> address_of("127.0.0.1:8080"), address_of("[::1]:80")
    (('127.0.0.1', 8080), ('::1', 80))
    """
    host, separator, port = text.rpartition(":")
    if not separator or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise CommandError(f"{option} {text!r} is no address: write HOST:PORT, such as 0.0.0.0:8080")
    return host.removeprefix("[").removesuffix("]"), int(port)


def measured(app: Dispatch) -> Callable[[], bytes]:
    """Makes an app that is not open yet measure itself for /metrics; answers what reads it."""
    from dispatch.errors import ConfigError, DispatchError

    trouble: DispatchError
    if app.meter_provider is not None:
        trouble = ConfigError("the app's measurements go to its own meter provider, which exports them")
    else:
        try:
            from dispatch.api.metrics import PrometheusText

            found = PrometheusText()
        except DispatchError as error:
            trouble = error
        else:
            app.measure_with(found.provider)
            return found.text

    def refuse() -> bytes:
        raise trouble

    return refuse


class OwnHealth:
    """What a worker says of itself; before its engine is made it says that it starts."""

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def heard(self, engine: Engine) -> None:
        """Hears of the engine."""
        self._engine = engine

    def document(self) -> Document:
        from dispatch.engine.health import STARTING

        engine = self._engine
        found = STARTING if engine is None else engine.health()
        worker = None if engine is None else str(engine.worker_id)
        return {"live": found.live, "ready": found.ready, "reasons": list(found.reasons), "worker_id": worker}


def demanded(app: Dispatch) -> Demanded:
    """What answers how many workers the app's store calls for."""
    from dispatch.services.scale import read_demand

    async def read(slots: int | None, queues: Sequence[str]) -> Demand:
        return await read_demand(app.store, slots=slots or app.config.concurrency, queues=queues)

    return read


@asynccontextmanager
async def served(
    text: str,
    ask: Callable[[], Mapping[str, Any]],
    measure: Callable[[], bytes] | None = None,
    demand: Demanded | None = None,
) -> AsyncIterator[None]:
    """The probe at the address in `text`, inside the block."""
    from dispatch.api.probe import probe
    from dispatch_cli import banner

    async with probe(*address_of(text), ask, measure, demand) as (host, port):
        banner.announce_probe(host, port)
        yield


@asynccontextmanager
async def reported(
    own: OwnHealth,
    *,
    probe: str | None,
    descriptor: int | None,
    measure: Callable[[], bytes] | None = None,
    demand: Demanded | None = None,
) -> AsyncIterator[None]:
    """Inside, the worker's health is answered for, or told to the parent, or neither."""
    async with contextlib.AsyncExitStack() as stack:
        if probe is not None:
            await stack.enter_async_context(served(probe, own.document, measure, demand))
        if descriptor is not None:
            await stack.enter_async_context(told_to(descriptor, own.document))
        yield


@asynccontextmanager
async def told_to(descriptor: int, ask: Callable[[], Document]) -> AsyncIterator[None]:
    """In a child: tells the parent through a pipe how it is, again and again, inside the block."""

    async def tell() -> None:
        os.set_blocking(descriptor, False)
        while True:
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                os.write(descriptor, json.dumps(ask()).encode() + b"\n")
            await asyncio.sleep(_EVERY)

    task = asyncio.create_task(tell(), name="dispatch health")
    try:
        yield
    finally:
        task.cancel()


class Household:
    """In a parent: the latest word of each child."""

    def __init__(self, count: int) -> None:
        self._words: dict[int, tuple[Document, float]] = {}
        self._count = count

    async def listen(self, member: int, descriptor: int) -> None:
        """Hears one child until its end of the pipe is closed."""
        reader = asyncio.StreamReader()
        pipe = os.fdopen(descriptor, "rb", 0)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
        try:
            async for line in reader:
                self._words[member] = (json.loads(line), boot_seconds())
        finally:
            self._words.pop(member, None)
            transport.close()

    def document(self) -> Document:
        now = boot_seconds()
        return together({member: (word, now - at) for member, (word, at) in self._words.items()}, self._count)


def together(words: Mapping[int, tuple[Document, float]], count: int) -> Document:
    """One health of several: live while each that speaks is, ready once one is. Ages in seconds."""
    workers = []
    for member in range(1, count + 1):
        word, age = words.get(member, ({"live": True, "ready": False, "reasons": ["starting"], "worker_id": None}, 0.0))
        if age > _SILENT:
            word = {**word, "live": False, "ready": False, "reasons": [f"silent for {age:.0f} s"]}
        workers.append({"member": member, **word})
    return {
        "live": all(word["live"] for word in workers),
        "ready": any(word["ready"] for word in workers),
        "reasons": [f"{word['member']}: {reason}" for word in workers for reason in word["reasons"]],
        "workers": workers,
    }
