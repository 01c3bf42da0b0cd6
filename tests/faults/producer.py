"""Enqueues and logs what was asked and what was acknowledged; `python -m faults.producer` does so in a tight loop."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from dispatch import Config, Dispatch
from dispatch.errors import StoreError
from dispatch.jobs.definition import Call
from dispatch.store import Store
from dispatch.stores import open_store

from . import ceiling, work
from .events import EventLog
from .recording import RecordingStore

BATCH = 500


def naps(prefix: str, count: int, ms: int) -> list[tuple[str, Call[Any]]]:
    """(serial, call) of that many naps, every second one in a thread."""
    kinds = (work.nap, work.thread_nap)
    serials = [f"{prefix}-{number}" for number in range(count)]
    return [(serial, kinds[n % 2].options(idempotency_key=serial).call(serial, ms)) for n, serial in enumerate(serials)]


async def enqueue(app: Dispatch, log: EventLog, calls: Sequence[tuple[str, Call[Any]]]) -> None:
    """Enqueues all calls in batches, each logged before and after."""
    for start in range(0, len(calls), BATCH):
        batch = calls[start : start + BATCH]
        log.add("asked", serials=[serial for serial, _ in batch])
        handles = await app.enqueue_calls([call for _, call in batch])
        jobs = [(serial, handle.id) for (serial, _), handle in zip(batch, handles, strict=True)]
        log.add("acked", jobs=jobs)


async def main(options: argparse.Namespace) -> None:
    """Enqueues one job after the other until SIGTERM; one that the store refuses is repeated until it is taken."""
    log = EventLog(options.log)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    store = RecordingStore(open_store(options.store, namespace=options.namespace), log)
    async with Dispatch(cast("Store", store), config=Config(), registry=work.registry) as app:
        obeying = asyncio.create_task(ceiling.obey(options.full, store.everyone)) if options.full else None
        log.add("producing")
        number = 0
        while not stop.is_set():
            calls = naps(f"{options.prefix}-{number}", 1, options.ms)
            try:
                await enqueue(app, log, calls)
            except StoreError as error:
                log.add("refused", serials=[calls[0][0]], error=type(error).__name__, message=str(error))
                await asyncio.sleep(options.pause)
            else:
                number += 1
        if obeying is not None:
            obeying.cancel()
    log.add("produced", count=number)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", required=True)
    parser.add_argument("--namespace", default="dispatch")
    parser.add_argument("--log", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--ms", type=int, default=10)
    parser.add_argument("--pause", type=float, default=0.05, help="seconds after a refusal")
    parser.add_argument("--full", type=Path, help="the disk is full while this file exists")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    asyncio.run(main(parse(sys.argv[1:])))
