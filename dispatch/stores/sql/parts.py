"""The parts that SQL stores have alike, each imported and made when it is first asked for: few processes need all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from dispatch.stores.sql.plan import Executor

if TYPE_CHECKING:
    from builtins import property as part  # a checker compares only this one with a protocol

    from dispatch.stores.sql.cluster import SQLCluster
    from dispatch.stores.sql.crons import SQLCrons
    from dispatch.stores.sql.dlq import SQLDeadLetters
    from dispatch.stores.sql.events import SQLEvents
    from dispatch.stores.sql.queues import SQLQueues
    from dispatch.stores.sql.records import SQLRecords
    from dispatch.stores.sql.transfer import SQLTransfer
    from dispatch.stores.sql.workflows import SQLWorkflows
else:
    from dispatch.lazily import lazily as part

__all__ = ["SQLParts", "part"]

E = TypeVar("E", bound=Executor)


class SQLParts(Generic[E]):
    """What a store over an executor has beside its jobs and its stream."""

    def __init__(self, executor: E) -> None:
        self._executor = executor

    @part
    def queues(self) -> SQLQueues:
        from dispatch.stores.sql.queues import SQLQueues

        return SQLQueues(self._executor)

    @part
    def dlq(self) -> SQLDeadLetters:
        from dispatch.stores.sql.dlq import SQLDeadLetters

        return SQLDeadLetters(self._executor)

    @part
    def events(self) -> SQLEvents:
        from dispatch.stores.sql.events import SQLEvents

        return SQLEvents(self._executor)

    @part
    def workflows(self) -> SQLWorkflows:
        from dispatch.stores.sql.workflows import SQLWorkflows

        return SQLWorkflows(self._executor)

    @part
    def crons(self) -> SQLCrons:
        from dispatch.stores.sql.crons import SQLCrons

        return SQLCrons(self._executor)

    @part
    def cluster(self) -> SQLCluster:
        from dispatch.stores.sql.cluster import SQLCluster

        return SQLCluster(self._executor)

    @part
    def records(self) -> SQLRecords:
        from dispatch.stores.sql.records import SQLRecords

        return SQLRecords(self._executor)

    @part
    def transfer(self) -> SQLTransfer:
        from dispatch.stores.sql.transfer import SQLTransfer

        return SQLTransfer(self._executor)
