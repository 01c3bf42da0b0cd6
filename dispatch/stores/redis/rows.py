"""Between jobs and what scripts take and give: fields of hashes, times in microseconds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from dispatch.clock import EPOCH, from_micros, micros
from dispatch.errors import DataRejected, StoreCorrupt
from dispatch.ids import DLQID, JobID, RunID, WorkerID
from dispatch.jobs.model import Failure, Job, JobState, NewJob
from dispatch.scope import NO_SCOPE, Scope

Row = Mapping[bytes, bytes]

SECOND = 1_000_000
STATES = {
    b"P": JobState.PENDING,
    b"R": JobState.RUNNING,
    b"T": JobState.RETRYING,
    b"C": JobState.COMPLETED,
    b"F": JobState.FAILED,
    b"X": JobState.CANCELLED,
}
CODES = {state: code.decode() for code, state in STATES.items()}
_LEAST = 7
"""Fields that every row has, with the id."""
_CHANGES = (b"c", b"u", b"sa", b"fi")
"""Times of which the latest says when the row was changed."""
_OPTIONS = ("retries", "timeout", "backoff", "keep")
_NOTHING_CHOSEN = (None,) * len(_OPTIONS)
_LONGEST = 9_000 * 366 * 86_400 * SECOND
"""No duration of a row is longer: times that it makes are numbers that Lua still counts exactly, or nearly so."""


def span(seconds: float) -> int:
    """Seconds as microseconds."""
    return round(seconds * SECOND)


def duration(seconds: float, what: str) -> int:
    """A duration of a row, as microseconds; DataRejected when no time could be made with it."""
    if not abs(seconds) * SECOND <= _LONGEST:
        raise DataRejected(f"{what}: {seconds!r} seconds from now is no storable time; nothing was written")
    return span(seconds)


def to_json(value: Any, what: str) -> str:
    """A document as text; DataRejected when it is no JSON."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataRejected(f"{what} cannot be stored as JSON ({error}); nothing was written") from error


def moment(value: bytes | None) -> datetime | None:
    """The time in a field, or None."""
    return None if value is None else from_micros(int(value))


def text(value: bytes | None) -> str | None:
    """The text in a field, or None."""
    return None if value is None else value.decode()


