"""What is plugged into an app: its plugins, loaded once, and the middleware around every job."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dispatch.cluster.elector import LeaderElector
from dispatch.config import Config
from dispatch.errors import ConfigError
from dispatch.hookspecs import WorkerService
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.handler import Middleware
from dispatch.middleware import standard
from dispatch.plugins import PluginManager
from dispatch.store import Store
from dispatch.telemetry import global_meter_provider, global_tracer_provider

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
        self._meter_provider = meter_provider
        self._tracer_provider = tracer_provider
        self._from_plugins: list[Middleware] = []
        self._loaded = False
        self.elector: LeaderElector | None = None
        """The election that a plugin brought instead of the store's."""
        self.jobs: list[JobDefinition[..., Any]] = []
        """What plugins let this app's workers run beside its own jobs."""
        self.services: list[WorkerService] = []
        """The loops that plugins let this app's workers run."""
        self.plugins = PluginManager(
            disabled=config.disabled_plugins, settings=config.plugin, logger=logger.getChild("plugins")
        )

    async def load(self, store: Store) -> None:
        """Loads the plugins and asks them what they bring, the first time. Raises ConfigError, InvalidPlugin."""
        if self._loaded:
            return
        config = self._config
        self.plugins.load_entry_points()
        self.plugins.load(config.plugins)
        unused = set(config.plugin) - set(self.plugins.names) - set(config.disabled_plugins)
        if unused:
            raise ConfigError(f"[plugin.{min(unused)}] configures a plugin that is not loaded; name it in `plugins`")
        for plugin in self._given:
            self.plugins.register(plugin)
        answers = await self.plugins.collect("register_middleware")
        lease = config.leader_lease.total_seconds()
        electors = await self.plugins.collect("register_leader_elector", lease=lease)
        self.elector = electors[0] if electors else None
        self._from_plugins = [member for answer in answers for member in answer]
        for definitions in await self.plugins.collect("register_jobs", store=store):
            self.jobs += definitions
        for services in await self.plugins.collect("register_services", store=store):
            self.services += services
        self._loaded = True

    @property
    def middleware(self) -> list[Middleware]:
        """Dispatch's own, then the plugins', then the caller's, outermost first."""
        members = standard(
            tracer_provider=self._tracer_provider or global_tracer_provider(),
            meter_provider=self._meter_provider or global_meter_provider(),
        )
        return [*members, *self._from_plugins, *self._middleware]
