"""The dlq part of the memory store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from dispatch.dlq.model import DLQEntry, DLQGroup, DLQState, ListOptions, Replayed
from dispatch.entity import Page, Reply
from dispatch.ids import DLQID, JobID
from dispatch.scope import Scope
from dispatch.stores.memory import changes
from dispatch.stores.memory.data import Session
from dispatch.stores.memory.pages import newest_first
from dispatch.stores.memory.rows import copy_json, in_scope


class MemoryDLQ:
    """The verbs of DLQStore."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def replay(
        self, entry_id: DLQID, new_id: JobID, *, scope: Scope | None = None, payload: bytes | None = None
    ) -> Replayed:
        with self._session as data:
            return changes.replay(data, entry_id, new_id, scope, payload, data.clock.now())

    async def discard(self, entry_id: DLQID, *, scope: Scope | None = None) -> Reply:
        with self._session as data:
            entry = data.letters.get(entry_id)
            if entry is None or not in_scope(entry.scope, scope):
                return Reply.MISSING
            if entry.state is not DLQState.OPEN:
                return Reply.CONFLICT
            entry.state = DLQState.DISCARDED
            entry.updated_at = data.clock.now()
            data.signal.bump()
            return Reply.APPLIED

    async def purge(
        self, *, older_than: float = 0.0, states: Sequence[DLQState] = (), scope: Scope | None = None, limit: int = 1000
    ) -> int:
        with self._session as data:
            died_by = data.clock.now() - timedelta(seconds=older_than)
            doomed = [
                entry
                for entry in data.letters.values()
                if (entry.created_at < died_by or older_than <= 0)
                and (not states or entry.state in states)
                and in_scope(entry.scope, scope)
            ]
            doomed.sort(key=lambda entry: (entry.created_at, entry.id))
            doomed = doomed[: max(0, limit)]
            for entry in doomed:
                del data.letters[entry.id], data.origins[entry.id]
            if doomed:
                gone = {entry.id for entry in doomed}
                data.letter_order = [entry_id for entry_id in data.letter_order if entry_id not in gone]
                data.signal.bump()
            return len(doomed)

    async def get(self, entry_id: DLQID, *, scope: Scope | None = None) -> DLQEntry | None:
        with self._session as data:
            entry = data.letters.get(entry_id)
            return _copy(entry) if entry is not None and in_scope(entry.scope, scope) else None

    async def groups(self, *, scope: Scope | None = None) -> list[DLQGroup]:
        members: dict[tuple[str, str], list[DLQEntry]] = {}
        with self._session as data:
            for entry in data.letters.values():
                if entry.state is DLQState.OPEN and in_scope(entry.scope, scope):
                    members.setdefault((entry.job_name, _error_type(entry)), []).append(entry)
        groups = [
            DLQGroup(
                job_name=name,
                error_type=error_type,
                count=len(entries),
                oldest_at=min(entry.created_at for entry in entries),
                newest_at=max(entry.created_at for entry in entries),
                sample=max(entry.id for entry in entries),
            )
            for (name, error_type), entries in members.items()
        ]
        return sorted(groups, key=lambda group: (-group.count, group.job_name, group.error_type))

    async def count(self, options: ListOptions) -> int:
        with self._session as data:
            return sum(_matches(entry, options) for entry in data.letters.values())

    async def list(self, options: ListOptions) -> Page[DLQEntry]:
        with self._session as data:
            return newest_first(
                data.letter_order,
                data.letters,
                lambda entry: _matches(entry, options),
                _copy,
                limit=options.limit,
                cursor=options.cursor,
            )


def _matches(entry: DLQEntry, options: ListOptions) -> bool:
    return (
        (not options.states or entry.state in options.states)
        and (not options.queues or entry.queue in options.queues)
        and (not options.names or entry.job_name in options.names)
        and (not options.error_types or _error_type(entry) in options.error_types)
        and in_scope(entry.scope, options.scope)
        and (options.created_before is None or entry.created_at < options.created_before)
    )


def _error_type(entry: DLQEntry) -> str:
    return entry.error.type if entry.error is not None else ""


def _copy(entry: DLQEntry) -> DLQEntry:
    return replace(entry, metadata=copy_json(entry.metadata), backoff=copy_json(entry.backoff))
