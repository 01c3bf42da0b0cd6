"""Runs, checkpoints and events as JSON documents with stable fields; docs/cli.md lists them."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.events.model import Event
from dispatch.masking import mask_value
from dispatch.workflows.model import Checkpoint, ChildResult, Run, Wait
from dispatch_cli.documents import Document, failure_document, readable, scope_document
from dispatch_cli.render import iso


def run_summary(run: Run) -> Document:
    """A run as lists show it."""
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
        "error": failure_document(run.error, traceback=False),
        "reason": run.reason,
        "compensated": run.compensated,
        "compensation_failed": run.compensation_failed,
    }


def run_document(
    run: Run, checkpoints: Sequence[Checkpoint], waits: Sequence[Wait], children: Sequence[ChildResult]
) -> Document:
    """A run with its input, result, open waits and what its children came to; secrets are masked by their names."""
    payload, payload_text = readable(run.input)
    result, result_text = readable(run.result)
    return {
        **run_summary(run),
        "updated_at": iso(run.updated_at),
        "driver": str(run.driver),
        "error": failure_document(run.error),
        "payload": payload,
        "payload_text": payload_text,
        "result": result,
        "result_text": result_text,
        "result_kept": run.result is not None,
        "metadata": mask_value("", dict(run.metadata)),
        "checkpoints": len(checkpoints),
        "waits": [{"name": w.name, "events": list(w.events), "key": w.key, "deadline": iso(w.deadline)} for w in waits],
        "children": [
            {"step": c.step, "child": c.child, "state": c.state, "error": failure_document(c.error, traceback=False)}
            for c in children
        ],
    }


def checkpoint_document(checkpoint: Checkpoint, child: ChildResult | None = None) -> Document:
    """A visit of a run."""
    data, data_text = readable(checkpoint.data)
    return {
        "id": str(checkpoint.id),
        "step_name": checkpoint.name,
        "kind": checkpoint.kind,
        "state": "recorded" if checkpoint.kind != "child" else child.state if child else "open",
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


def event_document(event: Event) -> Document:
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
