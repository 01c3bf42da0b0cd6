"""The verbs on webhook endpoints and deliveries: what the command line and other doors call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from dispatch.clock import utc_now
from dispatch.entity import Page
from dispatch.errors import JobNotFound, JobNotRetryable
from dispatch.ids import EventID, JobID
from dispatch.jobs.model import Job, JobState, ListOptions
from dispatch.scope import Scope
from dispatch.services import AuditService, JobService
from dispatch.store import Store
from dispatch_relay.addresses import Allowed
from dispatch_relay.configured import OVERLAP, Configured
from dispatch_relay.delivery import JOB, QUEUE, Deliverer, again, tag_of
from dispatch_relay.endpoint import (
    CONCURRENCY,
    Endpoint,
    Secret,
    checked_events,
    checked_headers,
    checked_name,
    checked_url,
    disabled,
    must_be_allowed,
    parsed_rate,
)
from dispatch_relay.endpoints import Endpoints, no_endpoint, rotated
from dispatch_relay.errors import EndpointConfigured, EndpointNotFound, InvalidEndpoint, Undelivered
from dispatch_relay.message import RelayEvent
from dispatch_relay.settings import RelaySettings
from dispatch_relay.signing import checked_secret, new_secret

LONGEST_OVERLAP = timedelta(days=3650)
EVENT_TEST = "dispatch.test"
"""The type of what `test` sends."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a test."""

    endpoint: str
    arrived: bool
    status: int | None
    """None: there was no answer."""
    elapsed_ms: int | None
    message: str


