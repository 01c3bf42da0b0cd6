"""What is plugged into an app: its plugins, loaded once, and the middleware around every job."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dispatch.app.plugged import load_into, manager_of, schemes_of
from dispatch.cluster.elector import LeaderElector
from dispatch.config import Config
from dispatch.hookspecs import WorkerService
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.handler import Middleware
from dispatch.middleware import standard
from dispatch.store import Store
from dispatch.stores.outbox import WithOutbox
from dispatch.telemetry import Telemetry

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider


class Extensions:
    """Plugins from the configuration, from other distributions and from the caller; middleware from all of them."""

    def __init__(
        self,
        config: Config,
        *,
        plugins: Sequence[object],
        middleware: Sequence[Middleware],
        meter_provider: MeterProvider | None,
        tracer_provider: TracerProvider | None,
        logger: logging.Logger,
    ) -> None:
        self._config = config
        self._given = tuple(plugins)
        self._middleware = tuple(middleware)
        self.telemetry = Telemetry(tracer_provider, meter_provider, follow=config.telemetry.trace == "continue")
        for plugin in filter(_measures, plugins):
            self.telemetry.measure_with(plugin.meter_provider)  # type: ignore[attr-defined]
        self._from_plugins: list[Middleware] = []
        self._plugins_loaded = False
        self._loaded = False
        self.elector: LeaderElector | None = None
        """The election that a plugin brought instead of the store's."""
        self.jobs: list[JobDefinition[..., Any]] = []
        """What plugins let this app's workers run beside its own jobs."""
        self.services: list[WorkerService] = []
        """The loops that plugins let this app's workers run."""
        self.plugins = manager_of(config, logger=logger.getChild("plugins"))

    def schemes(self) -> Mapping[str, Callable[..., Store]]:
        """The makers of stores that plugins bring. Raises ConfigError, DiscoveryError, InvalidPlugin."""
        self._load_plugins()
        return schemes_of(self.plugins)

    def _load_plugins(self) -> None:
        if not self._plugins_loaded:
            load_into(self.plugins, self._config)
            for plugin in self._given:
                self.plugins.register(plugin)
            self._measure()
            self._plugins_loaded = True

    def _measure(self) -> None:
        """Counts what plugins are told of, where there is a meter provider."""
        provider = self.telemetry.meter_provider
        if provider is not None and not any(map(_measures, self._given)):
            from dispatch.observability import MetricsExtension

            self.plugins.register(MetricsExtension(provider), "metrics")

    async def load(self, store: Store) -> None:
        """Loads the plugins and asks them what they bring, the first time. Raises ConfigError, InvalidPlugin."""
        if self._loaded:
            return
        self._load_plugins()
        answers = await self.plugins.collect("register_middleware")
        lease = self._config.leader_lease.total_seconds()
        electors = await self.plugins.collect("register_leader_elector", lease=lease)
        self.elector = electors[0] if electors else None
        self._from_plugins = [member for answer in answers for member in answer]
        for definitions in await self.plugins.collect("register_jobs", store=store):
            self.jobs += definitions
        for services in await self.plugins.collect("register_services", store=store):
            self.services += services
        if isinstance(store, WithOutbox):
            from dispatch.engine.forwarder import Forwarder

            poll = self._config.poll_interval.total_seconds()
            self.services.append(Forwarder(store.store, store.outbox, poll=poll))
        self._loaded = True

    @property
    def middleware(self) -> list[Middleware]:
        """Dispatch's own, then the plugins', then the caller's, outermost first."""
        telemetry = self.telemetry
        members = standard(
            tracer_provider=telemetry.tracer_provider,
            meter_provider=telemetry.meter_provider,
            follow=telemetry.follow,
        )
        return [*members, *self._from_plugins, *self._middleware]


def _measures(plugin: object) -> bool:
    """Whether it is a MetricsExtension, told without importing that for those who have none."""
    return type(plugin).__module__ == "dispatch.observability"
