"""Workflow runs, what they recorded, and events, as JSON documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import TypedDict

from dispatch.documents.base import (
    ErrorDocument,
    ScopeDocument,
    ShortError,
    error_document,
    readable,
    scope_document,
    short_error,
)
from dispatch.events.model import Event
from dispatch.masking import mask_value
from dispatch.services.forks import differences
from dispatch.text import iso
from dispatch.workflows.model import Checkpoint, ChildResult, Run, Wait


class _Run(TypedDict):
    id: str
    name: str
    version: int
    state: str
    queue: str
    created_at: str
    started_at: str | None
    finished_at: str | None
    wakes_at: str | None
    parent: str | None
    step: str | None
    forked_from: str | None
    tags: list[str]
    scope: ScopeDocument | None
    reason: str | None
    compensated: bool
    compensation_failed: bool


class RunSummary(_Run):
    """A run as lists show it."""

    error: ShortError | None


class StartedRun(RunSummary):
    """A run that was started, or that was there already."""

    created: bool


class WaitDocument(TypedDict):
    """What a run waits for."""

    name: str
    events: list[str]
    key: str | None
    deadline: str | None


class ChildDocument(TypedDict):
    """What a child came to."""

    step: str
    child: str
    state: str
    error: ShortError | None


class RunDocument(_Run):
    """A run with its input, result, open waits and what its children came to; secrets are masked by their names."""

    error: ErrorDocument | None
    updated_at: str
    driver: str
    held_up: str | None
    payload: Any
    payload_text: str | None
    result: Any
    result_text: str | None
    result_kept: bool
    metadata: dict[str, Any]
    checkpoints: int
    waits: list[WaitDocument]
    children: list[ChildDocument]


class CheckpointDocument(TypedDict):
    """A visit of a run."""

    id: str
    step_name: str
    kind: str
    state: str
    data: Any
    data_text: str | None
    position: int
    attempt: int
    worker_id: str | None
    started_at: str | None
    created_at: str
    event_id: str | None
    inherited: bool


class DifferenceDocument(TypedDict):
    """Where the records of two runs differ."""

    step_name: str
    left: Any
    right: Any
    left_kind: str | None
    right_kind: str | None


class EventDocument(TypedDict):
    """A published event."""

    id: str
    name: str
    key: str | None
    run_id: str | None
    created_at: str | None
    payload: Any
    payload_text: str | None
    scope: ScopeDocument | None


def _run(run: Run) -> _Run:
    return {
        "id": str(run.id),
        "name": run.name,
        "version": run.version,
        "state": str(run.state),
        "queue": run.queue,
        "created_at": iso(run.created_at),
        "started_at": iso(run.started_at),
        "finished_at": iso(run.finished_at),
        "wakes_at": iso(run.wakes_at),
        "parent": run.parent,
        "step": run.step,
        "forked_from": run.forked_from,
        "tags": list(run.tags),
        "scope": scope_document(run.scope),
        "reason": run.reason,
        "compensated": run.compensated,
        "compensation_failed": run.compensation_failed,
    }


def run_summary(run: Run) -> RunSummary:
    """A run as lists show it."""
    return {**_run(run), "error": short_error(run.error)}


def started_run(run: Run, *, created: bool) -> StartedRun:
    """A run that was started, or that was there already."""
    return {**run_summary(run), "created": created}


def run_document(
    run: Run,
    checkpoints: Sequence[Checkpoint],
    waits: Sequence[Wait],
    children: Sequence[ChildResult],
    *,
    held_up: str | None,
) -> RunDocument:
    """A run with its input, result, open waits and what its children came to; secrets are masked by their names.

    held_up: why it has not begun.
    """
    payload, payload_text = readable(run.input)
    result, result_text = readable(run.result)
    return {
        **_run(run),
        "updated_at": iso(run.updated_at),
        "driver": str(run.driver),
        "held_up": held_up,
        "error": error_document(run.error),
        "payload": payload,
        "payload_text": payload_text,
        "result": result,
        "result_text": result_text,
        "result_kept": run.result is not None,
        "metadata": mask_value("", dict(run.metadata)),
        "checkpoints": len(checkpoints),
        "waits": [{"name": w.name, "events": list(w.events), "key": w.key, "deadline": iso(w.deadline)} for w in waits],
        "children": [
            {"step": c.step, "child": c.child, "state": c.state, "error": short_error(c.error)} for c in children
        ],
    }


def checkpoint_document(checkpoint: Checkpoint, child: ChildResult | None = None) -> CheckpointDocument:
    """A visit of a run."""
    data, data_text = readable(checkpoint.data)
    return {
        "id": str(checkpoint.id),
        "step_name": checkpoint.name,
        "kind": checkpoint.kind,
        "state": child.state if child else "open" if _awaited(checkpoint, data) else "recorded",
        "data": data,
        "data_text": data_text,
        "position": checkpoint.position,
        "attempt": checkpoint.attempt,
        "worker_id": checkpoint.worker_id,
        "started_at": iso(checkpoint.started_at),
        "created_at": iso(checkpoint.created_at),
        "event_id": checkpoint.event_id,
        "inherited": checkpoint.inherited,
    }


def _awaited(checkpoint: Checkpoint, data: Any) -> bool:
    """Whether the visit is over only when its child is; a spawned child is let go."""
    return checkpoint.kind == "child" and not (isinstance(data, dict) and data.get("spawned"))


def difference_documents(left: Sequence[Checkpoint], right: Sequence[Checkpoint]) -> list[DifferenceDocument]:
    """Where the records of two runs differ: steps that only one has, and steps with other data."""
    return [
        {
            "step_name": name,
            "left": None if a is None else readable(a.data)[0],
            "right": None if b is None else readable(b.data)[0],
            "left_kind": None if a is None else a.kind,
            "right_kind": None if b is None else b.kind,
        }
        for name, a, b in differences(left, right)
    ]


def event_document(event: Event) -> EventDocument:
    """A published event."""
    payload, payload_text = readable(event.payload)
    return {
        "id": str(event.id),
        "name": event.name,
        "key": event.key,
        "run_id": event.run_id,
        "created_at": iso(event.created_at),
        "payload": payload,
        "payload_text": payload_text,
        "scope": scope_document(event.scope),
    }
