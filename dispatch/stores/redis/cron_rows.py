"""Cron entries and ticks between hashes and objects, and the new versions of an entry that verbs make."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from dispatch.clock import from_micros, micros
from dispatch.crons.model import CronEntry, CronSpec, NewTick, Tick, spec_of
from dispatch.crons.settle import Announced, Name, winners
from dispatch.ids import CronID, JobID, RunID
from dispatch.stores.redis.rows import moment, new_job, table
from dispatch.stores.redis.run_requests import new_run


@dataclass(frozen=True, slots=True)
class Board:
    """Everything that decisions about entries are made of, as it stood at one moment."""

    now: datetime
    change: bytes
    """The number of the last change: a write that was decided by this board names it."""
    entries: list[CronEntry]
    codes: Mapping[str, Announced]
    announced: Mapping[str, Sequence[str]]
    """Digests by worker."""
    states: Mapping[str, tuple[str, bool]]
    """Of those workers: the state, and whether it was heard of within its lease."""

    def by_name(self) -> dict[Name, CronEntry]:
        return {(entry.spec.scope.tenant, entry.name): entry for entry in self.entries}

    def winning(self) -> dict[Name, Announced]:
        """Who wins among what live workers announce."""
        live = [
            digest
            for worker, digests in self.announced.items()
            if self.states[worker][0] != "dead" and self.states[worker][1]
            for digest in digests
        ]
        return winners(self.codes[digest] for digest in live)


def board_of(reply: Sequence[Any]) -> Board:
    """The board in a reply of cron_read.lua."""
    now, change, entries, codes, announced, workers = reply
    by_worker = {worker.decode(): json.loads(digests) for worker, digests in table(announced).items()}
    states = zip(workers[::2], workers[1::2], strict=True)
    return Board(
        from_micros(int(now)),
        change,
        [entry_of(id_, flat) for id_, flat in entries],
        {digest.decode(): _announced(digest, stored) for digest, stored in table(codes).items()},
        by_worker,
        dict(zip(by_worker, ((state.decode(), live == b"1") for state, live in states), strict=True)),
    )


def _announced(digest: bytes, stored: bytes) -> Announced:
    first_seen, _, spec = stored.partition(b":")
    return Announced(digest.decode(), spec_of(json.loads(spec)), from_micros(int(first_seen)))


def spec_text(spec: CronSpec) -> str:
    return json.dumps(spec.document(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def entry_of(id_: bytes, flat: Sequence[bytes]) -> CronEntry:
    """The entry in its hash."""
    row = table(flat)
    code_hash = row.get(b"hash")
    return CronEntry(
        CronID(id_.decode()),
        from_micros(int(row[b"c"])),
        from_micros(int(row[b"u"])),
        spec_of(json.loads(row[b"spec"])),
        enabled=row[b"enabled"] == b"1",
        disabled_until=moment(row.get(b"until_")),
        disabled_reason=row.get(b"why", b"").decode(),
        disabled_by=row.get(b"by", b"").decode(),
        revision=int(row[b"revision"]),
        code_hash=None if code_hash is None else code_hash.decode(),
        orphaned=row[b"orphaned"] == b"1",
        anchor=moment(row.get(b"anchor")),
        last_fired_at=moment(row.get(b"last")),
        next_fire_at=moment(row.get(b"next")),
    )


def put(entry: CronEntry) -> list[Any]:
    """The act of cron_write.lua that writes an entry."""
    fields = {
        "c": micros(entry.created_at),
        "u": micros(entry.updated_at),
        "spec": spec_text(entry.spec),
        "enabled": int(entry.enabled),
        "until_": _micros(entry.disabled_until),
        "why": entry.disabled_reason,
        "by": entry.disabled_by,
        "revision": entry.revision,
        "hash": entry.code_hash,
        "orphaned": int(entry.orphaned),
        "anchor": _micros(entry.anchor),
        "last": _micros(entry.last_fired_at),
        "next": _micros(entry.next_fire_at),
    }
    given = [part for field in fields.items() if field[1] is not None for part in field]
    return ["put", entry.id, entry.spec.scope.tenant, entry.name, len(given), *given]


def drop(entry: CronEntry) -> list[Any]:
    """The act that removes an entry with its ticks."""
    return ["drop", entry.id, entry.spec.scope.tenant, entry.name]


def tick_arguments(new: NewTick) -> list[Any]:
    """A tick as cron_fire.lua reads it."""
    head = [micros(new.scheduled_at), new.outcome, int(new.cancel_old)]
    if new.run is not None:
        return [*head, new.run.id, "run", *new_run(new.run, line_up=True)]
    if new.job is not None:
        return [*head, new.job.run_id or "", "job", *new_job(new.job)]
    return [*head, "", ""]


def ticks_of(entry_id: CronID, flat: Sequence[bytes]) -> list[Tick]:
    """Ticks that came as time and JSON each."""
    return [_tick(entry_id, time, stored) for time, stored in zip(flat[::2], flat[1::2], strict=True)]


def _tick(entry_id: CronID, time: bytes, stored: bytes) -> Tick:
    outcome, fired_at, job_id, run_id, note = json.loads(stored)
    return Tick(
        entry_id,
        from_micros(int(time)),
        outcome,
        from_micros(int(fired_at)),
        JobID(job_id) if job_id else None,
        RunID(run_id) if run_id else None,
        note,
    )


def edited(entry: CronEntry, spec: CronSpec, next_fire_at: datetime | None, now: datetime) -> CronEntry:
    """The entry with another spec; name and tenant stay."""
    timed_anew = (entry.spec.schedule, entry.spec.timezone) != (spec.schedule, spec.timezone)
    return replace(
        entry,
        spec=replace(spec, name=entry.spec.name, scope=entry.spec.scope),
        revision=entry.revision + 1,
        updated_at=now,
        anchor=now if timed_anew else entry.anchor,
        next_fire_at=next_fire_at,
    )


def enabled(entry: CronEntry, next_fire_at: datetime | None, now: datetime) -> CronEntry:
    """The entry, firing again."""
    return replace(
        entry,
        enabled=True,
        disabled_until=None,
        disabled_reason="",
        disabled_by="",
        revision=entry.revision + 1,
        updated_at=now,
        next_fire_at=next_fire_at,
    )


def _micros(value: datetime | None) -> int | None:
    return None if value is None else micros(value)
