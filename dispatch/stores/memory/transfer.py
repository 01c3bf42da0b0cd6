"""The transfer part of the memory store: everything out as documents, documents in as rows in their indexes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dispatch.clock import micros
from dispatch.dlq.model import DLQState
from dispatch.entity import LARGEST_PAGE, Page
from dispatch.errors import DataRejected
from dispatch.events.model import Event
from dispatch.jobs.model import WAITING, JobState
from dispatch.stores.memory import cron_documents as cron
from dispatch.stores.memory import documents as as_
from dispatch.stores.memory import transfer_runs as runs
from dispatch.stores.memory.data import Data, Session, insert_sorted
from dispatch.stores.memory.rows import Row, is_driver
from dispatch.stores.memory.walks import ordered, unordered
from dispatch.transfer import KINDS, RUN_KINDS, Document, TransferKind, checked


class MemoryTransfer:
    """The verbs of TransferStore."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def count(self) -> dict[TransferKind, int]:
        with self._session as data:
            found: dict[TransferKind, int] = {
                "definitions": len(data.announced),
                "queues": sum(queue.has_settings for queue in data.queues.values()),
                **runs.counts(data),
                "jobs": len(data.rows),
                "unique_keys": len(data.keys.unique),
                "idempotency": len(data.keys.idempotency),
                "dlq": len(data.letters),
                "events": len(data.events),
                "records": sum(len(records) for records in data.records.values()),
                "cron_codes": len(data.cron_codes),
                "crons": len(data.crons),
                "cron_ticks": sum(len(ticks) for ticks in data.ticks.values()),
            }
            return {kind: found[kind] for kind in KINDS}

    async def export(self, kind: TransferKind, *, after: str | None = None, limit: int = 500) -> Page[Document]:
        limit = max(1, min(limit, LARGEST_PAGE))
        with self._session as data:
            return _EXPORTS[kind](data, after, limit)

    async def load(self, kind: TransferKind, documents: Sequence[Document]) -> int:
        if not checked(kind, documents):
            return 0
        parse, add = _LOADS[kind]
        try:
            parsed = [parse(document) for document in documents]
        except (AttributeError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise DataRejected(f"a document of {kind} cannot be stored ({error!r}); nothing was written") from error
        with self._session as data:
            if kind in RUN_KINDS and kind != "runs":
                runs.must_have_runs(data, kind, [thing.run_id for thing in parsed])
            added = sum(add(data, document, thing) for document, thing in zip(documents, parsed, strict=True))
            data.signal.bump()
            return added


def _jobs(data: Data, after: str | None, limit: int) -> Page[Document]:
    return ordered(
        data.row_order, lambda id_: as_.job_document(data.rows[id_], data.attempts.get(id_, [])), after, limit
    )


def _letters(data: Data, after: str | None, limit: int) -> Page[Document]:
    return ordered(
        data.letter_order, lambda id_: as_.letter_document(data.letters[id_], data.origins[id_]), after, limit
    )


def _events(data: Data, after: str | None, limit: int) -> Page[Document]:
    return ordered(data.event_order, lambda id_: _event(data, data.events[id_]), after, limit)


def _event(data: Data, event: Event) -> Document:
    return as_.event_document(event, consumed=event.run_id is not None and not data.channels.unread(event))


def _definitions(data: Data, after: str | None, limit: int) -> Page[Document]:
    by_key = {(name, kind, version): found for (name, kind, version), found in data.announced.items()}
    return unordered(by_key, lambda key: as_.definition_document(by_key[key]), after, limit)


def _queues(data: Data, after: str | None, limit: int) -> Page[Document]:
    names = (name for name, queue in data.queues.items() if queue.has_settings)
    return unordered(names, lambda name: as_.queue_document(data.queues[name]), after, limit)


def _holds(data: Data, after: str | None, limit: int) -> Page[Document]:
    held = data.keys.unique
    return unordered(held, lambda key: as_.hold_document(key, held[key]), after, limit)


def _remembered(data: Data, after: str | None, limit: int) -> Page[Document]:
    made = data.keys.idempotency
    return unordered(made, lambda key: as_.remembered_document(key[0], key[1], made[key]), after, limit)


def _records(data: Data, after: str | None, limit: int) -> Page[Document]:
    keys = ((namespace, key) for namespace, records in data.records.items() for key in records)
    return unordered(keys, lambda key: as_.record_document(data.records[key[0]][key[1]]), after, limit)


def _codes(data: Data, after: str | None, limit: int) -> Page[Document]:
    return unordered(data.cron_codes, lambda digest: cron.code_document(data.cron_codes[digest]), after, limit)


def _crons(data: Data, after: str | None, limit: int) -> Page[Document]:
    return unordered(map(str, data.crons), lambda id_: cron.cron_document(data.crons[id_]), after, limit)


def _ticks(data: Data, after: str | None, limit: int) -> Page[Document]:
    found = {(str(id_), micros(at)): tick for id_, ticks in data.ticks.items() for at, tick in ticks.items()}
    return unordered(found, lambda key: cron.tick_document(found[key]), after, limit)


def _add_definition(data: Data, document: Document, found: Any) -> bool:
    return data.announced.setdefault((found.name, found.kind, found.version), found) is found


def _add_queue(data: Data, document: Document, found: Any) -> bool:
    config, pause = found
    queue = data.queue(config.name)
    if queue.has_settings:
        return False
    queue.config, queue.paused, queue.has_settings = config, pause, True
    return True


def _add_job(data: Data, document: Document, row: Row) -> bool:
    if row.id in data.rows:
        return False
    data.count_in(row)
    attempts = as_.attempts_of(document)
    if attempts:
        data.attempts[row.id] = attempts
    runs.adopt(data, row)
    row.successors = data.awaited.pop(row.id, ())
    if row.behind is not None:
        holder = data.rows.get(row.behind)
        if holder is None:
            data.awaited[row.behind] = (*data.awaited.get(row.behind, ()), row.id)
        else:
            holder.successors += (row.id,)
    if row.concurrency_key is not None and not row.state.terminal:
        data.concurrency.set_maximum(row.concurrency_key, row.concurrency_max or 1)
    if row.state in WAITING:
        if row.started_at is not None and is_driver(row):
            data.concurrency.start(row)
        data.queue(row.queue).ready.add(row, data.clock.now())
    elif row.state is JobState.RUNNING:
        assert row.worker_id is not None
        data.hand_to(row.worker_id, row)
        if row.cancel_requested:
            data.cancelling[row.id] = row
    elif row.kind != "workflow":
        data.ended[row.state][row.id] = row
        data.ended_anyhow.add(row.state)
    return True


def _job_of(document: Document) -> Row:
    row = as_.row_of(document)
    if row.state is JobState.RUNNING and (row.worker_id is None or row.lease_until is None):
        raise ValueError(f"{row.id} is running without a worker or a lease")
    if row.state.terminal and row.finished_at is None:
        raise ValueError(f"{row.id} is {row.state}, but has no end")
    return row


def _add_hold(data: Data, document: Document, hold: Any) -> bool:
    return data.keys.restore(document["key"], hold)


def _add_remembered(data: Data, document: Document, made: Any) -> bool:
    key = (document["tenant"], document["key"])
    if key in data.keys.idempotency:
        return False
    data.keys.remember(key, made)
    return True


def _add_letter(data: Data, document: Document, found: Any) -> bool:
    entry, origin = found
    if entry.id in data.letters:
        return False
    data.letters[entry.id], data.origins[entry.id] = entry, origin
    insert_sorted(data.letter_order, entry.id)
    row = data.rows.get(entry.job_id)
    if row is not None and row.state is JobState.FAILED and entry.state is not DLQState.RETRIED:
        row.letter = entry.id if row.letter is None else max(row.letter, entry.id)
    return True


def _add_event(data: Data, document: Document, event: Any) -> bool:
    if event.id in data.events:
        return False
    data.events[event.id] = event
    data.channels.add(event)
    if document["consumed"]:
        data.channels.consume(event)
    insert_sorted(data.event_order, event.id)
    return True


def _add_record(data: Data, document: Document, record: Any) -> bool:
    records = data.records.setdefault(record.namespace, {})
    if record.key in records:
        return False
    records[record.key] = record
    insert_sorted(data.record_order.setdefault(record.namespace, []), record.key)
    return True


def _add_code(data: Data, document: Document, one: Any) -> bool:
    return data.cron_codes.setdefault(one.digest, one) is one


def _add_cron(data: Data, document: Document, entry: Any) -> bool:
    name = (entry.spec.scope.tenant, entry.name)
    if entry.id in data.crons or any((e.spec.scope.tenant, e.name) == name for e in data.crons.values()):
        return False
    data.crons[entry.id] = entry
    return True


def _add_tick(data: Data, document: Document, tick: Any) -> bool:
    return data.ticks.setdefault(tick.entry_id, {}).setdefault(tick.scheduled_at, tick) is tick


_EXPORTS: dict[TransferKind, Callable[[Data, str | None, int], Page[Document]]] = {
    "definitions": _definitions,
    "queues": _queues,
    **runs.EXPORTS,
    "jobs": _jobs,
    "unique_keys": _holds,
    "idempotency": _remembered,
    "dlq": _letters,
    "events": _events,
    "records": _records,
    "cron_codes": _codes,
    "crons": _crons,
    "cron_ticks": _ticks,
}
_LOADS: dict[TransferKind, tuple[Callable[[Document], Any], Callable[[Data, Document, Any], bool]]] = {
    "definitions": (as_.definition_of, _add_definition),
    "queues": (as_.queue_of, _add_queue),
    **runs.LOADS,
    "jobs": (_job_of, _add_job),
    "unique_keys": (as_.hold_of, _add_hold),
    "idempotency": (as_.remembered_of, _add_remembered),
    "dlq": (as_.letter_of, _add_letter),
    "events": (as_.event_of, _add_event),
    "records": (as_.record_of, _add_record),
    "cron_codes": (cron.code_of, _add_code),
    "crons": (cron.cron_of, _add_cron),
    "cron_ticks": (cron.tick_of, _add_tick),
}
