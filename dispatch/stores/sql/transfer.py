"""The transfer part of a SQL store: rows out as documents, documents in as rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dispatch.entity import LARGEST_PAGE, Page
from dispatch.errors import DataRejected
from dispatch.jobs.model import WAITING, JobState
from dispatch.scope import Scope
from dispatch.stores.sql.finish import ready
from dispatch.stores.sql.limits import burst
from dispatch.stores.sql.plan import Do, Each, Executor, Many, Plan, Rows
from dispatch.stores.sql.rows import NEVER, names_text, parsed, to_text
from dispatch.transfer import ATTEMPT_FIELDS, FIELDS, KINDS, Document, TransferKind, checked, left_as

_ROOM = 4 * 1024 * 1024
"""Bytes of payloads and results in one page."""
_FLAGS = (
    *("fair", "live", "set_aside", "keep_result", "enabled", "orphaned", "consumed"),
    *("compensating", "compensated", "compensation_failed", "parked", "awaited", "abandon", "inherited"),
)
_REALS = ("timeout", "progress", "rate_limit")
_OBJECTS: dict[str, Any] = {
    "metadata": {},
    "backoff": None,
    "schema": {},
    "options": {},
    "spec": {},
    "tags": [],
    "events": [],
}
"""Columns that hold JSON, and what stands for NULL."""


@dataclass(frozen=True, slots=True)
class _Table:
    """How one kind is kept: the statements that read and add rows, and the key with what is below any value of it."""

    export: str
    load: str
    key: dict[str, Any]


_TABLES: dict[TransferKind, _Table] = {
    "definitions": _Table("export_definitions", "load_definition", {"name": "", "kind": "", "version": -1}),
    "queues": _Table("export_queues", "load_queue", {"name": ""}),
    "runs": _Table("export_runs", "load_run", {"id": ""}),
    "checkpoints": _Table("export_checkpoints", "load_checkpoint", {"run_id": "", "position": -1}),
    "child_results": _Table("export_child_results", "load_child_result", {"run_id": "", "step": ""}),
    "waits": _Table("export_waits", "load_wait", {"run_id": "", "name": ""}),
    "jobs": _Table("export_jobs", "load_job", {"id": ""}),
    "unique_keys": _Table("export_unique_keys", "load_unique_key", {"key": ""}),
    "idempotency": _Table("export_idempotency", "load_idempotency", {"tenant": "", "key": ""}),
    "dlq": _Table("export_dlq", "load_entry", {"id": ""}),
    "events": _Table("export_events", "load_event", {"id": ""}),
    "records": _Table("export_records", "load_record", {"namespace": "", "key": ""}),
    "cron_codes": _Table("export_cron_codes", "keep_cron_code", {"digest": ""}),
    "crons": _Table("export_crons", "load_cron", {"id": ""}),
    "cron_ticks": _Table("export_cron_ticks", "load_cron_tick", {"entry_id": "", "scheduled_at": -(1 << 62)}),
}


class SQLTransfer:
    """TransferStore over any SQL executor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def count(self) -> dict[TransferKind, int]:
        def plan() -> Plan[dict[TransferKind, int]]:
            found = dict((yield Rows("transfer_counts", {})))
            return {kind: found[kind] for kind in KINDS}

        return await self._executor.run(plan, write=False)

    async def export(self, kind: TransferKind, *, after: str | None = None, limit: int = 500) -> Page[Document]:
        limit = max(1, min(limit, LARGEST_PAGE))
        return await self._executor.run(lambda: _export(kind, after, limit), write=False)

    async def load(self, kind: TransferKind, documents: Sequence[Document]) -> int:
        if not checked(kind, documents):
            return 0
        try:
            rows = [_row_of(kind, document, self._executor.now()) for document in documents]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataRejected(f"a document of {kind} cannot be stored ({error!r}); nothing was written") from error
        return await self._executor.run(lambda: _load(kind, documents, rows))


def _export(kind: TransferKind, after: str | None, limit: int) -> Plan[Page[Document]]:
    key = _TABLES[kind].key
    params: dict[str, Any] = {"limit": limit, "room": _ROOM}
    if len(key) == 1:
        params["after"] = "" if after is None else after
    else:
        params |= key if after is None else dict(zip(key, json.loads(after), strict=True))
    rows = yield Rows(_TABLES[kind].export, params)
    columns = FIELDS[kind][:-1] if kind in ("jobs", "runs") else FIELDS[kind]
    documents = [_document_of(dict(zip(columns, row, strict=True))) for row in rows]
    if kind == "jobs":
        yield from _add_attempts(documents)
    if kind == "runs":
        yield from _add_groups(documents)
    return Page(documents, _place(key, documents[-1]) if documents else None)


def _place(key: dict[str, Any], document: Document) -> str:
    values = [document[column] for column in key]
    return values[0] if len(values) == 1 else json.dumps(values)


