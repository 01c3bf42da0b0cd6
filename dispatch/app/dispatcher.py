"""Dispatch, the application object: open it to enqueue and administer, start it to run jobs."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

from dispatch import current
from dispatch.app.announce import announcements
from dispatch.app.extensions import Extensions
from dispatch.app.measured import measured
from dispatch.app.parts import Parts
from dispatch.app.stores import app_store_of, cron_defaults
from dispatch.app.sync import SyncApp
from dispatch.app.verbs import Verbs
from dispatch.backoff import Strategy
from dispatch.clock import Duration, seconds
from dispatch.cluster.elector import LeaderElector
from dispatch.config import Config, load
from dispatch.entity import shown
from dispatch.errors import ConfigError, NoOpenApp, NoStore, StoreAway
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.handle import JobHandle
from dispatch.jobs.handler import Middleware
from dispatch.portal import bridge, portal, run_sync
from dispatch.queues import QueueConfig
from dispatch.queues.model import checked
from dispatch.registry import Registry, default_registry
from dispatch.services.cron_specs import specs_of
from dispatch.store import Store
from dispatch.telemetry import Telemetry

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from dispatch.engine.engine import Engine
    from dispatch.engine.run import RunOptions, RunReport

P = ParamSpec("P")
R = TypeVar("R")
_CONFIGURED = "configured"


class Dispatch(Verbs):
    """An application of Dispatch: open it to enqueue and administer, start it to run jobs.

    Args:
        store: a URL such as "sqlite:///dispatch.db" or "memory://", or a Store; by default what the configuration says.
        config: a Config; by default the one that the environment and ./dispatch.toml describe.
        registry: whose definitions it runs and announces (default: the one that `@job` fills).
        concurrency: jobs at once in a worker. queues: the queues a worker serves (default: all that are known).
        middleware: put around every job, inside Dispatch's own. plugins: objects or modules with `@hookimpl` functions.
        backoff: the strategy for jobs without their own. queue_config: limits stored when the app opens.
        leader_elector: decides which worker fires cron entries (default: the store's own election).
        logger: the parent of what the engine logs (default: `dispatch`).
        meter_provider, tracer_provider: OpenTelemetry providers (default: the process's own, if it set any).

    Raises:
        NoStore: `store` is None. ConfigError: the configuration is wrong.

    >>> async with Dispatch("memory://") as app:  # doctest: +SKIP
    ...     await app.enqueue(send_email, Email(...))
    """

    def __init__(
        self,
        store: str | Store | None = _CONFIGURED,
        *,
        config: Config | None = None,
        registry: Registry | None = None,
        concurrency: int | None = None,
        queues: Sequence[str] | None = None,
        middleware: Sequence[Middleware] = (),
        plugins: Sequence[object] = (),
        backoff: Strategy | None = None,
        queue_config: Sequence[QueueConfig] = (),
        leader_elector: LeaderElector | None = None,
        logger: logging.Logger | None = None,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        if store is None:
            raise NoStore('Dispatch(None) names no store: pass "sqlite:///dispatch.db", "memory://" or a Store')
        if concurrency is not None and concurrency < 1:
            raise ConfigError(f"concurrency is {concurrency}; a worker runs at least 1 job at once")
        if config is not None and not isinstance(config, Config):
            raise ConfigError(
                f"config is {shown(config)}; give a Config, such as Config(concurrency=20), or leave it out to take "
                "what dispatch.toml and the environment say"
            )
        self.config = config or load().config
        self.registry = registry if registry is not None else default_registry
        self._concurrency = concurrency
        self._queues = queues
        self._backoff = backoff
        self._queue_config = tuple(checked(limits) for limits in queue_config)
        self._leader_elector = leader_elector
        self._logger = logger or logging.getLogger("dispatch")
        self._extensions = Extensions(
            self.config,
            plugins=plugins,
            middleware=middleware,
            meter_provider=meter_provider,
            tracer_provider=tracer_provider,
            logger=self._logger,
        )
        self.plugins = self._extensions.plugins
        self._url: str | None = None
        if isinstance(store, str):
            self._url = self.config.store if store == _CONFIGURED else store
            store = app_store_of(self.config, self._url, schemes=self._extensions.schemes)
        self.store: Store = store
        self._take(self.store)
        self.engine: Engine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._life: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._starts: set[asyncio.Event] = set()
        """What ends each start that has not come to its end."""
        self._pid = os.getpid()

    # -- life ----------------------------------------------------------------------------------------------------

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop this app lives on; NoOpenApp while it is closed, when its loop has ended, in a forked child."""
        loop = self._loop
        if loop is None:
            raise NoOpenApp(
                "this app is not open: use `async with app:` (or `with app:` in synchronous code) around the call"
            )
        if self._pid != os.getpid():
            raise NoOpenApp(
                f"this app was opened by process {self._pid}, which forked this one: open another Dispatch(...) here"
            )
        if loop.is_closed():
            raise NoOpenApp("the event loop that this app was opened on has ended: use `async with app:` inside of it")
        return loop

    async def open(self) -> Self:
        """Opens the store, loads plugins, stores limits, announces definitions. Raises StoreError, InvalidPlugin."""
        async with self._one_at_a_time():
            return await self._open_now()

    async def _open_now(self) -> Self:
        if self._loop is not None and self.loop is not None:
            return self
        await self.connect()
        current.app_opened(self)
        try:
            await self._store_limits()
            await self.announce()
        except BaseException:
            await self._close_now()
            raise
        return self

    async def connect(self) -> None:
        """Opens the store and the plugins without becoming the process's open app; `open` is this and more."""
        await self._extensions.load(self.store)
        await self.store.open()
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()

    async def close(self) -> None:
        """Stops the worker if one was started, tells plugins, closes the store; a start that still waits ends."""
        self._end_starts()
        async with self._one_at_a_time():
            await self._close_now()

    async def _close_now(self) -> None:
        if self._loop is None or self._pid != os.getpid():
            return  # what a forked child inherited is its parent's to close
        try:
            await self._stop_now()
            await self._close_feed()
            if self.plugins.has("shutdown"):
                await self.plugins.notify("shutdown")
            await self.plugins.drain(5.0)
        finally:
            self._loop = None
            current.app_closed(self)
            await self.store.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __enter__(self) -> Self:
        """Opens the app on the background loop, for synchronous code; SyncInAsync where a loop is running."""
        return run_sync(portal.loop, self.open)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run_sync(portal.loop, self.close)

    # -- jobs ----------------------------------------------------------------------------------------------------

    async def enqueue(self, definition: JobDefinition[P, R], /, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Queues one call of `definition` in this app; as `definition.enqueue(...)`, which finds the app itself."""
        call = definition.call(*args, **kwargs)
        handles: list[JobHandle[R]] = await bridge(self.loop, lambda: self.enqueue_calls([call]))
        return handles[0]

    @property
    def sync(self) -> SyncApp:
        """This app's services for synchronous code: `app.sync.dlq.replay(entry_id)`."""
        return SyncApp(self)

    # -- worker --------------------------------------------------------------------------------------------------

    async def start(self) -> Engine:
        """Starts a worker inside this process (a web server's, say); opens the app first if need be.

        Waits for a store's server that is away, with a warning for each attempt, and `open` waits with it; raises
        StoreError for what does not pass by itself, StoreAway when `close` or `stop` ends the waiting.
        """
        from dispatch.engine.cut_short import cut_short_by
        from dispatch.engine.opening import patiently

        ended = asyncio.Event()
        self._starts.add(ended)
        try:
            async with cut_short_by(ended), self._one_at_a_time():
                await patiently(self._open_now)
                return await self._start_now()
        finally:
            self._starts.discard(ended)
        raise StoreAway("the app was closed, or its worker stopped, before the worker had started")

    async def _start_now(self) -> Engine:
        if self.engine is None or not self.engine.running:
            engine = self.build_engine()
            try:
                with current.using_app(self):
                    await engine.start()
            except BaseException:
                await engine.stop(0)
                raise
            self.engine = engine
        return self.engine

    async def stop(self, grace: Duration | None = None) -> None:
        """Stops that worker: waits up to `grace` (default: as configured) for handlers, gives back the rest."""
        self._end_starts()
        async with self._one_at_a_time():
            await self._stop_now(grace)

    async def _stop_now(self, grace: Duration | None = None) -> None:
        engine, self.engine = self.engine, None
        if engine is not None:
            await engine.stop(None if grace is None else seconds(grace))

    async def run(self, *targets: str, options: RunOptions | None = None) -> RunReport:
        """What `dispatch run TARGET...` does: imports the targets and works until stopped."""
        from dispatch.discovery import discover
        from dispatch.engine.run import RunOptions, run_worker

        discover(*targets)
        await self._store_limits()
        await self.announce()
        chosen = options or RunOptions()
        return await run_worker(self, chosen if chosen.targets else replace(chosen, targets=targets))

    def build_engine(
        self,
        *,
        queues: Mapping[str, int] | None = None,
        concurrency: int | None = None,
        max_jobs: int | None = None,
        name: str = "",
        labels: Mapping[str, str] | None = None,
        targets: Sequence[str] = (),
        cron: bool = True,
        jobs: bool = True,
        on_drain: Callable[[], None] | None = None,
        on_death: Callable[[BaseException], None] | None = None,
    ) -> Engine:
        """A worker's engine, not yet started; start it inside `current.using_app(app)`."""
        from dispatch.app.settings import engine_settings
        from dispatch.engine.engine import Engine

        served = dict(queues) if queues else dict.fromkeys(self.served_queues(), 0)
        settings = engine_settings(
            self.config,
            queues=served if jobs else {},
            concurrency=concurrency or self._concurrency,
            max_jobs=max_jobs,
            backoff=self._backoff,
            name=name,
            labels=labels or {},
            cron=cron,
        )
        return Engine(
            self._timed_store,
            registry=self.served_registry,
            plugins=self.plugins,
            middleware=self._extensions.middleware,
            settings=settings,
            targets=targets,
            crons=specs_of(self.registry.crons.values(), defaults=cron_defaults(self.config)),
            leader_elector=self._leader_elector or self._extensions.elector,
            child_environment=self._child_environment(),
            prepare=lambda job: self.jobs.prepared(job),  # few workers need the service
            telemetry=self._extensions.telemetry,
            guests=self._extensions.services,
            on_drain=on_drain,
            on_death=on_death,
            logger=self._logger.getChild("engine"),
        )

    @property
    def served_registry(self) -> Registry:
        """What workers of this app run: its registry's definitions and those that plugins bring."""
        return self.registry.with_jobs(self._extensions.jobs)

    def served_queues(self) -> list[str]:
        """The queues a worker serves unless told otherwise: those given or configured, else all that are known."""
        chosen = self._queues if self._queues is not None else self.config.queues
        if chosen:
            return list(dict.fromkeys(chosen))
        return list(dict.fromkeys(["default", *self.served_registry.queues, *self.config.queue]))

    async def announce(self) -> None:
        """Publishes the registry's jobs and workflows into the store, so that others can start them by name."""
        found = announcements(self.registry)
        if found:
            await self.store.cluster.announce(found)

    @property
    def telemetry(self) -> Telemetry:
        """Where its spans and measurements go."""
        return self._extensions.telemetry

    @property
    def meter_provider(self) -> MeterProvider | None:
        """Where its measurements go; None: nowhere."""
        return self._extensions.telemetry.meter_provider

    def measure_with(self, provider: MeterProvider) -> None:
        """Gives an app that is not open yet a meter provider, unless it was made with one."""
        self._extensions.telemetry.measure_with(provider)
        self._take(self.store)

    # -- inside --------------------------------------------------------------------------------------------------

    def _end_starts(self) -> None:
        for ended in self._starts:
            ended.set()

    def _one_at_a_time(self) -> asyncio.Lock:
        """One opening, starting, stopping or closing at a time; a lock belongs to one loop."""
        loop = asyncio.get_running_loop()
        if self._life is None or self._life[0] is not loop:
            self._life = (loop, asyncio.Lock())
        return self._life[1]

    def _take(self, store: Store) -> None:
        """Puts the services over the store; its calls are timed where measurements go somewhere."""
        found = self._extensions.telemetry.instruments
        self._timed_store = store if found is None else measured(store, found.store_calls)
        self._parts = Parts(
            self._timed_store,
            self.config,
            registry=self.registry,
            plugins=self.plugins,
            telemetry=self._extensions.telemetry,
            elector=lambda: self._leader_elector or self._extensions.elector,
            logger=self._logger,
        )

    def _child_environment(self) -> dict[str, str]:
        """What lets an enqueue inside a worker subprocess find this app's store, if another process can reach it."""
        if self._url is None or self._url.startswith("memory:"):
            return {"DISPATCH_AUTO_OPEN": "false"}
        return {"DISPATCH_STORE": self._url}

    async def _store_limits(self) -> None:
        looks = not (self.registry.jobs or self.registry.workflows)  # from outside: what is configured stays as it is
        configured = () if looks else self.config.queue_configs()
        for queue in (*configured, *self._queue_config):
            await self.store.queues.configure(queue)
