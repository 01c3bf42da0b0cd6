"""The app for tests: in memory, with a clock that the test moves and a worker that runs when it is told to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dispatch import current
from dispatch.app import Dispatch
from dispatch.app.stores import cron_defaults
from dispatch.backoff import Strategy
from dispatch.clock import Duration, ManualClock, seconds, utc_now
from dispatch.config import Config
from dispatch.errors import UsageError, WaitTimeout
from dispatch.ids import JobID, RunID
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.handler import Middleware
from dispatch.jobs.model import Job
from dispatch.portal import bridge
from dispatch.queues import QueueConfig
from dispatch.registry import Registry
from dispatch.services.cron_specs import specs_of
from dispatch.stores.memory import MemoryStore
from dispatch.testing.driver import Driver, driven
from dispatch.testing.enqueued import EnqueuedCall, enqueued_calls
from dispatch.testing.report import ATTEMPTS, WorkDone
from dispatch.testing.sync_app import SyncMemoryApp
from dispatch.workflows.model import Run

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider


class MemoryApp(Dispatch):
    """A Dispatch over a store in memory whose jobs run only in `run_until_idle` and `travel`.

    Args:
        registry: whose jobs it runs (default: the one that `@job` fills).
        start: where its clock begins (aware; default: now).
        config: default: Dispatch's own defaults, whatever the environment and ./dispatch.toml say.
        queues: what to serve (default: every queue that holds jobs).
        concurrency, middleware, plugins, backoff, queue_config, logger, meter_provider, tracer_provider: see Dispatch.

    >>> async with MemoryApp(registry) as app:  # doctest: +SKIP
    ...     handle = await send_email.enqueue(Email(to="ada@example.com"))
    ...     assert await app.run_until_idle() == WorkDone(completed=1)
    """

    def __init__(
        self,
        registry: Registry | None = None,
        *,
        start: datetime | None = None,
        config: Config | None = None,
        concurrency: int | None = None,
        queues: Sequence[str] | None = None,
        middleware: Sequence[Middleware] = (),
        plugins: Sequence[object] = (),
        backoff: Strategy | None = None,
        queue_config: Sequence[QueueConfig] = (),
        logger: logging.Logger | None = None,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        if start is not None and start.tzinfo is None:
            raise UsageError("start has no time zone; use an aware datetime, such as datetime(2026, 1, 1, tzinfo=UTC)")
        self.clock = ManualClock(start if start is not None else utc_now())
        super().__init__(
            MemoryStore(clock=self.clock),
            config=config if config is not None else Config(),
            registry=registry,
            concurrency=concurrency,
            queues=queues,
            middleware=middleware,
            plugins=plugins,
            backoff=backoff,
            queue_config=queue_config,
            logger=logger,
            meter_provider=meter_provider,
            tracer_provider=tracer_provider,
        )
        self._driver: Driver | None = None
        self._turn = asyncio.Lock()

    def now(self) -> datetime:
        """What its clock shows."""
        return self.clock.now()

    async def run_until_idle(self, *, raise_errors: bool = False, limit: int = ATTEMPTS) -> WorkDone:
        """Runs what is due now until nothing is due or running, hooks included; the clock stands still.

        Args:
            raise_errors: raise what the first failing attempt raised (Retry, Snooze and Fail are no failures).
            limit: how many attempts it may take.

        Raises:
            UsageError: inside a job or hook, beside a started worker, or after more than `limit` attempts.
        """
        return await self.travel(0, raise_errors=raise_errors, limit=limit)

    async def travel(self, delta: Duration, *, raise_errors: bool = False, limit: int = ATTEMPTS) -> WorkDone:
        """Moves the clock forward by `delta` (timedelta, seconds or "3d"), stopping at each moment at which something
        becomes due (run_at, a retry, the end of a pause, a tick of a cron entry) to run it. Args and errors
        as `run_until_idle`."""
        span = delta if isinstance(delta, timedelta) else timedelta(seconds=seconds(delta))
        if span < timedelta(0):
            raise UsageError(f"travel({delta!r}) leads back in time; make the app with an earlier `start` instead")
        if driven():
            raise UsageError("a job or hook cannot run the app that runs it; enqueue, and return")
        if self.engine is not None:
            raise UsageError(
                "a worker was started with app.start(), which runs jobs by itself; `await app.stop()` first"
            )
        return await bridge(self.loop, lambda: self._run(span, raise_errors=raise_errors, limit=limit))

    def enqueued(self, which: JobDefinition[..., Any] | str | None = None) -> list[EnqueuedCall]:
        """The calls enqueued so far of one job (definition or name) or of all, oldest first, waiting or ended.

        Raises InvalidArguments when no job has that name.
        """
        return enqueued_calls(self.store, self.registry, which)

    async def wait_job(self, job_id: JobID, timeout: float | None) -> Job:
        """The job once it has ended. Nobody else would run it, so this runs what is due, and raises WaitTimeout at once
        if the job waits for a later time."""
        if self.engine is not None or self._turn.locked() or driven():
            return await super().wait_job(job_id, timeout)
        await self.run_until_idle()
        job = await self.job(job_id)
        if not job.state.terminal:
            raise WaitTimeout(
                f"{job.name} ({job_id}) is {job.state}, due at {job.run_at:%Y-%m-%d %H:%M:%S} UTC; it is "
                f"{self.now():%Y-%m-%d %H:%M:%S}. Move the clock with `await app.travel(...)`"
            )
        return job

    async def wait_run(self, run_id: RunID, timeout: float | None) -> Run:
        """The run once it has ended. Nobody else would play it, so this runs what is due, and raises WaitTimeout at
        once if the run waits for an event or a later time."""
        if self.engine is not None or self._turn.locked() or driven():
            return await super().wait_run(run_id, timeout)
        await self.run_until_idle()
        run = await self.run_of(run_id)
        if not run.state.terminal:
            waits = ", ".join(name for wait in await self.workflows.waits(run_id) for name in wait.events)
            due = f", until {run.wakes_at:%Y-%m-%d %H:%M:%S} UTC" if run.wakes_at else ""
            raise WaitTimeout(
                f"{run.name} ({run_id}) is {run.state}{f', for {waits}' if waits else ''}{due}; it is "
                f"{self.now():%Y-%m-%d %H:%M:%S}. Publish what it waits for, or `await app.travel(...)`"
            )
        return run

    async def close(self) -> None:
        """Cancels what runs, leaves the lifespans, and closes as Dispatch does."""
        driver, self._driver = self._driver, None
        try:
            if driver is not None:
                await driver.stop()
        finally:
            await super().close()

    @property
    def sync(self) -> SyncMemoryApp:
        """The same app for synchronous code."""
        return SyncMemoryApp(self)

    async def _run(self, span: timedelta, *, raise_errors: bool, limit: int) -> WorkDone:
        async with self._turn:
            if self._driver is None:
                driver = self._made_driver()
                try:
                    await driver.start()
                except BaseException:
                    await driver.stop()
                    raise
                self._driver = driver
            return await self._driver.run(self.now() + span, raise_errors=raise_errors, limit=limit)

    def _made_driver(self) -> Driver:
        plan = self.build_engine()
        with current.using_app(self):
            return Driver(
                self.store,
                clock=self.clock,
                registry=self.served_registry,
                plugins=self.plugins,
                middleware=self._extensions.middleware,
                settings=plan.settings,
                info=plan.info,
                every_queue=not (self._queues or self.config.queues),
                environment=self._child_environment(),
                crons=specs_of(self.registry.crons.values(), defaults=cron_defaults(self.config)),
                prepare=self.jobs.prepared,
                telemetry=self._extensions.telemetry,
                guests=self._extensions.services,
                logger=self._logger.getChild("testing"),
            )
