"""Endpoints in the store: small documents that change by compare-and-set, and who listens for their sake."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from dispatch.entity import LARGEST_PAGE
from dispatch.records import Record
from dispatch.store import Store
from dispatch_relay.cursor import cursor_record, end_of_feed
from dispatch_relay.endpoint import Endpoint, Secret
from dispatch_relay.errors import EndpointChanged, EndpointExists, EndpointNotFound
from dispatch_relay.events import DEFINITIONS, PREFIX

NAMESPACE = "webhook.endpoints"
LISTEN_FOR = 7 * 86400.0
"""Seconds for which the store goes on writing events down although no worker runs."""
_TRIES = 20


class Endpoints:
    """The endpoints of a store.

    Args:
        store: where they are. enabled: the event types that are sent at all.
    """

    def __init__(self, store: Store, *, enabled: Collection[str] = tuple(DEFINITIONS)) -> None:
        self._store = store
        self._enabled = frozenset(enabled)

    async def all(self) -> list[Endpoint]:
        """Every endpoint, by name."""
        found: list[Endpoint] = []
        cursor: str | None = None
        while True:
            page = await self._store.records.list(NAMESPACE, limit=LARGEST_PAGE, cursor=cursor)
            found += [endpoint_of(record) for record in page.items]
            if (cursor := page.next_cursor) is None:
                return found

    async def get(self, name: str) -> Endpoint:
        """The endpoint. Raises EndpointNotFound."""
        return endpoint_of(await self._record(name))

    async def add(self, endpoint: Endpoint) -> Endpoint:
        """Stores a new endpoint; it gets what happens from now on. Raises EndpointExists."""
        await cursor_record(self._store)
        end = await end_of_feed(self._store)
        added = endpoint.model_copy(update={"since": end, "asked_at": end})
        if await self._store.records.put(NAMESPACE, added.name, _bytes(added), if_version=0) is None:
            raise EndpointExists(
                f"there is an endpoint {added.name!r} already; choose another name, or remove it first"
            )
        await self.listen(added)
        return added

    async def change(self, name: str, act: Callable[[Endpoint], Endpoint]) -> Endpoint:
        """Stores what `act` makes of the endpoint; it may be asked again, for what somebody else made of it meanwhile.

        Raises EndpointNotFound, EndpointChanged.
        """
        for _ in range(_TRIES):
            record = await self._record(name)
            before = endpoint_of(record)
            after = act(before)
            if after == before:
                return before
            after = await self._dated(before, after)
            if not after.enabled:  # before it is stored: whoever enables it then listens after that
                await self._store.stream.unlisten(listener_of(name))
            if await self._store.records.put(NAMESPACE, name, _bytes(after), if_version=record.version) is not None:
                await self.listen(after)
                return after
            await self.listen(before)
        raise EndpointChanged(f"the endpoint {name!r} was changed by others again and again; nothing was done")

    async def remove(self, name: str) -> None:
        """Deletes the endpoint; what still waits for it is not sent. Raises EndpointNotFound."""
        await self._record(name)
        await self._store.stream.unlisten(listener_of(name))
        await self._store.records.delete(NAMESPACE, name)

    async def listen(self, endpoint: Endpoint) -> None:
        """Lets the store write down what the endpoint wants to hear of."""
        channels = [name.removeprefix(PREFIX) for name in endpoint.types(self._enabled)]
        if endpoint.enabled and channels:
            await self._store.stream.listen(channels, listener_of(endpoint.name), lease=LISTEN_FOR)

    async def _dated(self, before: Endpoint, after: Endpoint) -> Endpoint:
        back = after.enabled and not before.enabled
        if not back and after.events == before.events:
            return after
        end = await end_of_feed(self._store)
        return after.model_copy(update={"since": end if back else after.since, "asked_at": end})

    async def _record(self, name: str) -> Record:
        record = await self._store.records.get(NAMESPACE, name)
        if record is None:
            raise no_endpoint(name)
        return record


def no_endpoint(name: str) -> EndpointNotFound:
    """What is said of a name that no endpoint has."""
    return EndpointNotFound(f"there is no webhook endpoint {name!r}; `dispatch webhook list` shows them")


def listener_of(name: str) -> str:
    """Who listens to the feed for an endpoint: one each, so that ending one listener takes nothing from another."""
    return f"relay:{name}"


def endpoint_of(record: Record) -> Endpoint:
    """The endpoint in a record."""
    return Endpoint.model_validate_json(record.value)


def rotated(endpoint: Endpoint, secret: str, *, until: datetime) -> Endpoint:
    """The endpoint with a new secret; the present one signs beside it until then, older ones no more."""
    if endpoint.secrets[0].value == secret:
        return endpoint
    old = Secret(value=endpoint.secrets[0].value, until=until)
    return endpoint.model_copy(update={"secrets": [Secret(value=secret), old]})


def _bytes(endpoint: Endpoint) -> bytes:
    return endpoint.model_dump_json().encode()
