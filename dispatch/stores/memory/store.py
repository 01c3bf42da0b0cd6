"""MemoryStore: the facade that composes the parts and opens, closes and doubles itself."""

from __future__ import annotations

from dispatch.clock import Clock, SystemClock
from dispatch.store import SchemaStatus
from dispatch.stores.memory.cluster import MemoryCluster
from dispatch.stores.memory.crons import MemoryCrons
from dispatch.stores.memory.data import Data, Session
from dispatch.stores.memory.dlq import MemoryDLQ
from dispatch.stores.memory.events import MemoryEvents
from dispatch.stores.memory.jobs import MemoryJobs
from dispatch.stores.memory.queues import MemoryQueues
from dispatch.stores.memory.records import MemoryRecords
from dispatch.stores.memory.signal import MemoryWakeups
from dispatch.stores.memory.stream import MemoryStream
from dispatch.stores.memory.transfer import MemoryTransfer
from dispatch.stores.memory.workflows import MemoryWorkflows

_SCHEMA = 1


class MemoryStore:
    """A Store whose data lives as long as the object and its siblings do.

    Args:
        clock: what "now" is; default the machine's clock, tests pass a ManualClock.

    >>> store = MemoryStore()
    >>> store.url
    'memory://'
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._attach(Data(clock if clock is not None else SystemClock()))

    def _attach(self, data: Data) -> None:
        session = self._session = Session(data)
        self.jobs = MemoryJobs(session)
        self.queues = MemoryQueues(session)
        self.dlq = MemoryDLQ(session)
        self.events = MemoryEvents(session)
        self.crons = MemoryCrons(session)
        self.cluster = MemoryCluster(session)
        self.records = MemoryRecords(session)
        self.stream = MemoryStream(session)
        self.transfer = MemoryTransfer(session)
        self.workflows = MemoryWorkflows(session)
        self.wakeups = MemoryWakeups(session)

    @property
    def url(self) -> str:
        return "memory://"

    async def open(self) -> None:
        self._session.opened = True

    async def close(self) -> None:
        if self._session.opened:
            self._session.opened = False
            self._session.data.signal.bump()

    async def ping(self) -> None:
        with self._session:
            return

    async def migrate(self) -> list[str]:
        with self._session:
            return []

    async def schema(self) -> SchemaStatus:
        with self._session:
            return SchemaStatus(current=_SCHEMA, wanted=_SCHEMA)

    def sibling(self) -> MemoryStore:
        """A second, unopened store on the same data, for another thread's loop."""
        other = MemoryStore.__new__(MemoryStore)
        other._attach(self._session.data)
        return other
