"""The job that delivers one event to one endpoint: what an answer means, and when the next attempt follows."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from typing_extensions import TypedDict

from dispatch.clock import utc_now
from dispatch.errors import Fail, Snooze
from dispatch.ids import JobID
from dispatch.jobs.context import current_job
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.model import Job, JobState, NewJob
from dispatch.registry import Registry
from dispatch.scope import Scope
from dispatch.text import iso
from dispatch_relay.endpoint import Endpoint, checked_url
from dispatch_relay.endpoints import Endpoints
from dispatch_relay.errors import EndpointNotFound, InvalidEndpoint, Undelivered
from dispatch_relay.message import PayloadFunc, RelayEvent, body_of
from dispatch_relay.pace import Pace
from dispatch_relay.sender import Answer
from dispatch_relay.signing import signed_headers

JOB = "relay.deliver"
QUEUE = "relay"
GONE = 410
_ASK_AGAIN = frozenset({429, 503})
LONGEST_PAUSE = 86400.0
"""No Retry-After makes a pause longer than a day."""
LONGEST_ATTEMPT = 60.0
"""Seconds that an attempt may take with its turn and the payload function."""
_JITTER = 0.2
_SHOWN = 200


class Posts(Protocol):
    """What sends."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer: ...


@dataclass(frozen=True, slots=True)
class Schedule:
    """The pauses between attempts, each up to a fifth longer, so that failures spread out."""

    pauses: Sequence[timedelta]

    def delay(self, attempt: int, rng: Callable[[], float] = random.random) -> timedelta:
        """The pause after that failed attempt (1 = the first)."""
        pause = self.pauses[min(attempt, len(self.pauses)) - 1]
        return pause * (1 + _JITTER * rng())


class DeliveryDocument(TypedDict):
    """A delivery as people get to see it."""

    id: str
    endpoint: str
    webhook_id: str
    type: str
    state: str
    attempt: int
    status: int | None
    elapsed_ms: int | None
    error: str | None
    next_attempt_at: str | None
    created_at: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is kept of a webhook that arrived."""

    status: int
    elapsed_ms: int


class Deliverer:
    """Delivers.

    Args:
        endpoints: where they are looked up, at each attempt anew. sender: sends. pace: keeps rates.
        payload_funcs: by event type, what changes the data. schedule: of the retries. allow_http: permits http URLs.
        gone: told the name of an endpoint that answered 410.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        sender: Posts,
        pace: Pace,
        payload_funcs: Mapping[str, PayloadFunc],
        schedule: Schedule,
        allow_http: bool,
        gone: Callable[[str], Any],
        logger: logging.Logger,
    ) -> None:
        self._endpoints = endpoints
        self._sender = sender
        self._pace = pace
        self._payload_funcs = payload_funcs
        self._schedule = schedule
        self._allow_http = allow_http
        self._gone = gone
        self._logger = logger

    def definition(self) -> JobDefinition[..., Receipt]:
        """The job: `relay.deliver` on the queue `relay`."""

        async def deliver(endpoint: str, event: RelayEvent) -> Receipt:
            return await self.deliver(endpoint, event)

        decorate = Registry().job(
            name=JOB,
            queue=QUEUE,
            timeout=LONGEST_ATTEMPT,
            max_retries=len(self._schedule.pauses),
            backoff=self._schedule,
        )
        return decorate(deliver)

    async def deliver(self, name: str, event: RelayEvent) -> Receipt:
        """One attempt. Raises Undelivered, Snooze; Fail where no other attempt shall follow."""
        job = current_job().job
        if job.kind != "delivery":  # enqueued by name from outside: it would sign whatever somebody wrote
            raise Fail("only the relay makes deliveries; to send one again, `dispatch webhook redeliver ID`")
        endpoint = await self._present(name)
        if endpoint.rate is not None:
            await self._take_turn(endpoint)
        answer = await self.attempt(endpoint, event)
        if answer.status == GONE:
            await self._gone(name)
            raise Fail(f"{name} answered 410 Gone and was disabled", dead_letter=False)
        pause = self._schedule.delay(job.failures + 1)
        refused = verdict(answer, pause=pause.total_seconds())
        if refused is not None:
            said, delay = refused
            raise Undelivered(said, delay=delay)
        self._logger.debug("webhook %s reached %s", event.id, name)
        return Receipt(answer.status, round(answer.elapsed * 1000))

    async def attempt(self, endpoint: Endpoint, event: RelayEvent) -> Answer:
        """Signs and sends the event. Raises Undelivered."""
        try:
            url = checked_url(endpoint.url, allow_http=self._allow_http)
        except InvalidEndpoint as error:
            raise Undelivered(str(error)) from error
        body = await body_of(event, self._payload_funcs.get(event.type))
        now = utc_now()
        signed = signed_headers(event.id, body, keys=endpoint.keys(now), now=now)
        headers = {"Content-Type": "application/json", "User-Agent": "dispatch-relay", **endpoint.headers, **signed}
        return await self._sender.post(url, body, headers)

    async def _present(self, name: str) -> Endpoint:
        try:
            endpoint = await self._endpoints.get(name)
        except EndpointNotFound as error:
            raise Fail(str(error), dead_letter=False) from None
        if not endpoint.enabled:
            why = f" ({endpoint.disabled_reason})" if endpoint.disabled_reason else ""
            raise Fail(f"the endpoint {name!r} is disabled{why}", dead_letter=False)
        return endpoint

    async def _take_turn(self, endpoint: Endpoint) -> None:
        assert endpoint.rate is not None
        job = current_job().job
        taken, wait = await self._pace.turn(endpoint.name, endpoint.rate, job.started_at or utc_now())
        if not taken:
            raise Snooze(wait * (1 + _JITTER * random.random()), f"{endpoint.name} takes {endpoint.rate:g} a second")
        await asyncio.sleep(wait)


