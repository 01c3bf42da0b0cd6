"""Durable workflows: definition, context, handles, model and store protocol."""

from dispatch.workflows.context import WorkflowContext
from dispatch.workflows.definition import WorkflowCall, WorkflowDefinition
from dispatch.workflows.handle import RunHandle, SyncRunHandle
from dispatch.workflows.model import Checkpoint, ListOptions, Run, RunState
from dispatch.workflows.store import WorkflowStore

__all__ = [
    "Checkpoint",
    "ListOptions",
    "Run",
    "RunHandle",
    "RunState",
    "SyncRunHandle",
    "WorkflowCall",
    "WorkflowContext",
    "WorkflowDefinition",
    "WorkflowStore",
]
