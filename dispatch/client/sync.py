"""The client for threads: the same verbs, waiting for their answers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar

from dispatch.client.client import Client, Document
from dispatch.client.subscription import Event, Subscription
from dispatch.portal import portal, run_sync

T = TypeVar("T")


class SyncSubscription:
    """Iterate over it for the events of a channel; each step waits for the next one."""

    def __init__(self, inner: Subscription, wait: Callable[[Callable[[], Awaitable[Any]]], Any]) -> None:
        self._inner = inner
        self._wait = wait

    @property
    def after(self) -> int | None:
        """The position of the last event that came."""
        return self._inner.after

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event: Event | None = self._wait(lambda: _next(self._inner))
        if event is None:
            raise StopIteration
        return event

    def close(self) -> None:
        """Stops listening."""
        self._wait(self._inner.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SyncClient:
    """As Client, for code without an event loop; every verb takes and answers what it does there.

    >>> with SyncClient.connect("http://127.0.0.1:8484", token="dk_…") as client:  # doctest: +SKIP
    ...     client.enqueue("send_email", {"to": "ada@example.com"})
    """

    def __init__(self, inner: Client) -> None:
        self._inner = inner

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        token: str = "",
        format: str = "json",
        logger: logging.Logger | None = None,
        reconnect: bool = True,
        timeout: float = 10.0,
    ) -> Self:
        """Connects and authenticates, as Client.connect. Raises SyncInAsync where an event loop is running."""
        make = lambda: Client.connect(  # noqa: E731
            url, token=token, format=format, logger=logger, reconnect=reconnect, timeout=timeout
        )
        return cls(run_sync(portal.loop, make))

    def close(self) -> None:
        """Ends the connection and all subscriptions; idempotent."""
        self._wait(self._inner.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def enqueue(
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
        """As Client.enqueue."""
        return self._wait(
            lambda: self._inner.enqueue(
                name,
                payload,
                queue=queue,
                priority=priority,
                run_at=run_at,
                delay=delay,
                unique=unique,
                idempotency_key=idempotency_key,
            )
        )

    def get_job(self, job_id: str) -> Document:
        """As Client.get_job."""
        return self._wait(lambda: self._inner.get_job(job_id))

    def cancel_job(self, job_id: str) -> Document:
        """As Client.cancel_job."""
        return self._wait(lambda: self._inner.cancel_job(job_id))

    def list_jobs(self, **filters: Any) -> Document:
        """As Client.list_jobs."""
        return self._wait(lambda: self._inner.list_jobs(**filters))

    def start_workflow(
        self, name: str, input: Any = None, *, version: int | None = None, idempotency_key: str | None = None
    ) -> Document:
        """As Client.start_workflow."""
        return self._wait(
            lambda: self._inner.start_workflow(name, input, version=version, idempotency_key=idempotency_key)
        )

    def get_workflow(self, run_id: str) -> Document:
        """As Client.get_workflow."""
        return self._wait(lambda: self._inner.get_workflow(run_id))

    def cancel_workflow(self, run_id: str) -> Document:
        """As Client.cancel_workflow."""
        return self._wait(lambda: self._inner.cancel_workflow(run_id))

    def workflow_timeline(self, run_id: str) -> list[Document]:
        """As Client.workflow_timeline."""
        return self._wait(lambda: self._inner.workflow_timeline(run_id))

    def publish_event(
        self, name: str, payload: Any = None, *, key: str | int | None = None, run_id: str | None = None
    ) -> Document:
        """As Client.publish_event."""
        return self._wait(lambda: self._inner.publish_event(name, payload, key=key, run_id=run_id))

    def stats(self) -> Document:
        """As Client.stats."""
        return self._wait(self._inner.stats)

    def request(self, method: str, data: Mapping[str, Any] | None = None, *, repeatable: bool = False) -> Any:
        """As Client.request."""
        return self._wait(lambda: self._inner.request(method, data, repeatable=repeatable))

    def subscribe(self, channel: str, *, after: int | None = None) -> SyncSubscription:
        """As Client.subscribe."""
        return SyncSubscription(self._wait(lambda: self._inner.subscribe(channel, after=after)), self._wait)

    def watch(self, entity_id: str) -> Iterator[Document]:
        """As Client.watch."""
        changes = self._inner.watch(entity_id)
        try:
            while (document := self._wait(lambda: _next(changes))) is not None:
                yield document
        finally:
            self._wait(changes.aclose)

    def _wait(self, make: Callable[[], Awaitable[T]]) -> T:
        return run_sync(portal.loop, make)


async def _next(items: Any) -> Any:
    """The next item, or None at the end."""
    try:
        return await anext(items)
    except StopAsyncIteration:
        return None
