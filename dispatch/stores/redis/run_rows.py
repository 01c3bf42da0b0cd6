"""Between runs and what scripts give: rows, journals, ends of children, open waits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from dispatch.clock import from_micros
from dispatch.ids import CheckpointID, EventID, RunID, WorkerID
from dispatch.jobs.model import Failure
from dispatch.stores.redis.rows import moment, scope_of, text
from dispatch.workflows.model import Activation, Checkpoint, ChildResult, Run, RunState, Wait, driver_id

RUN_STATES = {
    b"P": RunState.PENDING,
    b"R": RunState.RUNNING,
    b"W": RunState.WAITING,
    b"K": RunState.COMPENSATING,
    b"C": RunState.COMPLETED,
    b"F": RunState.FAILED,
    b"X": RunState.CANCELLED,
    b"B": RunState.BLOCKED,
}
RUN_CODES = {state: code.decode() for code, state in RUN_STATES.items()}
_OUTCOMES: Mapping[bytes, str] = {b"C": "completed", b"F": "failed", b"X": "cancelled"}
_STRIDE = 12
_FIELDS = b"id n v st c u pa sp ff ws sa fi wk cp cf rs bk et em eb ap og q t m cr re p".split()
"""As shown_runs.lua shows them; lists end before result and input."""

Shown = Sequence[bytes | None]


def _named(shown: Shown) -> dict[bytes, bytes]:
    return {name: value for name, value in zip(_FIELDS, shown, strict=False) if value is not None}


def run_of(shown: Shown) -> Run:
    """The run that a script has shown."""
    row = _named(shown)
    get = row.get
    run_id = RunID(row[b"id"].decode())
    state = RUN_STATES[row[b"st"]]
    parent, fork = get(b"pa"), get(b"ff")
    return Run(
        id=run_id,
        created_at=from_micros(int(row[b"c"])),
        updated_at=from_micros(int(row[b"u"])),
        name=row[b"n"].decode(),
        version=int(row[b"v"]),
        state=state,
        driver=driver_id(run_id),
        input=get(b"p", b""),
        result=get(b"re"),
        error=_failure(get(b"et"), get(b"em"), get(b"eb")),
        reason=text(get(b"bk" if state is RunState.BLOCKED else b"rs")),
        compensated=b"cp" in row,
        compensation_failed=b"cf" in row,
        parent=None if parent is None else RunID(parent.decode()),
        step=text(get(b"sp")),
        forked_from=None if fork is None else RunID(fork.decode()),
        wake_seq=int(get(b"ws", b"0")),
        queue=row[b"q"].decode(),
        tags=tuple(json.loads(get(b"t", b"[]"))),
        metadata=json.loads(get(b"m", b"{}")),
        scope=scope_of(row),
        started_at=moment(get(b"sa")),
        finished_at=moment(get(b"fi")),
        wakes_at=moment(get(b"wk")),
    )


def activation_of(found: tuple[Shown, Sequence[bytes], Sequence[bytes]], now: datetime) -> Activation:
    """What a driver needs, as load_runs.lua gives it."""
    shown, journal, ends = found
    run = run_of(shown)
    children = {result.step: result for result in children_of(run.id, ends)}
    return Activation(run, checkpoints_of(run.id, journal), children, b"cr" in _named(shown), now)


def checkpoint_of(run_id: RunID, parts: Sequence[bytes]) -> Checkpoint:
    """A checkpoint of the parts in a journal."""
    id_, name, kind, data, attempt, worker, started, created, updated, event, inherited, position = parts
    return Checkpoint(
        id=CheckpointID(id_.decode()),
        created_at=from_micros(int(created)),
        updated_at=from_micros(int(updated)),
        run_id=run_id,
        name=name.decode(),
        kind=kind.decode(),  # type: ignore[arg-type]
        data=data,
        position=int(position),
        attempt=int(attempt),
        worker_id=WorkerID(worker.decode()) if worker else None,
        started_at=moment(started or None),
        event_id=EventID(event.decode()) if event else None,
        inherited=inherited == b"1",
    )


def checkpoints_of(run_id: RunID, flat: Sequence[bytes]) -> list[Checkpoint]:
    """A journal."""
    return [checkpoint_of(run_id, flat[at : at + _STRIDE]) for at in range(0, len(flat), _STRIDE)]


def children_of(run_id: RunID, flat: Sequence[bytes]) -> list[ChildResult]:
    """How children ended, by step."""
    return sorted(
        (_child(run_id, step, stored) for step, stored in zip(flat[::2], flat[1::2], strict=True)),
        key=lambda result: result.step,
    )


def _child(run_id: RunID, step: bytes, stored: bytes) -> ChildResult:
    child, result, kind, message, traceback = _unpacked(stored[1:])
    assert child is not None
    return ChildResult(
        run_id=run_id,
        step=step.decode(),
        child=child.decode(),
        state=_OUTCOMES[stored[:1]],  # type: ignore[arg-type]
        result=result,
        error=_failure(kind, message, traceback),
    )


def _unpacked(stored: bytes) -> Iterator[bytes | None]:
    """The values that `pack` of wakes.lua put together."""
    at = 0
    while at < len(stored):
        if stored[at : at + 1] == b"-":
            yield None
            at += 1
        else:
            begin = stored.index(b":", at) + 1
            at = begin + int(stored[at : begin - 1])
            yield stored[begin:at]


def pairs_of(reply: Any) -> list[tuple[bytes, bytes]]:
    """A hash, which RESP 3 gives as a map."""
    return list(reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True))


def packed(values: Sequence[bytes | str | None]) -> bytes:
    """What `pack` of wakes.lua makes of them."""
    parts = [value.encode() if isinstance(value, str) else value for value in values]
    return b"".join(b"-" if part is None else b"%d:%b" % (len(part), part) for part in parts)


def wait_of(run_id: RunID, name: bytes, stored: bytes) -> Wait:
    """An open wait."""
    deadline, since, document = stored.split(b"|", 2)
    wanted = json.loads(document)
    return Wait(
        run_id=run_id,
        name=name.decode(),
        events=tuple(wanted["e"]),
        key=wanted.get("k"),
        since=moment(since or None),
        deadline=moment(deadline or None),
    )


def _failure(kind: bytes | None, message: bytes | None, traceback: bytes | None) -> Failure | None:
    return None if kind is None else Failure(kind.decode(), (message or b"").decode(), text(traceback))
