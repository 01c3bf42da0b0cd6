"""The transfer part of the Redis store: everything out as documents, documents in as hashes in their indexes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from dispatch.dlq.model import DLQState
from dispatch.entity import LARGEST_PAGE, Page
from dispatch.jobs.model import JobState
from dispatch.stores.redis import documents as as_
from dispatch.stores.redis import transfer_crons as crons
from dispatch.stores.redis import transfer_runs as runs
from dispatch.stores.redis.client import RedisClient
from dispatch.stores.redis.dlq import CODES as LETTER_CODES
from dispatch.stores.redis.dlq import STATES as LETTER_STATES
from dispatch.stores.redis.rows import CODES, STATES, table, to_json
from dispatch.transfer import KINDS, RUN_KINDS, Document, TransferKind, checked, left_as

_AT_ONCE = 200
_STRIDE = 9


class RedisTransfer:
    """The verbs of TransferStore."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def count(self) -> dict[TransferKind, int]:
        kept = [kind for kind in KINDS if kind not in RUN_KINDS]
        found = dict(zip(kept, await self._client.run("tally"), strict=True))
        found |= await runs.counts(self._client)
        return {kind: found[kind] for kind in KINDS}

    async def export(self, kind: TransferKind, *, after: str | None = None, limit: int = 500) -> Page[Document]:
        limit = max(1, min(limit, LARGEST_PAGE))
        if kind in RUN_KINDS:
            return await runs.export(self._client, kind, after, limit)
        if kind == "definitions":
            flat = await self._client.command("HGETALL", f"{self._client.prefix}definitions")
            items = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
            return _page([_definition(*item) for item in items], ("name", "kind", "version"), after, limit)
        if kind == "queues":
            return _page([_queue(*one) for one in await self._client.run("settings")], ("name",), after, limit)
        if kind == "cron_codes":
            flat = await self._client.command("HGETALL", f"{self._client.prefix}cc")
            items = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
            return _page([crons.code_document(*item) for item in items], ("digest",), after, limit)
        if kind == "crons":
            entries = (await self._client.run("cron_read", "entries"))[2]
            return _page([crons.cron_document(*entry) for entry in entries], ("id",), after, limit)
        if kind in ("records", "cron_ticks"):
            place = ("", "") if after is None else json.loads(after)
            rows = await self._client.run("export", kind, *place, limit)
        else:
            rows = await self._client.run("export", kind, after or "", limit)
        found = [_READ[kind](row) for row in rows]
        return Page([document for _, document in found], found[-1][0] if found else None)

    async def load(self, kind: TransferKind, documents: Sequence[Document]) -> int:
        if not checked(kind, documents):
            return 0
        if kind in RUN_KINDS:
            return await runs.load(self._client, kind, documents, at_once=_AT_ONCE)
        try:
            rows = [_WRITE[kind](document) for document in documents]
        except (AttributeError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise as_.refused(kind, error) from error
        calls = [
            [kind, *(part for row in rows[at : at + _AT_ONCE] for part in row)] for at in range(0, len(rows), _AT_ONCE)
        ]
        return sum(await self._client.run_all("load", calls, together=len(calls) > 1))


def _page(found: list[Document], key: Sequence[str], after: str | None, limit: int) -> Page[Document]:
    """A page of what is few enough to be read as a whole."""
    least = None if after is None else json.loads(after)
    keyed = sorted(([document[part] for part in key], document) for document in found)
    page = [pair for pair in keyed if least is None or pair[0] > least][:limit]
    return Page([document for _, document in page], json.dumps(page[-1][0]) if page else None)


def _definition(field: bytes, stored: bytes) -> Document:
    name, kind, version = json.loads(field)
    queue, schema, options = json.loads(stored)
    return {
        "name": name,
        "kind": kind,
        "version": version,
        "queue": queue,
        "schema": json.loads(schema),
        "options": json.loads(options),
    }


def _queue(name: bytes, settings: Sequence[bytes]) -> Document:
    return {"name": name.decode(), **as_.read(as_.QUEUE, table(settings))}


def _job(row: Sequence[Any]) -> tuple[str, Document]:
    flat, attempts = row
    found = table(flat)
    id_ = found[b"id"].decode()
    document = as_.work_document(as_.JOB, found, id_)
    document |= {"id": id_, "state": STATES[found[b"st"]].value, "attempts": as_.attempt_documents(attempts, _STRIDE)}
    document["lease_until"] = int(float(found[b"le"])) if b"le" in found else None
    document["left_as"] = left_as(document)
    return id_, document


def _letter(row: Sequence[Any]) -> tuple[str, Document]:
    id_, found = row[0].decode(), table(row[1])
    document = as_.work_document(as_.LETTER, found, found[b"j"].decode())
    return id_, {**document, "id": id_, "state": LETTER_STATES[found[b"st"]].value}


def _event(row: Sequence[Any]) -> tuple[str, Document]:
    id_ = row[0].decode()
    return id_, {"id": id_, **as_.read(as_.EVENT, table(row[1]))}


def _record(row: Sequence[Any]) -> tuple[str, Document]:
    namespace, key = row[0].decode(), row[1].decode()
    document = {"namespace": namespace, "key": key, **as_.read(as_.RECORD, table(row[2]))}
    return json.dumps([namespace, key]), document


def _hold(row: Sequence[bytes]) -> tuple[str, Document]:
    live, held, job_id = row[1].decode().split(":", 2)
    key = row[0].decode()
    return key, {"key": key, "job_id": job_id, "live": live == "1", "hold_until": int(held) if held else None}


def _remembered(row: Sequence[bytes]) -> tuple[str, Document]:
    tenant, key = row[0].decode(), row[1].decode()
    expires, _, rest = row[2].decode().partition(":")
    fingerprint, _, job_id = rest.rpartition(":")
    document = {"tenant": tenant, "key": key, "job_id": job_id, "fingerprint": fingerprint, "expires_at": int(expires)}
    return f"{tenant}\0{key}", document


def _fields(found: Sequence[Any]) -> list[Any]:
    return [len(found), *found]


def _write_job(d: Document) -> list[Any]:
    state = JobState(d["state"])
    if state is JobState.RUNNING and (d["worker_id"] is None or d["lease_until"] is None):
        raise ValueError(f"{d['id']} is running without a worker or a lease")
    if state.terminal and d["finished_at"] is None:
        raise ValueError(f"{d['id']} is {state}, but has no end")
    attempts = [part for attempt in d["attempts"] for part in as_.attempt_parts(attempt)]
    lease = "" if d["lease_until"] is None else int(d["lease_until"])
    fields = ["st", CODES[state], *as_.work_fields(as_.JOB, d)]
    return [d["id"], *_fields(fields), lease, len(attempts), *attempts]


def _write_letter(d: Document) -> list[Any]:
    fields = ["st", LETTER_CODES[DLQState(d["state"])], *as_.work_fields(as_.LETTER, d)]
    if "rs" not in fields[::2] or "ek" not in fields[::2]:
        raise ValueError(f"{d['id']} has no reason or no effect_key")
    return [d["id"], *_fields(fields)]


def _write_hold(d: Document) -> list[Any]:
    fields = ["job", d["job_id"], "live", int(d["live"])]
    if d["hold_until"] is not None:
        fields += ("held", int(d["hold_until"]))
    return [d["key"], *_fields(fields)]


def _write_remembered(d: Document) -> list[Any]:
    fields = ("job", d["job_id"], "fingerprint", d["fingerprint"], "expires", int(d["expires_at"]))
    return [d["tenant"], d["key"], *_fields(fields)]


def _write_queue(d: Document) -> list[Any]:
    fields = as_.write(as_.QUEUE, d)
    if d["paused_at"] is not None:
        fields += [part for name in ("pb", "pr") if name not in fields[::2] for part in (name, "")]
    return [d["name"], *_fields(fields)]


def _write_definition(d: Document) -> list[Any]:
    schema, options = to_json(d["schema"], "the schema"), to_json(d["options"], "the options")
    fields = ("document", json.dumps([d["queue"], schema, options]))
    return [json.dumps([d["name"], d["kind"], d["version"]]), *_fields(fields)]


_READ: dict[TransferKind, Callable[[Any], tuple[str, Document]]] = {
    "jobs": _job,
    "unique_keys": _hold,
    "idempotency": _remembered,
    "dlq": _letter,
    "events": _event,
    "records": _record,
    "cron_ticks": lambda row: crons.tick_document(*row),
}
_WRITE: dict[TransferKind, Callable[[Document], list[Any]]] = {
    "definitions": _write_definition,
    "queues": _write_queue,
    "jobs": _write_job,
    "unique_keys": _write_hold,
    "idempotency": _write_remembered,
    "dlq": _write_letter,
    "events": lambda d: [d["id"], *_fields(as_.write(as_.EVENT, d))],
    "records": lambda d: [d["namespace"], d["key"], *_fields(as_.write(as_.RECORD, d))],
    "cron_codes": crons.write_code,
    "crons": crons.write_cron,
    "cron_ticks": crons.write_tick,
}
