"""How far the feed has been forwarded: one record, moved by compare-and-set."""

from __future__ import annotations

import json
from dataclasses import dataclass

from dispatch.records import Record
from dispatch.store import Store
from dispatch_relay.events import DEFINITIONS

NAMESPACE = "webhook.cursor"
KEY = "feed"
FEED = tuple(definition.feed_type for definition in DEFINITIONS.values())
"""The channels of the store's feed that the relay reads."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the feed."""

    position: int
    """What is after it is still to be forwarded."""
    by: str = ""
    """The forwarder that moved it there."""

    @staticmethod
    def of(record: Record) -> Cursor:
        """The cursor in a record."""
        held = json.loads(record.value)
        return Cursor(held["position"], held.get("by", ""))

    def document(self) -> bytes:
        """As it is stored."""
        return json.dumps({"position": self.position, "by": self.by}).encode()


async def end_of_feed(store: Store) -> int:
    """The present end."""
    return (await store.stream.read_after(FEED, -1)).position


async def cursor_record(store: Store) -> Record:
    """The cursor's record. The first one stands at the present end: it has to be there before anybody listens, or what
    happens until the first worker starts would lie behind it."""
    record = await store.records.get(NAMESPACE, KEY)
    while record is None:
        first = Cursor(await end_of_feed(store)).document()
        record = await store.records.put(NAMESPACE, KEY, first, if_version=0)
        record = record or await store.records.get(NAMESPACE, KEY)
    return record


async def move(store: Store, record: Record, cursor: Cursor) -> None:
    """Moves the cursor, unless somebody else has moved it since the record was read."""
    await store.records.put(NAMESPACE, KEY, cursor.document(), if_version=record.version)
