"""What each kind of checkpoint holds: small JSON documents, written and read back; all of them are named here.

    step      the result itself                     failure   {"type", "message", "traceback"}
    sleep     {"until"}                             undo      null
    child     {"run"} or {"job"}; spawned: {"run", "spawned": true}
              and {"asked"} (the id that was meant) where a key may have given another one's; so has an enqueue
    wait      {"event": {"id", "name", "key", "payload", "created_at"}}; with "skipped" (why) when it did not fit;
              null (written by the store, without an event): the wait timed out
    failure   also {"dead_letter": false} after Fail(dead_letter=False)
    value     {"now"}, {"random"}, {"uuid"}, {"job"} (an enqueue), {"intent"} (on_failure);
              {"error": {"type", "message"}}: the run failed for good of a step or child, under whose name with
              `~failed-1` it stands, with the error that the run has of it

Times are ISO 8601 in UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json, to_json

from dispatch.events.model import Event
from dispatch.ids import EventID, JobID, RunID
from dispatch.jobs.model import Failure
from dispatch.masking import mask_value
from dispatch.workflows.model import Checkpoint
from dispatch.workflows.signals import Mismatch


def document(**fields: Any) -> bytes:
    """A small document; datetimes as ISO 8601 text."""
    return to_json(fields)


def read(checkpoint: Checkpoint, field: str) -> Any:
    """That field of a checkpoint's document; Mismatch when it has none, for then another verb recorded it."""
    data = from_json(checkpoint.data)
    if not isinstance(data, dict) or field not in data:
        found = ", ".join(data) if isinstance(data, dict) else "no such field"
        raise Mismatch(f"{checkpoint.name!r} is recorded as {checkpoint.kind} with {found}, the code wants {field!r}")
    return data[field]


def sleep_document(until: datetime) -> bytes:
    """Of a sleep."""
    return document(until=until.astimezone(UTC).isoformat())


def read_time(checkpoint: Checkpoint, field: str) -> datetime:
    """A time out of a document."""
    return datetime.fromisoformat(read(checkpoint, field))


def event_document(event: Event, skipped: str | None = None) -> bytes:
    """Of a wait that consumed an event, or skipped it for a reason."""
    what: dict[str, Any] = {
        "event": {
            "id": event.id,
            "name": event.name,
            "key": event.key,
            "payload": from_json(event.payload),
            "created_at": None if event.created_at is None else event.created_at.isoformat(),
        }
    }
    if skipped is not None:
        what["skipped"] = skipped
    return to_json(what)


def read_event(checkpoint: Checkpoint) -> Event | None:
    """The event that a wait consumed; None: it timed out."""
    if checkpoint.event_id is None and checkpoint.data == b"null":
        return None
    data = read(checkpoint, "event")
    created = data["created_at"]
    return Event(
        name=data["name"],
        payload=to_json(data["payload"]),
        key=data["key"],
        id=EventID(data["id"]),
        created_at=None if created is None else datetime.fromisoformat(created),
    )


def asked_for(id_: JobID | RunID) -> dict[str, str]:
    """The field that tells which id a spawn or enqueue with a key wanted, without its prefix: where the key is taken
    the store puts the holder's id in place of the whole one."""
    return {"asked": id_.partition("_")[2]}


def is_own(checkpoint: Checkpoint, id_: JobID | RunID) -> bool:
    """Whether that visit made what it is recorded with; else a key gave it another one's."""
    return id_.endswith(from_json(checkpoint.data).get("asked", ""))


def failure_document(failure: Failure, *, dead_letter: bool = True) -> bytes:
    """Of a step that failed while the body went on."""
    expected = {} if dead_letter else {"dead_letter": False}
    return document(type=failure.type, message=failure.message, traceback=failure.traceback, **expected)


def read_failure(checkpoint: Checkpoint) -> Failure:
    """How a step failed."""
    data = from_json(checkpoint.data)
    return Failure(data["type"], data["message"], data.get("traceback"))


def end_document(failure: Failure) -> bytes:
    """Of a run's end by a step or child: the run's error, by which it is known whether the run still has that end."""
    return document(error={"type": failure.type, "message": failure.message})


def is_end_with(checkpoint: Checkpoint, failure: Failure) -> bool:
    """Whether that end of the run is the one with that error; also of one read through a server, which masks it."""
    end = from_json(end_document(failure))
    return from_json(checkpoint.data) in (end, mask_value("", end))


def makes_dead_letter(checkpoint: Checkpoint) -> bool:
    """Whether a run that this failure ends becomes a dead letter."""
    return from_json(checkpoint.data).get("dead_letter") is not False