class WebhookService:
    """Look at, add, rotate, remove, switch and test endpoints; look at deliveries and send them again.

    With a `scope` it is about one tenant's: others' endpoints and deliveries, and those for all tenants, do not exist.
    """

    def __init__(
        self,
        store: Store,
        *,
        jobs: JobService,
        audit: AuditService,
        endpoints: Endpoints,
        configured: Configured,
        deliverer: Deliverer,
        settings: RelaySettings,
        scope: Scope | None = None,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._audit = audit
        self._endpoints = endpoints
        self._configured = configured
        self._deliverer = deliverer
        self._settings = settings
        self._allowed = Allowed(settings.allow_hosts)
        self._scope = scope or None

    async def list(self) -> list[Endpoint]:
        """Every endpoint, by name; those of this configuration too that no worker has stored yet."""
        found = {endpoint.name: endpoint for endpoint in await self._endpoints.all()}
        for name in self._configured.names:
            endpoint = self._configured.unstored(name)
            if endpoint is not None:
                found.setdefault(name, endpoint)
        return [found[name] for name in sorted(found) if self._sees(found[name])]

    async def get(self, name: str) -> Endpoint:
        """The endpoint. Raises EndpointNotFound."""
        try:
            endpoint = await self._endpoints.get(name)
        except EndpointNotFound:
            configured = self._configured.unstored(name)
            if configured is None:
                raise
            endpoint = configured
        if not self._sees(endpoint):
            raise no_endpoint(name)
        return endpoint

    async def add(
        self,
        name: str,
        url: str,
        *,
        events: Sequence[str] = ("*",),
        secret: str | None = None,
        tenant: str | None = None,
        headers: Mapping[str, str] | None = None,
        rate: float | str | None = None,
        concurrency: int = CONCURRENCY,
        dry_run: bool = False,
    ) -> tuple[Endpoint, str]:
        """Adds an endpoint, which gets what happens from now on.

        Args:
            name: 1 to 64 of letters, digits and _ . -. url: https, unless `allow_http` permits http.
            events: globs over event types, such as "job.*". secret: "whsec_…" (default: a fresh one).
            tenant: only events of that tenant, `app_id/org_id`. headers: sent along.
            rate: webhooks a second, or text such as "30/m". concurrency: webhooks at once. dry_run: only checks.

        Returns:
            The endpoint and its secret, which is shown nowhere else.

        Raises:
            InvalidEndpoint: something cannot be. EndpointExists: the name is taken.
        """
        checked_name(name)
        if self._configured.unstored(name) is not None:
            raise EndpointConfigured(f"[plugin.relay.endpoints.{name}] of the configuration has that name")
        if concurrency < 1:
            raise InvalidEndpoint(f"concurrency is {concurrency}; at least 1 webhook has to be sent at once")
        key = new_secret() if secret is None else checked_secret(secret)
        endpoint = Endpoint(
            name=name,
            url=self._checked_url(url),
            secrets=[Secret(value=key)],
            events=checked_events(list(events)),
            tenant=self._scope.tenant if self._scope else tenant,
            headers=checked_headers(dict(headers or {})),
            rate=parsed_rate(rate),
            concurrency=concurrency,
        )
        if dry_run:
            return endpoint, key
        async with self._audit.act("webhook.add", [name], detail=endpoint.document()["url"]):
            return await self._endpoints.add(endpoint), key

    async def rotate(
        self, name: str, *, secret: str | None = None, overlap: timedelta = OVERLAP, reason: str = ""
    ) -> tuple[Endpoint, str]:
        """Gives an endpoint a new secret; the present one signs beside it for `overlap`, at most ten years.

        Returns the endpoint and the new secret. Raises EndpointNotFound, EndpointConfigured, InvalidEndpoint.
        """
        key = new_secret() if secret is None else checked_secret(secret)
        checked_overlap(overlap)
        await self.get(name)
        self._must_be_ours(name, "change its `secret` there; the one before goes on signing for a day")
        until = utc_now() + overlap
        async with self._audit.act("webhook.rotate", [name], reason=reason):
            return await self._endpoints.change(name, lambda endpoint: rotated(endpoint, key, until=until)), key

    async def remove(self, name: str, *, reason: str = "") -> None:
        """Deletes an endpoint; deliveries that wait for it fail. Raises EndpointNotFound, EndpointConfigured."""
        await self.get(name)
        self._must_be_ours(name, "remove it there, or `dispatch webhook disable` it")
        async with self._audit.act("webhook.remove", [name], reason=reason):
            await self._endpoints.remove(name)

    async def disable(self, name: str, *, reason: str = "") -> Endpoint:
        """Sends nothing to an endpoint any more: what happens meanwhile is not sent later. Raises EndpointNotFound."""
        async with self._audit.act("webhook.disable", [name], reason=reason):
            await self._stored(name)
            return await self._endpoints.change(name, lambda endpoint: disabled(endpoint, reason, at=utc_now()))

    async def enable(self, name: str, *, reason: str = "") -> Endpoint:
        """Sends what happens from now on. Raises EndpointNotFound."""
        async with self._audit.act("webhook.enable", [name], reason=reason):
            await self._stored(name)
            return await self._endpoints.change(
                name, lambda endpoint: endpoint.model_copy(update={"disabled_at": None, "disabled_reason": ""})
            )

    async def test(self, name: str) -> Tried:
        """Sends an event of type `dispatch.test` to an endpoint, here and now, once. Raises EndpointNotFound."""
        endpoint = await self.get(name)
        event = RelayEvent(f"test_{EventID.new()}", EVENT_TEST, utc_now(), {"endpoint": name}, endpoint.tenant or "")
        async with self._audit.act("webhook.test", [name]):
            try:
                answer = await self._deliverer.attempt(endpoint, event)
            except Undelivered as error:
                return Tried(name, False, None, None, str(error))
        arrived = 200 <= answer.status < 300
        text = " ".join(answer.body[:200].split())
        return Tried(name, arrived, answer.status, round(answer.elapsed * 1000), text)

    async def deliveries(
        self,
        *,
        endpoint: str | None = None,
        states: Sequence[JobState] = (),
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Job]:
        """Deliveries, newest first: each is one event on its way to one endpoint. Raises EndpointNotFound."""
        if endpoint is not None:
            await self.get(endpoint)
        tags = () if endpoint is None else (tag_of(endpoint),)
        return await self._jobs.list(
            ListOptions(states=states, tags=tags, kinds=("delivery",), scope=self._scope, limit=limit, cursor=cursor)
        )

    async def served(self) -> bool:
        """Whether a live worker sends webhooks."""
        live = await self._store.cluster.list(live=True)
        return any(JOB in worker.names and QUEUE in worker.queues for worker in live)

    async def redeliver(self, job_id: JobID, *, dry_run: bool = False, reason: str = "") -> JobID:
        """Sends a webhook again, under the same `webhook-id`: one that failed as the same delivery, one that arrived as
        another one, whose id is answered. With `dry_run` only looks whether it may be. Raises JobNotFound,
        JobNotRetryable."""
        job = await self._store.jobs.get(job_id, scope=self._scope)
        if job is None or job.kind != "delivery":
            raise JobNotFound(f"there is no delivery {job_id}; `dispatch webhook deliveries` shows them")
        if not job.state.terminal:
            raise JobNotRetryable(f"{job_id} is {job.state}: it is on its way already")
        if dry_run:
            return job_id
        async with self._audit.act("webhook.redeliver", [job_id], reason=reason):
            if job.state is not JobState.COMPLETED:
                await self._jobs.retry(job_id)
                return job_id
            other = again(job)
            await self._store.jobs.enqueue([other])
            return other.id

    def _sees(self, endpoint: Endpoint) -> bool:
        return self._scope is None or endpoint.tenant == self._scope.tenant

    async def _stored(self, name: str) -> None:
        """Makes sure that the endpoint is there, and in the store although no worker has read the configuration."""
        await self.get(name)
        if self._configured.unstored(name) is not None:
            await self._configured.apply()

    def _must_be_ours(self, name: str, hint: str) -> None:
        if self._configured.unstored(name) is not None:
            raise EndpointConfigured(f"{name!r} stands in the configuration ([plugin.relay.endpoints.{name}]): {hint}")

    def _checked_url(self, url: str) -> str:
        return must_be_allowed(checked_url(url, allow_http=self._settings.allow_http), self._allowed)


def checked_overlap(overlap: timedelta) -> timedelta:
    """How long two secrets may sign beside each other; InvalidEndpoint for what is too long."""
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise InvalidEndpoint(f"the overlap is {overlap}; it may be 0 to {LONGEST_OVERLAP.days} days")
    return overlap