def _document_of(document: Document) -> Document:
    """The columns as documents have them."""
    for name in _FLAGS:
        if document.get(name) is not None:
            document[name] = bool(document[name])
    for name in _REALS:
        if document.get(name) is not None:
            document[name] = float(document[name])
    for name, empty in _OBJECTS.items():
        if name in document:
            found = parsed(document[name], [] if empty == [] else {})
            document[name] = found or (None if empty is None else found)
    if "left_as" in document:
        document["left_as"] = left_as(document)
    for name in ("payload", "data"):
        if document.get(name, b"") is None:
            document[name] = b""
    return document


def _add_attempts(jobs: list[Document]) -> Plan[None]:
    by_id = {job["id"]: job for job in jobs}
    for job in jobs:
        job["attempts"] = []
    for job_id, *values in (yield Rows("export_attempts", {"ids": names_text(by_id)})) if jobs else ():
        by_id[job_id]["attempts"].append(dict(zip(ATTEMPT_FIELDS, values, strict=True)))


def _add_groups(runs: list[Document]) -> Plan[None]:
    by_id = {run["id"]: run for run in runs}
    found: dict[tuple[str, int], Document] = {}
    for run in runs:
        run["groups"] = []
    for run_id, number, mode, step in (yield Rows("export_groups", {"ids": names_text(by_id)})) if runs else ():
        group = found.get((run_id, number))
        if group is None:
            group = found[run_id, number] = {"mode": mode, "steps": []}
            by_id[run_id]["groups"].append(group)
        if step is not None:
            group["steps"].append(step)


def _row_of(kind: TransferKind, document: Document, now: int) -> dict[str, Any]:
    """The parameters of the statement that adds the row."""
    row = {**document}
    for name in _OBJECTS:
        if name in row:
            row[name] = to_text(row[name]) if kind in ("jobs", "dlq") else json.dumps(row[name])
    for name in _FLAGS:
        if row.get(name) is not None:
            row[name] = int(row[name])
    if kind == "queues":
        rate = row["rate_limit"]
        row |= {"now": now, "tokens": burst(rate, row["rate_burst"]) if rate else 0.0}
    if kind == "crons":
        scope = Scope(*document["spec"]["scope"])
        row |= {"name": document["spec"]["name"], "tenant": scope.tenant, "app_id": scope[0], "org_id": scope[1]}
    if kind == "jobs":
        waits = JobState(row["state"]) in WAITING and not row["set_aside"] and row["behind"] is None
        sleeps = row["kind"] == "workflow" and row["run_at"] >= NEVER
        row["ready"] = ready(row["crashes"]) if waits and not sleeps else 0
        del row["attempts"]
    if kind == "runs":
        del row["groups"]
    return row


def _load(kind: TransferKind, documents: Sequence[Document], rows: Sequence[dict[str, Any]]) -> Plan[int]:
    columns = tuple(rows[0])
    values = [tuple(row[column] for column in columns) for row in rows]
    yield Do("hush", {})
    added: list[int] = yield Each(_TABLES[kind].load, columns, values)
    yield Do("hush", {})
    fresh = [document for document, new in zip(documents, added, strict=True) if new]
    if kind == "jobs":
        yield from _load_beside_jobs(fresh)
    elif kind == "runs":
        yield from _load_groups(fresh)
    elif kind == "waits":
        events = [(d["run_id"], d["name"], event, d["key"], d["since"]) for d in fresh for event in d["events"]]
        yield Many("load_wait_event", ("run_id", "name", "event", "key", "since"), events)
    return sum(added)


def _load_beside_jobs(fresh: Sequence[Document]) -> Plan[None]:
    """The maxima of keys and the attempts that jobs which were just added bring."""
    keys = {
        job["concurrency_key"]: job["concurrency_max"]
        for job in fresh
        if job["concurrency_key"] is not None and job["finished_at"] is None
    }
    attempts = [
        (job["id"], *(attempt[name] for name in ATTEMPT_FIELDS)) for job in fresh for attempt in job["attempts"]
    ]
    if keys:
        yield Many("set_key", ("key", "most"), list(keys.items()))
    if attempts:
        yield Many("load_attempt", ("job_id", *ATTEMPT_FIELDS), attempts)


def _load_groups(fresh: Sequence[Document]) -> Plan[None]:
    """What runs that were just added are parked on."""
    groups, steps = [], []
    for run in fresh:
        for number, group in enumerate(run["groups"]):
            left = set(group["steps"])
            groups.append(
                (run["id"], number, group["mode"], min(1, len(left)) if group["mode"] == "any" else len(left))
            )
            steps += [(run["id"], step, number) for step in sorted(left)]
    if groups:
        yield Many("load_group", ("run_id", "number", "mode", "remaining"), groups)
    if steps:
        yield Many("load_group_step", ("run_id", "step", "number"), steps)