def table(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """A hash that came as a flat list."""
    values = iter(flat)
    return dict(zip(values, values, strict=True))


def scoped(scope: Scope | None) -> tuple[str, str, str]:
    """How scripts are told whose rows may be seen: whether only one tenant's, app, org."""
    return ("0", "", "") if scope is None else ("1", scope.app_id, scope.org_id)


def scope_of(row: Row) -> Scope:
    app, org = row.get(b"ap"), row.get(b"og")
    return NO_SCOPE if app is None and org is None else Scope((app or b"").decode(), (org or b"").decode())


def filters(scope: Scope | None = None, **wanted: Sequence[str] | str | None) -> str:
    """Filters as JSON; None and an empty list match everything and are left out."""
    found: dict[str, Any] = {}
    for name, value in wanted.items():
        if isinstance(value, str):
            found[name] = value
        elif value:
            found[name] = list(value)
    if scope is not None:
        found |= {"app": scope.app_id, "org": scope.org_id}
    return json.dumps(found, ensure_ascii=False)


def options_of(row: Row) -> dict[str, Any]:
    """The options that only workers read."""
    found = row.get(b"d")
    return {} if found is None else json.loads(found)


def failure_of(row: Row) -> Failure | None:
    kind = row.get(b"et")
    return None if kind is None else Failure(kind.decode(), row.get(b"em", b"").decode(), text(row.get(b"eb")))


def new_job(new: NewJob) -> list[Any]:
    """A job as `read_job` of inserts.lua takes it."""
    what = f"job {new.id}"
    fields = [*shared_fields(new), "p", payload_of(new)]
    if new.delay is not None:
        when = f"+{duration(new.delay, f'the delay of {what}')}"
    else:
        when = "" if new.run_at is None else str(micros(_aware(new.run_at, f"the run_at of {what}")))
    app_id, org_id = new.scope
    tenant = f"{app_id}/{org_id}" if app_id or org_id else ""
    head = (new.id, new.queue, new.name, new.kind, new.priority, when, tenant, _extras(new), len(fields))
    return [*head, *fields]


def payload_of(new: NewJob) -> bytes:
    """The payload; DataRejected when it is none."""
    if type(new.payload) is not bytes:
        raise DataRejected(
            f"the payload of job {new.id} is {type(new.payload).__name__}, not bytes; nothing was written"
        )
    return new.payload


def shared_fields(new: NewJob) -> list[Any]:
    """What a new row holds beside its payload and its times."""
    what = f"job {new.id}"
    if not isinstance(new.priority, int):
        raise DataRejected(f"the priority of {what} is {new.priority!r}, not a whole number; nothing was written")
    fields: list[Any] = ["q", new.queue, "n", new.name]
    if new.kind != "job":
        fields += ("k", new.kind)
    if new.priority:
        fields += ("o", new.priority)
    if new.metadata:
        fields += ("m", to_json(dict(new.metadata), f"the metadata of {what}"))
    if new.tags:
        fields += ("t", to_json(list(new.tags), f"the tags of {what}"))
    app_id, org_id = new.scope
    if app_id or org_id:
        fields += ("ap", app_id, "og", org_id)
    chosen = (new.max_retries, new.timeout, new.backoff, new.keep_result)
    if chosen != _NOTHING_CHOSEN:
        options = {key: value for key, value in zip(_OPTIONS, chosen, strict=True) if value is not None}
        fields += ("d", to_json(options, f"the options of {what}"))
    if new.effect_key is not None:
        fields += ("ek", new.effect_key)
    if new.scheduled_at is not None:
        fields += ("sc", micros(_aware(new.scheduled_at, f"the scheduled_at of {what}")))
    if new.replay_of is not None:
        fields += ("rp", new.replay_of)
    if new.run_id is not None:
        fields += ("ri", new.run_id)
    if new.step is not None:
        fields += ("sp", new.step)
    if new.concurrency_key is not None:
        fields += ("ck", new.concurrency_key, "cm", new.concurrency_max or 1)
    return fields


def is_plain(new: NewJob) -> bool:
    """Whether the script need know no more of the job than its place."""
    return (
        new.unique is None
        and new.idempotency is None
        and new.expires_in is None
        and new.lane is None
        and new.concurrency_key is None
        and new.run_id is None
        and new.kind != "workflow"
    )


def is_due_now(new: NewJob) -> bool:
    """Whether the job is plain, nobody's, and due at once."""
    return is_plain(new) and new.delay is None and new.run_at is None and not any(new.scope)


def likeness(new: NewJob) -> tuple[Any, ...]:
    """Equal for jobs that differ in id and payload only, as far as they are due now."""
    return (
        new.queue,
        new.name,
        new.kind,
        new.priority,
        new.metadata_text,
        new.tags,
        new.max_retries,
        new.timeout,
        new.backoff,
        new.keep_result,
        new.effect_key,
        new.scheduled_at,
        new.replay_of,
        new.step,
    )


def _extras(new: NewJob) -> str:
    """What the script itself must know, as JSON; '' for a plain job."""
    unique, key = new.unique, new.idempotency
    if is_plain(new):
        return ""
    what = f"job {new.id}"
    extras: dict[str, Any] = {}
    if new.expires_in is not None:
        extras["ex"] = duration(new.expires_in, f"the expires_in of {what}")
    if new.lane is not None:
        extras["l"] = new.lane
    elif new.kind == "workflow":
        extras["l"] = new.name
    if new.run_id is not None and new.step is not None:
        extras |= {"ri": new.run_id, "sp": new.step}
    if unique is not None:
        extras |= {"uk": unique.key, "uc": unique.on_conflict, "uu": unique.until}
        if unique.hold_for is not None:
            extras["uh"] = duration(unique.hold_for, f"the unique key of {what}")
    if new.concurrency_key is not None:
        extras |= {"ck": new.concurrency_key, "cm": new.concurrency_max or 1}
    if key is not None:
        extras |= {"ik": key.key, "fp": key.fingerprint, "it": duration(key.ttl, f"the idempotency key of {what}")}
    return to_json(extras, f"the keys of {what}")


def _aware(value: datetime, what: str) -> datetime:
    if value.tzinfo is None:
        raise DataRejected(f"{what}: {value!r} has no timezone; pass an aware datetime. Nothing was written")
    return value


def job_of(flat: Sequence[bytes]) -> Job:
    """The job in a row that a script has shown."""
    row = table(flat)
    get = row.get
    try:
        id_ = row[b"id"].decode()
        created_at = EPOCH + timedelta(0, 0, int(row[b"c"]))
        if len(row) == _LEAST and row[b"r"] == row[b"c"]:
            # most rows that are claimed hold no more than each must: that takes half the time
            name, queue, state = row[b"n"].decode(), row[b"q"].decode(), STATES[row[b"st"]]
            return Job(JobID(id_), created_at, created_at, name, queue, state, row[b"p"], created_at, effect_key=id_)
        kind, lane, priority = get(b"k"), get(b"l"), get(b"o")
        worker, metadata, tags, effect_key = get(b"w"), get(b"m"), get(b"t"), get(b"ek")
        behind, replay_of, run_id, progress = get(b"b"), get(b"rp"), get(b"ri"), get(b"pg")
        options = options_of(row) if b"d" in row else {}
        return Job(
            JobID(id_),
            created_at,
            EPOCH + timedelta(0, 0, max([int(row[key]) for key in _CHANGES if key in row])),
            row[b"n"].decode(),
            row[b"q"].decode(),
            STATES[row[b"st"]],
            row[b"p"],
            EPOCH + timedelta(0, 0, int(row[b"r"])),
            "job" if kind is None else kind.decode(),  # type: ignore[arg-type]
            "" if lane is None else lane.decode(),
            0 if priority is None else int(priority),
            int(get(b"f", b"0")),
            int(get(b"x", b"0")),
            int(get(b"e", b"0")),
            None if worker is None else WorkerID(worker.decode()),
            _lease(get(b"le")),
            moment(get(b"sa")),
            moment(get(b"fi")),
            moment(get(b"sc")),
            moment(get(b"ex")),
            options.get("retries"),
            options.get("timeout"),
            options.get("backoff"),
            options.get("keep"),
            get(b"re"),
            failure_of(row) if b"et" in row else None,
            text(get(b"rs")),
            b"cr" in row,
            text(get(b"uk")),
            id_ if effect_key is None else effect_key.decode(),
            {} if metadata is None else json.loads(metadata),
            () if tags is None else tuple(json.loads(tags)),
            scope_of(row),
            None if progress is None else float(progress),
            text(get(b"pn")),
            b"as" in row,
            None if behind is None else JobID(behind.decode()),
            None if replay_of is None else DLQID(replay_of.decode()),
            None if run_id is None else RunID(run_id.decode()),
            text(get(b"sp")),
            text(get(b"ck")),
            None if b"cm" not in row else int(row[b"cm"]),
            b"bl" in row,
        )
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        name = row.get(b"id", b"?").decode(errors="replace")
        raise StoreCorrupt(
            f"the row of {name} holds what no job can hold ({type(error).__name__}: {error}); find and repair that row"
        ) from error


def _lease(score: bytes | None) -> datetime | None:
    return None if score is None else from_micros(int(float(score)))
