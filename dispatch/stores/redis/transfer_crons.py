"""Cron entries, code and ticks as documents of a transfer, and back."""

from __future__ import annotations

import json
from typing import Any

from dispatch.clock import from_micros
from dispatch.crons.model import CronEntry, spec_of
from dispatch.ids import CronID
from dispatch.stores.redis import cron_rows
from dispatch.stores.redis.rows import moment, table, to_json
from dispatch.transfer import Document


def code_document(digest: bytes, stored: bytes) -> Document:
    first_seen, _, spec = stored.partition(b":")
    return {"digest": digest.decode(), "spec": json.loads(spec), "first_seen": int(first_seen)}


def write_code(d: Document) -> list[Any]:
    """What load.lua takes: the digest, and what the hash holds."""
    spec_of(d["spec"])
    return [d["digest"], 2, "stored", f"{int(d['first_seen'])}:{to_json(d['spec'], 'the spec')}"]


def cron_document(id_: bytes, flat: list[bytes]) -> Document:
    row = table(flat)
    found = {name: row.get(key) for name, key in _TIMES.items()}
    code_hash = row.get(b"hash")
    return {
        "id": id_.decode(),
        "spec": json.loads(row[b"spec"]),
        "enabled": row[b"enabled"] == b"1",
        "disabled_reason": row.get(b"why", b"").decode(),
        "disabled_by": row.get(b"by", b"").decode(),
        "revision": int(row[b"revision"]),
        "code_hash": None if code_hash is None else code_hash.decode(),
        "orphaned": row[b"orphaned"] == b"1",
        **{name: None if value is None else int(value) for name, value in found.items()},
    }


_TIMES = {
    "disabled_until": b"until_",
    "anchor": b"anchor",
    "last_fired_at": b"last",
    "next_fire_at": b"next",
    "created_at": b"c",
    "updated_at": b"u",
}


def write_cron(d: Document) -> list[Any]:
    """What load.lua takes: the id, the tenant and name, and the fields of the hash."""

    def time(name: str) -> Any:
        value = d[name]
        return moment(None if value is None else str(int(value)).encode())

    entry = CronEntry(
        CronID(d["id"]),
        from_micros(int(d["created_at"])),
        from_micros(int(d["updated_at"])),
        spec_of(d["spec"]),
        enabled=bool(d["enabled"]),
        disabled_until=time("disabled_until"),
        disabled_reason=d["disabled_reason"],
        disabled_by=d["disabled_by"],
        revision=int(d["revision"]),
        code_hash=d["code_hash"],
        orphaned=bool(d["orphaned"]),
        anchor=time("anchor"),
        last_fired_at=time("last_fired_at"),
        next_fire_at=time("next_fire_at"),
    )
    return cron_rows.put(entry)[1:]


def tick_document(entry_id: bytes, time: bytes, stored: bytes) -> tuple[str, Document]:
    outcome, fired_at, job_id, run_id, note = json.loads(stored)
    document = {
        "entry_id": entry_id.decode(),
        "scheduled_at": int(time),
        "outcome": outcome,
        "fired_at": int(fired_at),
        "job_id": job_id or None,
        "run_id": run_id or None,
        "note": note,
    }
    return json.dumps([entry_id.decode(), int(time)]), document


def write_tick(d: Document) -> list[Any]:
    stored = to_json([d["outcome"], str(int(d["fired_at"])), d["job_id"] or "", d["run_id"] or "", d["note"]], "a tick")
    return [d["entry_id"], int(d["scheduled_at"]), 4, "fired", int(d["fired_at"]), "stored", stored]
