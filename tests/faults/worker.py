"""`python -m faults.worker`: one worker process on one store."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import cast

from dispatch import Config, Dispatch
from dispatch.engine.opening import open_patiently
from dispatch.engine.run import RunOptions, WorkerReady, run_worker
from dispatch.store import Store
from dispatch.stores import open_store

from . import ceiling, work
from .events import EventLog
from .recording import RecordingStore


async def main(options: argparse.Namespace) -> None:
    """Works until a signal ends it, and says what it did."""
    log = EventLog(options.log)
    work.log_to(log)
    store = RecordingStore(open_store(options.store, namespace=options.namespace), log)
    config = Config(
        lease=options.lease,
        heartbeat_interval=options.heartbeat,
        grace=options.grace,
        max_crashes=options.max_crashes,
    )

    def ready(worker: WorkerReady) -> None:
        log.add("ready", worker=worker.engine.worker_id)

    app = Dispatch(cast("Store", store), config=config, registry=work.registry)
    await open_patiently(app)
    async with app:
        obeying = asyncio.create_task(ceiling.obey(options.full, store.everyone)) if options.full else None
        chosen = RunOptions(queues={"default": 0}, concurrency=options.concurrency, on_ready=ready)
        report = await run_worker(app, chosen)
        if obeying is not None:
            obeying.cancel()
        log.add("exit", **asdict(report))


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", required=True)
    parser.add_argument("--namespace", default="dispatch")
    parser.add_argument("--log", required=True)
    parser.add_argument("--concurrency", type=int, default=20)
    parser.add_argument("--lease", type=float, default=2.0)
    parser.add_argument("--heartbeat", type=float, default=0.4)
    parser.add_argument("--grace", type=float, default=25.0)
    parser.add_argument("--max-crashes", type=int, default=3)
    parser.add_argument("--full", type=Path, help="the disk is full while this file exists")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    asyncio.run(main(parse(sys.argv[1:])))
