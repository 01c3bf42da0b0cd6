"""Between hashes and the documents of a transfer: a table of fields a kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from dispatch.errors import DataRejected
from dispatch.stores.redis.rows import Row, options_of, table, to_json
from dispatch.transfer import Document


class Field(NamedTuple):
    """A field of a document, and of the hash."""

    name: str
    key: str
    read: Callable[[bytes], Any]
    write: Callable[[Any], Any]
    default: Any = None


def _text(value: bytes) -> str:
    return value.decode()


def _checked_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return str(value)


def _checked_int(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return int(value)


def _checked_bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise TypeError(f"{type(value).__name__} is not bytes")
    return value


def _real(value: Any) -> str:
    return repr(float(value))


def _json(value: Any) -> str:
    return to_json(value, "a document")


def text_field(name: str, key: str, default: str | None = None) -> Field:
    return Field(name, key, _text, _checked_text, default)


def number(name: str, key: str, default: int | None = None) -> Field:
    return Field(name, key, int, _checked_int, default)


def raw(name: str, key: str) -> Field:
    return Field(name, key, bytes, _checked_bytes)


_ERROR = (text_field("error_type", "et"), text_field("error_message", "em"), text_field("error_traceback", "eb"))
_LABELS = (
    Field("metadata", "m", json.loads, _json, {}),
    Field("tags", "t", json.loads, lambda value: _json(list(value)), []),
    text_field("app_id", "ap", ""),
    text_field("org_id", "og", ""),
)
_WORK = (
    text_field("queue", "q"),
    text_field("kind", "k", "job"),
    text_field("lane", "l", ""),
    number("priority", "o", 0),
    number("failures", "f", 0),
    number("crashes", "x", 0),
    raw("payload", "p"),
    text_field("reason", "rs"),
    text_field("unique_key", "uk"),
    text_field("unique_until", "uu"),
    text_field("effect_key", "ek"),
    text_field("concurrency_key", "ck"),
    number("concurrency_max", "cm"),
    *_ERROR,
    *_LABELS,
)
JOB = (
    text_field("name", "n"),
    *_WORK,
    number("created_at", "c"),
    number("updated_at", "u"),
    number("run_at", "r"),
    number("epoch", "e", 0),
    text_field("worker_id", "w"),
    number("started_at", "sa"),
    number("finished_at", "fi"),
    number("scheduled_at", "sc"),
    number("expires_at", "ex"),
    raw("result", "re"),
    text_field("cancel_reason", "cr"),
    number("hold_until", "uh"),
    Field("progress", "pg", float, _real),
    text_field("progress_note", "pn"),
    Field("set_aside", "as", lambda _: True, lambda _: "1", False),
    text_field("behind", "b"),
    text_field("replay_of", "rp"),
    text_field("left_as", "la"),
    text_field("run_id", "ri"),
    text_field("step", "sp"),
)
LETTER = (
    text_field("job_name", "n"),
    *_WORK,
    text_field("job_id", "j"),
    number("created_at", "c"),
    number("updated_at", "u"),
    text_field("replayed_as", "ra"),
)
EVENT = (
    number("created_at", "c"),
    text_field("name", "n"),
    text_field("key", "key"),
    text_field("run_id", "ri"),
    text_field("app_id", "ap", ""),
    text_field("org_id", "og", ""),
    raw("payload", "p"),
    Field("consumed", "co", lambda _: True, lambda _: "1", False),
)
RECORD = (
    raw("value", "p"),
    number("version", "v"),
    number("created_at", "c"),
    number("updated_at", "u"),
    number("expires_at", "ex"),
)
QUEUE = (
    number("max_concurrency", "mc"),
    Field("rate_limit", "rl", float, _real),
    number("rate_burst", "rb"),
    Field("fair", "fair", lambda _: True, lambda _: "1", False),
    number("tenant_concurrency", "tc"),
    number("paused_at", "ps"),
    number("paused_until", "pu"),
    text_field("paused_by", "pb", ""),
    text_field("pause_reason", "pr", ""),
)
_REQUIRED = {"name", "job_name", "queue", "payload", "created_at", "updated_at", "run_at", "value", "version", "job_id"}
_OPTIONS = {"max_retries": "retries", "timeout": "timeout", "backoff": "backoff", "keep_result": "keep"}
_ATTEMPT = ("number", "kind", "error_type", "error_message", "error_traceback", "worker_id", "epoch", "started_at")


def read(fields: Sequence[Field], row: Row) -> Document:
    """A document of the fields that a hash has."""
    found: Document = {}
    for field in fields:
        value = row.get(field.key.encode())
        found[field.name] = _copy(field.default) if value is None else field.read(value)
    return found


def _copy(default: Any) -> Any:
    return type(default)(default) if isinstance(default, dict | list) else default


def write(fields: Sequence[Field], document: Mapping[str, Any]) -> list[Any]:
    """The fields of a hash that say what a document does."""
    found: list[Any] = []
    for field in fields:
        value = document[field.name]
        if value is None and field.name in _REQUIRED:
            raise ValueError(f"{field.name} is open")
        if value is not None and (value != field.default or field.default is None):
            found += (field.key, field.write(value))
    return found


def work_document(fields: Sequence[Field], row: Row, own_id: str) -> Document:
    """What jobs and dead letters have in common beside their fields: options, times, keys."""
    options = options_of(row)
    found = read(fields, row)
    timeout = options.get("timeout")
    found["timeout"] = None if timeout is None else float(timeout)
    found |= {name: options.get(_OPTIONS[name]) for name in ("max_retries", "backoff", "keep_result")}
    found["backoff"] = found["backoff"] or None
    changes = [found.get(name) for name in ("created_at", "updated_at", "started_at", "finished_at")]
    found["updated_at"] = max(moment for moment in changes if moment is not None)
    found["effect_key"] = own_id if found["effect_key"] is None else found["effect_key"]
    found["unique_until"] = None if found["unique_key"] is None else found["unique_until"] or "finish"
    return found


def work_fields(fields: Sequence[Field], document: Document) -> list[Any]:
    """The hash of a job or dead letter, but for its state."""
    found = write(fields, document)
    options = {key: document[name] for name, key in _OPTIONS.items() if document[name] is not None}
    return [*found, "d", _json(options)] if options else found


def attempt_documents(flat: Sequence[bytes], stride: int) -> list[Document]:
    """Attempts as they are kept, `stride` parts each."""
    found = []
    for at in range(0, len(flat), stride):
        count, kind, error, message, traceback, worker, epoch, started_at, ended_at = flat[at : at + stride]
        values = (
            int(count),
            kind.decode(),
            error.decode(),
            message.decode(),
            traceback[1:].decode() if traceback else None,
            worker.decode() or None,
            int(epoch),
            int(started_at) if started_at else None,
        )
        found.append({**dict(zip(_ATTEMPT, values, strict=True)), "ended_at": int(ended_at)})
    return found


def attempt_parts(document: Document) -> list[Any]:
    """The parts of an attempt's document."""
    d = document
    if d["error_type"] is None or d["ended_at"] is None:
        raise ValueError("an attempt has no error or no end")
    return [
        _checked_int(d["number"]),
        _checked_text(d["kind"]),
        _checked_text(d["error_type"]),
        d["error_message"] or "",
        "" if d["error_traceback"] is None else f"={d['error_traceback']}",
        d["worker_id"] or "",
        _checked_int(d["epoch"]),
        "" if d["started_at"] is None else _checked_int(d["started_at"]),
        _checked_int(d["ended_at"]),
    ]


def row_of(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    return table(flat)


def refused(kind: str, error: Exception) -> DataRejected:
    return DataRejected(f"a document of {kind} cannot be stored ({error!r}); nothing was written")
