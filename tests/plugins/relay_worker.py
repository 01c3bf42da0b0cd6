"""A worker process with the relay, for the tests that kill it: `python relay_worker.py STORE NAMESPACE [die]`.

With "die" it ends, as by SIGKILL, right after the store has committed the outcome of a job.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from typing import Any

from dispatch_relay import RelayExtension
from dispatch_relay.addresses import Allowed
from dispatch_relay.sender import Sender

from dispatch import Config, Dispatch
from dispatch.registry import Registry

LOCAL = ["127.0.0.0/8"]
registry = Registry()


@registry.job(max_retries=0)
async def work(number: int) -> int:
    return number


def extension(timeout: float) -> RelayExtension:
    """The relay of the tests: quick retries, a short time limit, sinks on this machine."""
    return RelayExtension(
        allow_http=True,
        allow_hosts=LOCAL,
        retry_schedule=[timedelta(seconds=0.3)] * 50,
        sender=Sender(Allowed(LOCAL), timeout=timeout),
    )


def config(namespace: str) -> Config:
    """Short leases, and patience with workers that are killed."""
    return Config(
        namespace=namespace,
        migrate="auto",
        lease=timedelta(seconds=2),
        heartbeat_interval=timedelta(seconds=0.4),
        max_crashes=100,
        concurrency=20,
    )


def deadly(app: Dispatch) -> None:
    """Ends the process when an outcome has been committed."""
    finish = app.store.jobs.finish

    async def then_die(worker_id: Any, transitions: Any) -> Any:
        done = await finish(worker_id, transitions)
        os.kill(os.getpid(), signal.SIGKILL)
        return done

    app.store.jobs.finish = then_die  # type: ignore[method-assign]


async def main(store: str, namespace: str, *more: str) -> None:
    app = Dispatch(store, config=config(namespace), registry=registry, plugins=[extension(0.5)])
    if "die" in more:
        deadly(app)
    await app.start()  # opens it, too, and waits for a server that cuts it off
    async with app:
        print("started", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