def verdict(answer: Answer, *, pause: float) -> tuple[str, float | None] | None:
    """What follows from an answer: None when the webhook has arrived; else why not, and the seconds until the next
    attempt where the endpoint asked for more than the `pause` that is due."""
    if 200 <= answer.status < 300:
        return None
    text = " ".join(answer.body[:_SHOWN].split())
    said = f"HTTP {answer.status}{f': {text}' if text else ''}"
    if answer.status in _ASK_AGAIN and answer.retry_after is not None:
        return said, min(max(answer.retry_after, pause), LONGEST_PAUSE)
    return said, None


def delivery_of(definition: JobDefinition[..., Receipt], endpoint: Endpoint, event: RelayEvent, *, id: JobID) -> NewJob:
    """The row that delivers the event; endpoints do not wait for each other, since each has its own slots."""
    app_id, _, org_id = event.tenant.partition("/")
    return NewJob(
        id,
        JOB,
        definition.call(endpoint.name, event).payload,
        queue=QUEUE,
        kind="delivery",
        tags=(tag_of(endpoint.name),),
        metadata={"webhook_id": event.id, "event_type": event.type, "endpoint": endpoint.name},
        scope=Scope(app_id, org_id),
        concurrency_key=f"relay|{endpoint.name}",
        concurrency_max=endpoint.concurrency,
    )


def tag_of(endpoint: str) -> str:
    """The tag that an endpoint's deliveries carry."""
    return f"webhook:{endpoint}"


def again(job: Job) -> NewJob:
    """Another row that delivers what a delivery has delivered, under the same `webhook-id`."""
    return NewJob(
        JobID.new(),
        job.name,
        job.payload,
        queue=job.queue,
        kind="delivery",
        tags=job.tags,
        metadata=job.metadata,
        scope=job.scope,
        concurrency_key=job.concurrency_key,
        concurrency_max=job.concurrency_max,
    )


def delivery_document(job: Job) -> DeliveryDocument:
    """A delivery as people get to see it."""
    receipt = json.loads(job.result) if job.result else {}
    return {
        "id": str(job.id),
        "endpoint": str(job.metadata.get("endpoint", "")),
        "webhook_id": str(job.metadata.get("webhook_id", "")),
        "type": str(job.metadata.get("event_type", "")),
        "state": str(job.state),
        "attempt": job.attempt,
        "status": receipt.get("status"),
        "elapsed_ms": receipt.get("elapsed_ms"),
        "error": job.error.message if job.error else None,
        "next_attempt_at": iso(job.run_at) if job.state is JobState.RETRYING else None,
        "created_at": iso(job.created_at),
    }
