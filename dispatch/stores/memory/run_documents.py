"""Between runs, their journals, children and waits, and the documents of a transfer."""

from __future__ import annotations

from dispatch.clock import from_micros, micros
from dispatch.ids import CheckpointID, EventID, JobID, RunID, WorkerID
from dispatch.scope import Scope
from dispatch.stores.memory.fields import error_fields, failure_of, micros_of, moment, text
from dispatch.stores.memory.runs import OpenGroup, RunRow
from dispatch.transfer import Document
from dispatch.workflows.model import Checkpoint, ChildResult, RunState, Wait


def run_document(run: RunRow) -> Document:
    return {
        "id": str(run.id),
        "created_at": micros(run.created_at),
        "updated_at": micros(run.updated_at),
        "name": run.name,
        "version": run.version,
        "state": run.state.value,
        "driver": str(run.driver),
        "reason": run.reason,
        "blocked": run.blocked if run.state is RunState.BLOCKED else None,
        "compensating": run.compensating,
        "compensated": run.compensated,
        "compensation_failed": run.compensation_failed,
        "parked": run.parked,
        "wake_seq": run.wake_seq,
        "parent": text(run.parent),
        "step": run.step,
        "awaited": run.awaited,
        "abandon": run.abandon,
        "forked_from": text(run.forked_from),
        "app_id": run.scope.app_id,
        "org_id": run.scope.org_id,
        "started_at": micros_of(run.started_at),
        "finished_at": micros_of(run.finished_at),
        "wakes_at": micros_of(run.wakes_at),
        **error_fields(run.error),
        "result": run.result,
        "groups": [{"mode": group.mode, "steps": sorted(group.left)} for group in run.groups],
    }


def run_of(document: Document) -> RunRow:
    """The run in a document; what its driver holds is still to come."""
    d = document
    return RunRow(
        id=RunID(d["id"]),
        created_at=from_micros(d["created_at"]),
        updated_at=from_micros(d["updated_at"]),
        name=d["name"],
        version=d["version"],
        state=RunState(d["state"]),
        driver=JobID(d["driver"]),
        result=d["result"],
        error=failure_of(d),
        reason=d["reason"],
        blocked=d["blocked"],
        compensating=d["compensating"],
        compensated=d["compensated"],
        compensation_failed=d["compensation_failed"],
        parked=d["parked"],
        wake_seq=d["wake_seq"],
        parent=None if d["parent"] is None else RunID(d["parent"]),
        step=d["step"],
        awaited=d["awaited"],
        abandon=d["abandon"],
        forked_from=None if d["forked_from"] is None else RunID(d["forked_from"]),
        scope=Scope(d["app_id"], d["org_id"]),
        started_at=moment(d["started_at"]),
        finished_at=moment(d["finished_at"]),
        wakes_at=moment(d["wakes_at"]),
        groups=[OpenGroup(group["mode"], set(group["steps"])) for group in d["groups"]],
    )


def checkpoint_document(checkpoint: Checkpoint) -> Document:
    return {
        "run_id": str(checkpoint.run_id),
        "position": checkpoint.position,
        "id": str(checkpoint.id),
        "name": checkpoint.name,
        "kind": checkpoint.kind,
        "attempt": checkpoint.attempt,
        "worker_id": text(checkpoint.worker_id),
        "event_id": text(checkpoint.event_id),
        "inherited": checkpoint.inherited,
        "started_at": micros_of(checkpoint.started_at),
        "created_at": micros(checkpoint.created_at),
        "updated_at": micros(checkpoint.updated_at),
        "data": checkpoint.data,
    }


def checkpoint_of(document: Document) -> Checkpoint:
    d = document
    return Checkpoint(
        id=CheckpointID(d["id"]),
        created_at=from_micros(d["created_at"]),
        updated_at=from_micros(d["updated_at"]),
        run_id=RunID(d["run_id"]),
        name=d["name"],
        kind=d["kind"],
        data=d["data"],
        position=d["position"],
        attempt=d["attempt"],
        worker_id=None if d["worker_id"] is None else WorkerID(d["worker_id"]),
        started_at=moment(d["started_at"]),
        event_id=None if d["event_id"] is None else EventID(d["event_id"]),
        inherited=d["inherited"],
    )


def child_document(result: ChildResult) -> Document:
    return {
        "run_id": str(result.run_id),
        "step": result.step,
        "child": str(result.child),
        "state": str(result.state),
        **error_fields(result.error),
        "result": result.result,
    }


def child_of(document: Document) -> ChildResult:
    d = document
    return ChildResult(RunID(d["run_id"]), d["step"], d["child"], d["state"], d["result"], failure_of(d))


def wait_document(wait: Wait) -> Document:
    return {
        "run_id": str(wait.run_id),
        "name": wait.name,
        "events": list(wait.events),
        "key": wait.key,
        "since": micros_of(wait.since),
        "deadline": micros_of(wait.deadline),
    }


def wait_of(document: Document) -> Wait:
    d = document
    return Wait(RunID(d["run_id"]), d["name"], tuple(d["events"]), d["key"], moment(d["since"]), moment(d["deadline"]))
