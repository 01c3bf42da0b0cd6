"""What drivers and clients ask of runs, as the scripts take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from dispatch.clock import micros
from dispatch.errors import DataRejected
from dispatch.ids import DLQID, CheckpointID
from dispatch.jobs.model import Failure, NewJob
from dispatch.stores.redis.rows import duration, new_job, to_json
from dispatch.workflows.model import FinishRun, NewCheckpoint, NewRun, Park, Record, WaitFor

_MODES = {"any": "a", "all": "l", "all_or_failure": "f"}
_ENDS = {"completed": "C", "failed": "F", "cancelled": "X"}
_NEVER = 253_402_214_400_000_000
"""31 December 9999: the time of rows that stand in no index, see place.lua."""
_LATEST = 10**17
"""Places in indexes have 17 digits for a time (until the year 5138); what is due later is due never."""


def new_run(new: NewRun, *, line_up: bool = False) -> list[Any]:
    """A run to make, with its driver; with `line_up` (ticks) on_conflict "replace" means to wait behind the holder."""
    flags = ("" if new.awaited else "s") + ("a" if new.abandon else "")
    step = "" if new.step is None else f"={new.step}"
    driver = _driver(new, line_up=line_up)
    return [new.id, new.name, new.version, new.parent or "", step, flags, *driver.scope, *new_job(driver)]


def _driver(new: NewRun, *, line_up: bool) -> NewJob:
    """The driver as it is enqueued: no run is put into the place of another."""
    unique = new.driver.unique
    if unique is not None and unique.on_conflict == "replace" and not line_up:
        return replace(new.driver, unique=replace(unique, on_conflict="return"))
    return new.driver


def record(said: Record) -> list[Any]:
    """Checkpoints to write."""
    given: list[Any] = [said.run_id, said.driver, said.epoch, len(said.checkpoints)]
    for new in said.checkpoints:
        given += _checkpoint(said, new)
    return given


def _checkpoint(said: Record, new: NewCheckpoint) -> list[Any]:
    what = f"checkpoint {new.name} of {said.run_id}"
    given: list[Any] = [
        CheckpointID.new(),
        new.name,
        new.kind,
        checked_bytes(new.data, f"the data of {what}"),
        new.attempt,
        _time(new.started_at, f"the started_at of {what}"),
        new.event_id or "",
        len(new.jobs),
        *(part for job in new.jobs for part in new_job(job)),
        len(new.runs),
    ]
    return given + [part for run in new.runs for part in new_run(run)]


def wait_for(asked: WaitFor) -> list[Any]:
    """A visit of a wait."""
    what = f"wait {asked.name} of {asked.run_id}"
    wanted: dict[str, Any] = {"e": list(asked.events)}
    if asked.key is not None:
        wanted["k"] = asked.key
    return [
        asked.run_id,
        asked.driver,
        asked.epoch,
        CheckpointID.new(),
        asked.name,
        "" if asked.key is None else f"={asked.key}",
        _time(asked.since, f"the since of {what}"),
        "" if asked.timeout is None else duration(asked.timeout, f"the timeout of {what}"),
        to_json(wanted, what),
        len(asked.events),
        *asked.events,
    ]


def park(said: Park) -> list[Any]:
    """A park."""
    until = _time(said.until, f"the end of the park of {said.run_id}")
    due = until if until != "" and int(until) < _LATEST else _NEVER
    given: list[Any] = [said.run_id, said.driver, said.epoch, said.seen_seq, due, until, len(said.children)]
    for group in said.children:
        steps = list(dict.fromkeys(group.steps))
        given += [_MODES[group.mode], len(steps), *steps]
    return given


def finish(said: FinishRun) -> list[Any]:
    """An end, as finish_runs.lua reads it."""
    flags = ""
    fields: list[Any] = []
    if said.result is not None:
        flags += "r"
        fields.append(checked_bytes(said.result, f"the result of run {said.run_id}"))
    if said.failure is not None:
        failed = failure(said.failure)
        flags += "ft" if len(failed) > 2 else "f"
        fields += failed
    if said.reason is not None:
        flags += "s"
        fields.append(said.reason)
    if said.compensation_failed:
        flags += "k"
    if said.dead_letter and said.state == "failed":
        flags += "d"
        fields.append(DLQID.new())
    if said.then:
        flags += "n"
        fields += [len(said.then), *(part for new in said.then for part in new_job(new))]
    return [said.run_id, said.driver, said.epoch, _ENDS[said.state] + flags, *fields]


def failure(said: Failure | None) -> list[str]:
    """Type, message and, where there is one, traceback."""
    if said is None:
        return []
    return [said.type, said.message, *([] if said.traceback is None else [said.traceback])]


def edited(edits: Mapping[str, bytes]) -> list[Any]:
    """Edits of a fork."""
    pairs = [(name, checked_bytes(data, f"the new data of checkpoint {name}")) for name, data in edits.items()]
    return [len(pairs), *(part for pair in pairs for part in pair)]


def checked_bytes(value: bytes, what: str) -> bytes:
    """The value; DataRejected when it is no bytes."""
    if type(value) is not bytes:
        raise DataRejected(f"{what} is {type(value).__name__}, not bytes; nothing was written")
    return value


def _time(value: datetime | None, what: str) -> int | str:
    if value is None:
        return ""
    if value.tzinfo is None:
        raise DataRejected(f"{what}: {value!r} has no timezone; pass an aware datetime. Nothing was written")
    return micros(value)
