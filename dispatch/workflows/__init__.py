"""Durable workflows: definition, model and store protocol."""

from dispatch.workflows.definition import WorkflowDefinition
from dispatch.workflows.model import Checkpoint, ListOptions, Run, RunState
from dispatch.workflows.store import WorkflowStore

__all__ = ["Checkpoint", "ListOptions", "Run", "RunState", "WorkflowDefinition", "WorkflowStore"]
