"""The client for asyncio: enqueue, start, look, signal and listen on a server elsewhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime, timedelta
from typing import Any, Self

from dispatch.client.errors import ConnectionLost
from dispatch.client.link import Link
from dispatch.client.subscription import Subscription
from dispatch.errors import DispatchError, InvalidArguments
from dispatch.wire.frames import Frame

_CREDITS = 250
"""Events read before the server is told that it may send as many more."""
_TERMINAL = frozenset({"completed", "failed", "cancelled"})
Document = dict[str, Any]


class Client:
    """A connection to a Dispatch server; make it by `Client.connect`.

    Every request may take `timeout` seconds. When the connection is lost, it is made again with growing pauses,
    subscriptions go on behind the last event they were given, and what can be asked twice is asked again: everything
    that only looks, and what has an idempotency key. Anything else then raises ConnectionLost.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        format: str = "json",
        logger: logging.Logger | None = None,
        reconnect: bool = True,
        timeout: float = 10.0,
    ) -> None:
        self._logger = logger or logging.getLogger("dispatch.client")
        self._timeout = timeout
        self._subscriptions: dict[str, Subscription] = {}
        self._closing = False
        self._unacknowledged = 0
        self._again: set[asyncio.Future[None]] = set()
        self._link = Link(
            url,
            token=token,
            format=format,
            reconnect=reconnect,
            timeout=timeout,
            logger=self._logger,
            on_event=self._event,
            on_back=self._back,
            on_end=self._end,
        )

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        token: str = "",
        format: str = "json",
        logger: logging.Logger | None = None,
        reconnect: bool = True,
        timeout: float = 10.0,
    ) -> Self:
        """Connects and authenticates.

        Args:
            url: `http://host:port` or `ws://host:port/dwp`. token: an API key (`dispatch apikey create`).
            format: how frames are written, "json" or "msgpack".
            reconnect: whether a lost connection is made again. timeout: seconds that a request may take.

        Raises ConnectionLost, Unauthenticated, InvalidArguments, MissingExtra.

        >>> async with await Client.connect("http://127.0.0.1:8484", token="dk_…") as client:  # doctest: +SKIP
        ...     await client.enqueue("send_email", {"to": "ada@example.com"})
        """
        client = cls(url, token=token, format=format, logger=logger, reconnect=reconnect, timeout=timeout)
        await client._link.open()
        return client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection and all subscriptions; idempotent."""
        self._closing = True
        await self._link.close()

    # -- jobs ----------------------------------------------------------------------------------------------------

    async def enqueue(
        self,
        name: str,
        payload: Any = None,
        *,
        queue: str | None = None,
        priority: int | None = None,
        run_at: datetime | None = None,
        delay: timedelta | float | None = None,
        unique: str | bool | None = None,
        idempotency_key: str | None = None,
    ) -> Document:
        """Enqueues a job by its name; answers `job_id`, `queue`, `state` and `created`.

        Args:
            payload: an object (arguments by name) or a list (by position). delay: seconds or a timedelta.
            idempotency_key: makes asking again safe, so that a lost connection is waited out.

        Raises InvalidArguments, PayloadTooLarge, Conflict, and what every request raises.
        """
        data = _given(
            name=name,
            payload=payload,
            queue=queue,
            priority=priority,
            run_at=None if run_at is None else run_at.isoformat(),
            delay=delay.total_seconds() if isinstance(delay, timedelta) else delay,
            unique=unique,
            idempotency_key=idempotency_key,
        )
        return await self._ask("job.enqueue", data, repeatable=idempotency_key is not None)

    async def get_job(self, job_id: str) -> Document:
        """Everything that is known of a job. Raises NotFound."""
        return await self._ask("job.get", {"job_id": job_id}, repeatable=True)

    async def cancel_job(self, job_id: str) -> Document:
        """Cancels a job; answers `job_id` and `state`. Raises NotFound, Conflict."""
        return await self._ask("job.cancel", {"job_id": job_id})

    async def list_jobs(self, **filters: Any) -> Document:
        """Jobs, newest first, as `items` and `next_cursor`; filters: state, queue, name, tag (lists), limit, cursor."""
        return await self._ask("job.list", filters, repeatable=True)

    # -- workflows -----------------------------------------------------------------------------------------------

    async def start_workflow(
        self, name: str, input: Any = None, *, version: int | None = None, idempotency_key: str | None = None
    ) -> Document:
        """Starts a run; answers `run_id`, `name`, `state` and `created` at once. Arguments as for `enqueue`."""
        data = _given(name=name, input=input, version=version, idempotency_key=idempotency_key)
        return await self._ask("workflow.start", data, repeatable=idempotency_key is not None)

    async def get_workflow(self, run_id: str) -> Document:
        """Everything that is known of a run. Raises NotFound."""
        return await self._ask("workflow.get", {"run_id": run_id}, repeatable=True)

    async def cancel_workflow(self, run_id: str) -> Document:
        """Cancels a run, which takes back what it did. Raises NotFound, Conflict."""
        return await self._ask("workflow.cancel", {"run_id": run_id})

    async def workflow_timeline(self, run_id: str) -> list[Document]:
        """What a run has recorded, in order. Raises NotFound."""
        found: list[Document] = await self._link.request(
            "workflow.timeline", {"run_id": run_id}, timeout=self._timeout, repeatable=True
        )
        return found

    async def publish_event(
        self, name: str, payload: Any = None, *, key: str | int | None = None, run_id: str | None = None
    ) -> Document:
        """Publishes an event to runs that wait for it (with that key), or to one run; answers `event_id`, `name`."""
        return await self._ask("workflow.event", _given(name=name, payload=payload, key=key, run_id=run_id))

    # -- the rest ------------------------------------------------------------------------------------------------

    async def stats(self) -> Document:
        """How many jobs and runs there are by state, and how many dead letters."""
        return await self._ask("stats", {}, repeatable=True)

    async def request(self, method: str, data: Mapping[str, Any] | None = None, *, repeatable: bool = False) -> Any:
        """Any method of the protocol, such as `dlq.replay`; `repeatable` says that asking twice does no harm."""
        return await self._link.request(method, dict(data or {}), timeout=self._timeout, repeatable=repeatable)

    async def subscribe(self, channel: str, *, after: int | None = None) -> Subscription:
        """Listens to job:<id>, workflow:<run id>, queue:<name>, jobs, workflows, crons or firehose.

        What happens once this has returned is not missed, over reconnections too, unless the subscription says "reset".

        Args:
            after: the position of the last event that was seen; None: from now on.
        """
        if channel in self._subscriptions:
            raise InvalidArguments(f"this client listens to {channel} already; share that subscription, or close it")
        subscription = Subscription(channel, after, leave=self.unsubscribe, read=self._read)
        self._subscriptions[channel] = subscription
        try:
            await self._listen(subscription)
        except BaseException:
            self._subscriptions.pop(channel, None)
            raise
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Stops listening."""
        if self._subscriptions.pop(subscription.channel, None) is None:
            return
        subscription.end()
        try:
            await self._ask("unsubscribe", {"channel": subscription.channel})
        except (ConnectionLost, LookupError):
            return  # with the connection, the subscription went

    async def watch(self, entity_id: str) -> AsyncGenerator[Document, None]:
        """The document of a job or run now and after each change, until it has ended. Raises NotFound.

        >>> async for run in client.watch(run_id):  # doctest: +SKIP
        ...     print(run["state"])
        """
        is_run = entity_id.startswith("run_")
        look = self.get_workflow if is_run else self.get_job
        async with await self.subscribe(f"{'workflow' if is_run else 'job'}:{entity_id}") as events:
            document = await look(entity_id)
            yield document
            while document["state"] not in _TERMINAL:
                await anext(events)
                found = await look(entity_id)
                if found != document:
                    document = found
                    yield document

    # -- inside --------------------------------------------------------------------------------------------------

    async def _ask(self, method: str, data: Document, *, repeatable: bool = False) -> Document:
        found: Document = await self._link.request(method, data, timeout=self._timeout, repeatable=repeatable)
        return found

    async def _listen(self, subscription: Subscription) -> None:
        data = _given(channel=subscription.channel, after=subscription.after, credits=0)
        answer = await self._ask("subscribe", data, repeatable=True)
        subscription.id = answer["subscription_id"]
        if subscription.after is None:
            subscription.after = answer["after"]

    async def _read(self) -> None:
        """Lets the server send as many events more as were read."""
        self._unacknowledged += 1
        if self._unacknowledged >= _CREDITS:
            more, self._unacknowledged = self._unacknowledged, 0
            await self._link.grant(more)

    def _event(self, frame: Frame) -> None:
        subscription = self._subscriptions.get(frame.channel)
        if subscription is not None and isinstance(frame.body, dict):
            subscription.offer(frame.body)

    def _back(self) -> None:
        for subscription in list(self._subscriptions.values()):
            task = asyncio.ensure_future(self._listen_again(subscription))
            self._again.add(task)
            task.add_done_callback(self._again.discard)

    async def _listen_again(self, subscription: Subscription) -> None:
        try:
            await self._listen(subscription)
        except ConnectionLost:
            return  # the next connection listens again
        except DispatchError as error:
            self._subscriptions.pop(subscription.channel, None)
            subscription.end(error)

    def _end(self, error: DispatchError) -> None:
        subscriptions, self._subscriptions = list(self._subscriptions.values()), {}
        for subscription in subscriptions:
            subscription.end(None if self._closing else error)


def _given(**fields: Any) -> Document:
    return {name: value for name, value in fields.items() if value is not None}
