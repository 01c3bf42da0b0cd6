"""Children of a run: the rows that start them, and what their ends mean to the body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dispatch.errors import ChildFailed, StepMisused
from dispatch.ids import RunID
from dispatch.jobs.definition import BoundJob, Call, JobDefinition
from dispatch.jobs.model import NewJob
from dispatch.jobs.options import EnqueueOptions
from dispatch.scope import Scope
from dispatch.workflows.conductor import AnyJob, AnyWorkflow
from dispatch.workflows.definition import BoundWorkflow, WorkflowCall
from dispatch.workflows.model import ChildResult, NewRun
from dispatch.workflows.steps import StepSpec


def child_run(
    target: AnyWorkflow,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    parent: RunID,
    step: str,
    scope: Scope,
    awaited: bool,
    idempotency_ttl: float,
) -> NewRun:
    """The run of a child workflow. Raises InvalidArguments, StepMisused."""
    definition = target._definition
    chosen = target._chosen
    call: WorkflowCall[Any] = WorkflowCall(definition, definition.signature.validate(args, kwargs), chosen)
    if awaited:
        _refuse_keys(call.effective, definition.name, "spawn_child")
    run = call.new_run(scope=scope, idempotency_ttl=idempotency_ttl)
    run.parent, run.step, run.awaited = parent, step, awaited
    return run


def child_job(spec: StepSpec, *, run_id: RunID, key: str, scope: Scope, idempotency_ttl: float) -> NewJob:
    """The job of a step that runs on the workers. Raises InvalidArguments, StepMisused."""
    definition = spec.function
    if not isinstance(definition, JobDefinition):
        raise StepMisused(f"step {spec.name!r}: on_workers() runs a @job; {definition!r} is none")
    options = EnqueueOptions(
        max_retries=spec.retries, backoff=spec.backoff, timeout=spec.timeout, keep_result=True, scope=scope
    )
    call = Call(definition, definition.signature.validate(spec.args, spec.kwargs), options)
    _refuse_keys(call.effective, definition.name, "enqueue")
    job = call.new_job(scope=scope, idempotency_ttl=idempotency_ttl)
    return replace(job, run_id=run_id, step=spec.name, effect_key=key)


def queued_job(
    target: AnyJob, args: Sequence[Any], kwargs: Mapping[str, Any], *, scope: Scope, idempotency_ttl: float
) -> NewJob:
    """The job of a `ctx.enqueue`. Raises InvalidArguments."""
    definition = target._definition
    call = Call(definition, definition.signature.validate(args, kwargs), target._chosen)
    return call.new_job(scope=scope, idempotency_ttl=idempotency_ttl)


def child_name(target: AnyWorkflow | AnyJob) -> str:
    """What a visit of this target is called by default."""
    return target._definition.name


def child_value(target: AnyWorkflow | AnyJob | Any, result: ChildResult) -> Any:
    """What an ended child gave, read by its definition; ChildFailed tells how it ended otherwise."""
    definition = target._definition if isinstance(target, BoundWorkflow | BoundJob) else target
    if result.state == "completed":
        return None if result.result is None else definition.signature.load_result(result.result)
    error = result.error
    kind = error.type if error else result.state.capitalize()
    message = error.message if error else f"{definition.name} ({result.child}) {_ended(result)}"
    raise ChildFailed(
        result.step,
        kind,
        message,
        child=result.child,
        state=result.state,
        traceback=error.traceback if error else None,
    )


def _ended(result: ChildResult) -> str:
    return "was cancelled" if result.state == "cancelled" else "failed"


def _refuse_keys(options: EnqueueOptions, name: str, instead: str) -> None:
    """A child that is waited for must be this run's own, so it cannot be somebody else's by a key."""
    for word in ("unique", "idempotency_key"):
        if getattr(options, word) not in (None, False):
            raise StepMisused(
                f"{name} has {word}={getattr(options, word)!r}, but a run can wait only for a child of its own; "
                f"drop the key, or use ctx.{instead}(...), which does not wait"
            )
