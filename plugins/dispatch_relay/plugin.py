"""The extension: puts the parts together and hands them to the app's workers."""

from __future__ import annotations

import logging
from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from dispatch import Dispatch, hookimpl
from dispatch.clock import Duration, utc_now
from dispatch.hookspecs import CLI, Routes, WorkerService
from dispatch.jobs.definition import JobDefinition
from dispatch.scope import Scope, capture
from dispatch.services.audit import AuditService
from dispatch.store import Store
from dispatch_relay.addresses import Allowed
from dispatch_relay.configured import Configured
from dispatch_relay.delivery import Deliverer, Schedule
from dispatch_relay.endpoint import disabled, matches
from dispatch_relay.endpoints import Endpoints
from dispatch_relay.errors import InvalidEndpoint
from dispatch_relay.events import DEFINITIONS
from dispatch_relay.forwarder import Forwarder
from dispatch_relay.message import PayloadFunc, checked_event_type, shared_payload_funcs
from dispatch_relay.pace import Pace
from dispatch_relay.sender import Sender
from dispatch_relay.service import WebhookService
from dispatch_relay.settings import RelaySettings


class RelayExtension:
    """Sends what happens to webhook endpoints: `plugins = ["relay"]`, or `Dispatch(plugins=[RelayExtension(...)])`.

    Args:
        enabled_events: the event types that are sent at all, as names or globs (default: all twelve).
        payload_funcs: by event type, what makes another `data` of an event; those of `payload_func` stand behind them.
        allow_http: permits endpoints without TLS. allow_hosts: host names ("*.internal"), addresses and networks
            ("10.0.0.0/8") that webhooks may go to although they are not public.
        retry_schedule: the pauses between attempts (default: from 5 s to a day, three days in all).
        endpoints: by name, as in [plugin.relay.endpoints.NAME]; workers store them when they start.
        sender: what sends (default: HTTP).

    Raises:
        InvalidEndpoint: a setting cannot be.
    """

    def __init__(
        self,
        *,
        enabled_events: Sequence[str] = ("*",),
        payload_funcs: Mapping[str, PayloadFunc] | None = None,
        allow_http: bool = False,
        allow_hosts: Sequence[str] = (),
        retry_schedule: Sequence[Duration] | None = None,
        endpoints: Mapping[str, Any] | None = None,
        sender: Sender | None = None,
    ) -> None:
        given = {
            "enabled_events": list(enabled_events),
            "allow_http": allow_http,
            "allow_hosts": list(allow_hosts),
            "endpoints": dict(endpoints or {}),
            **({} if retry_schedule is None else {"retry_schedule": list(retry_schedule)}),
        }
        try:
            self._settings = RelaySettings.model_validate(given)
        except ValidationError as error:
            raise InvalidEndpoint(_explained(error)) from None
        self._payload_funcs = {checked_event_type(name): fn for name, fn in (payload_funcs or {}).items()}
        self._enabled = [name for name in DEFINITIONS if matches(name, self._settings.enabled_events)]
        self._sender = sender or Sender(Allowed(self._settings.allow_hosts))
        self._logger = logging.getLogger("dispatch.relay")

    @staticmethod
    @hookimpl
    def register_config() -> type[BaseModel]:
        """The model of [plugin.relay]."""
        return RelaySettings

    @hookimpl
    def register_jobs(self, store: Store) -> list[JobDefinition[..., Any]]:
        """The job that delivers."""
        return [self._deliverer(store).definition()]

    @hookimpl
    def register_services(self, store: Store) -> list[WorkerService]:
        """The loop that makes deliveries of what happened."""
        endpoints = self._endpoints(store)
        forwarder = Forwarder(
            store,
            endpoints=endpoints,
            configured=self._configured(endpoints),
            enabled=self._enabled,
            definition=self._deliverer(store).definition(),
            logger=self._logger,
        )
        return [forwarder]

    @hookimpl
    async def shutdown(self) -> None:
        """Closes the connections to endpoints."""
        await self._sender.close()

    @hookimpl
    def register_commands(self, cli: CLI) -> None:
        """`dispatch webhook`."""
        from dispatch_relay.commands import add_commands

        add_commands(cli, self)

    @hookimpl
    def register_routes(self, app: Dispatch) -> Routes:
        """/v1/webhooks and /v1/deliveries."""
        from dispatch_relay.routes import webhook_routes

        return webhook_routes(lambda: self.webhooks(app, scope=capture()))

    def webhooks(self, app: Dispatch, *, scope: Scope | None = None) -> WebhookService:
        """The verbs on endpoints and deliveries of an app that is open; with a `scope`, on those of that tenant."""
        endpoints = self._endpoints(app.store)
        return WebhookService(
            app.store,
            jobs=app.jobs,
            audit=app.audit,
            endpoints=endpoints,
            configured=self._configured(endpoints),
            deliverer=self._deliverer(app.store),
            settings=self._settings,
            scope=scope,
        )

    def _endpoints(self, store: Store) -> Endpoints:
        return Endpoints(store, enabled=self._enabled)

    def _configured(self, endpoints: Endpoints) -> Configured:
        return Configured(endpoints, self._settings.endpoints, logger=self._logger)

    def _deliverer(self, store: Store) -> Deliverer:
        endpoints = self._endpoints(store)

        async def gone(name: str) -> None:
            await endpoints.change(name, lambda endpoint: disabled(endpoint, "answered 410 Gone", at=utc_now()))
            self._logger.warning("the webhook endpoint %r answered 410 Gone and was disabled", name)
            await AuditService(store).note("webhook.disable", [name], reason="answered 410 Gone")

        return Deliverer(
            endpoints,
            sender=self._sender,
            pace=Pace(store.records),
            payload_funcs=ChainMap(self._payload_funcs, shared_payload_funcs()),
            schedule=Schedule(tuple(self._settings.retry_schedule)),
            allow_http=self._settings.allow_http,
            gone=gone,
            logger=self._logger,
        )


def _explained(error: ValidationError) -> str:
    """What is wrong with the settings, one line each, without the values: one may be a secret."""
    lines = []
    for one in error.errors(include_input=False, include_url=False):
        where = ".".join(("plugin", "relay", *map(str, one["loc"])))
        lines.append(f"{where}: {one['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)
