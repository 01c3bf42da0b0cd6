"""Endpoints that stand in the configuration: stored when a worker starts, so that all workers know them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from dispatch.clock import utc_now
from dispatch_relay.endpoint import Endpoint, Secret
from dispatch_relay.endpoints import Endpoints, rotated
from dispatch_relay.errors import EndpointExists, EndpointNotFound
from dispatch_relay.settings import EndpointTable

OVERLAP = timedelta(hours=24)
"""For so long a replaced secret signs beside the new one."""


class Configured:
    """The endpoints of this process's configuration.

    Args:
        endpoints: where they are stored. tables: by name.
    """

    def __init__(self, endpoints: Endpoints, tables: Mapping[str, EndpointTable], *, logger: logging.Logger) -> None:
        self._endpoints = endpoints
        self._tables = tables
        self._logger = logger
        self._applied = False

    @property
    def names(self) -> list[str]:
        """What they are called."""
        return list(self._tables)

    def unstored(self, name: str) -> Endpoint | None:
        """The endpoint as the configuration has it."""
        table = self._tables.get(name)
        return None if table is None else configured_endpoint(name, table)

    async def apply(self) -> None:
        """Stores them, once in this process: new ones are added, others changed to what the configuration says."""
        if self._applied:
            return
        for name, table in self._tables.items():
            await self._apply(name, table)
        for endpoint in await self._endpoints.all():
            if endpoint.origin == "config" and endpoint.name not in self._tables:
                self._logger.warning(
                    "the webhook endpoint %r stood in a configuration, but not in that of this worker; "
                    "`dispatch webhook remove %s` ends it",
                    endpoint.name,
                    endpoint.name,
                )
        self._applied = True

    async def _apply(self, name: str, table: EndpointTable) -> None:
        try:
            await self._endpoints.change(name, partial(as_configured, table=table))
        except EndpointNotFound:
            try:
                await self._endpoints.add(configured_endpoint(name, table))
            except EndpointExists:  # another worker was quicker
                await self._endpoints.change(name, partial(as_configured, table=table))


def configured_endpoint(name: str, table: EndpointTable) -> Endpoint:
    """A new endpoint of the configuration."""
    return Endpoint(
        name=name, secrets=[Secret(value=table.secret)], origin="config", **table.model_dump(exclude={"secret"})
    )


def as_configured(endpoint: Endpoint, *, table: EndpointTable) -> Endpoint:
    """The stored endpoint with what the configuration says; another secret is a rotation, a disabled one stays so."""
    present = rotated(endpoint, table.secret, until=utc_now() + OVERLAP)
    return present.model_copy(update={"origin": "config", **table.model_dump(exclude={"secret"})})
