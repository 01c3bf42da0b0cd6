"""Timetables: a report for everybody, a digest for each tenant, a week in a moment. `python timetables.py`

The clock is moved by the program, so that a week takes a moment; in production `dispatch run` and time itself do that.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from dispatch import Registry, Scope, current_job
from dispatch.scope import capture
from dispatch.testing import app as testing_app

registry = Registry()


@registry.cron("0 3 * * *", name="nightly", timezone="Europe/Berlin")
async def nightly_report() -> None:
    print(f"report of {current_job().scheduled_at:%a %d %b, %H:%M} UTC")


@registry.job
async def digest(customers: int) -> None:
    print(f"digest for {capture().org_id}: {customers} customers")


async def main() -> None:
    # the last Sunday of October has 25 hours in Berlin; 03:00 comes once
    async with testing_app(registry, start=datetime(2026, 10, 23, 12, tzinfo=UTC)) as app:
        for tenant, customers in (("acme", 3), ("umbrella", 5)):
            scope = Scope(app_id="shop", org_id=tenant)
            await app.crons.create(f"{tenant}-digest", "0 8 * * mon", digest.call(customers), scope=scope)
        done = await app.travel("3d")
        print(f"{done.completed} jobs in three days")

        await app.crons.disable("nightly", reason="stocktaking")
        done = await app.travel("4d")
        print(f"{done.completed} jobs while the report is disabled")

        await app.crons.trigger("nightly")
        await app.run_until_idle()
        for tick in await app.crons.history("nightly"):
            print(f"{tick.scheduled_at:%d %b %H:%M} {tick.outcome}")


if __name__ == "__main__":
    asyncio.run(main())
