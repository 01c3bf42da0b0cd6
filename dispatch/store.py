"""The Store: its parts by attribute, its life cycle, its wake-ups. One protocol method is one atomic act."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from dispatch.cluster.store import ClusterStore
    from dispatch.crons.store import CronStore
    from dispatch.dlq.store import DLQStore
    from dispatch.events.store import EventStore
    from dispatch.jobs.store import JobStore
    from dispatch.queues import QueueStore
    from dispatch.records import RecordStore
    from dispatch.streams import StreamStore
    from dispatch.transfer import TransferStore
    from dispatch.workflows.store import WorkflowStore


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """What a store's schema is and what this library wants."""

    current: int
    """0: empty."""
    wanted: int
    pending: tuple[str, ...] = ()
    """Names of the migrations still to be applied, in order."""


class Wakeups(Protocol):
    """Hints that something may have changed; polling remains the truth."""

    @property
    def version(self) -> int:
        """Rises whenever somebody (this process or another) may have changed the store."""
        ...

    async def wait(self, seen: int, timeout: float) -> int:
        """Waits until `version` differs from `seen`, at most `timeout` seconds; answers the version now."""
        ...


@runtime_checkable
class TellsAtOnce(Protocol):
    """What the wakeups of a store offer beside Wakeups where changes are heard on the loop that uses the store."""

    def tell(self, changed: Callable[[], object]) -> Callable[[], object]:
        """Calls `changed`, which must not raise, as soon as `version` rises, while somebody waits; answers what ends
        that."""
        ...


class Store(Protocol):
    """A backend. Open before use, on the loop that will use it; every part's verbs are safe to call concurrently."""

    @property
    def url(self) -> str:
        """Where the data is, with any password masked."""
        ...

    @property
    def jobs(self) -> JobStore: ...
    @property
    def queues(self) -> QueueStore: ...
    @property
    def dlq(self) -> DLQStore: ...
    @property
    def events(self) -> EventStore: ...
    @property
    def crons(self) -> CronStore: ...
    @property
    def cluster(self) -> ClusterStore: ...
    @property
    def records(self) -> RecordStore: ...
    @property
    def stream(self) -> StreamStore: ...
    @property
    def transfer(self) -> TransferStore: ...
    @property
    def workflows(self) -> WorkflowStore: ...
    @property
    def wakeups(self) -> Wakeups: ...

    async def open(self) -> None:
        """Connects; creates an empty store and migrates an older one where the store's `migrate` option allows it.

        Raises StoreUnreachable, StoreCorrupt, StoreReadOnly, StoreBusy, SchemaMismatch.
        """
        ...

    async def close(self) -> None:
        """Disconnects; idempotent."""
        ...

    async def ping(self) -> None:
        """Answers when the store does; raises a StoreError otherwise."""
        ...

    async def migrate(self) -> list[str]:
        """Applies what is pending, safely against other processes doing the same; answers the names applied."""
        ...

    async def schema(self) -> SchemaStatus:
        """The state of the schema; works on a store that was opened with migrate="never"."""
        ...

    def sibling(self) -> Store:
        """A second, unopened store on the same data with connections of its own, for another thread's loop.

        The heartbeat uses one: its writes go before those of its siblings wherever they queue.
        """
        ...
