"""A process that does work and knows nothing of anybody who listens: enqueues so many jobs and runs them."""

from __future__ import annotations

import asyncio
import sys

from dispatch import Config, Dispatch, Registry
from dispatch.backoff import Constant
from dispatch.jobs.model import WAITING, CountOptions, JobState

registry = Registry()


@registry.job(queue="mine", max_retries=2, backoff=Constant("10ms"))
async def touch(number: int, worker: str) -> None:
    if number % 10 == 0:
        from dispatch import current_job

        if current_job().attempt == 1:
            raise ValueError("the first time it fails")


async def main(url: str, namespace: str, name: str, count: int) -> None:
    app = Dispatch(config=Config(store=url, namespace=namespace), registry=registry, concurrency=50)
    async with app:
        for first in range(0, count, 100):
            calls = [touch.call(number, name) for number in range(first, min(first + 100, count))]
            await app.enqueue_calls(calls)
        await app.start()
        while True:
            counts = await app.store.jobs.count(CountOptions(names=("touch",)))
            if not any(counts.get(state) for state in WAITING | {JobState.RUNNING}):
                return
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    url, namespace, name, count = sys.argv[1:]
    asyncio.run(main(url, namespace, name, int(count)))
