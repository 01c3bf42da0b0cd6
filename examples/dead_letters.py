"""A payment provider is down: retries, dead letters, a repair and a replay in one script. `python dead_letters.py`

No payment is booked twice, whatever is repeated: the ledger knows each effect_key.
"""

from __future__ import annotations

import asyncio
import logging

from dispatch import Dispatch, Fail, Retry, backoff, current_job, job
from dispatch.errors import AlreadyReplayed, JobFailed
from dispatch.jobs.model import CountOptions, JobState

LEDGER: dict[str, int] = {}


class Provider:
    """A stand-in for somebody else's service."""

    up = False

    @classmethod
    def book(cls, key: str, cents: int) -> None:
        if not cls.up:
            raise ConnectionError("the provider does not answer")
        LEDGER.setdefault(key, cents)


@job(queue="payments", max_retries=2, backoff=backoff.Constant(0.01))
async def charge(customer: str, cents: int) -> str:
    """Books a payment once, however often it is tried."""
    if cents <= 0:
        raise Fail(f"{cents} cents cannot be charged", dead_letter=False)
    if cents > 100_000 and current_job().attempt == 1:
        raise Retry("large sums are tried a little later", delay=0.02)
    Provider.book(current_job().effect_key, cents)
    return f"{customer} paid {cents}"


async def main() -> None:
    async with Dispatch("memory://") as app:
        await app.start()
        calls = [charge.call("ada", 450), charge.call("grace", 250_000), charge.call("nobody", 0)]
        handles = await charge.enqueue_many(calls)
        for handle in handles:
            try:
                print(await handle.result(timeout=10))
            except JobFailed as error:
                row = await handle.job()
                print(f"{row.reason} after {row.failures} attempts: {error.type}: {row.error and row.error.message}")

        for group in await app.dlq.groups():
            print(f"{group.count} dead letters of {group.job_name} with {group.error_type}")

        Provider.up = True
        print("the provider is back")
        replayed = []
        async for entry in app.dlq.each():
            job_id = await app.dlq.replay(entry.id)
            replayed.append(job_id)
            try:
                await app.dlq.replay(entry.id)
            except AlreadyReplayed:
                print("a second replay is refused")
        for job_id in replayed:
            await app.jobs.wait(job_id, timeout=10)

        counts = await app.jobs.count(CountOptions(queues=("payments",)))
        print(f"{counts[JobState.COMPLETED]} completed, {counts[JobState.FAILED]} failed, {await app.dlq.count()} open")
        print(f"booked: {sorted(LEDGER.values())}")


if __name__ == "__main__":
    logging.getLogger("dispatch").setLevel(logging.CRITICAL)  # the script itself tells what fails
    asyncio.run(main())
