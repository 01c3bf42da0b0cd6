"""What an app publishes of its definitions, so that others can enqueue by name."""

from __future__ import annotations

from typing import Any

from dispatch.cluster.model import Announcement
from dispatch.jobs.definition import JobDefinition
from dispatch.registry import Registry
from dispatch.workflows.definition import WorkflowDefinition

_OPTIONS = ("priority", "tags", "metadata", "delay", "expires_in", "on_conflict", "unique_for", "unique_until")


def announcements(registry: Registry) -> list[Announcement]:
    """What there is to announce of a registry: its jobs and workflows."""
    jobs = [announcement(definition) for definition in registry.jobs.values()]
    return jobs + [announcement(definition) for definition in registry.workflows.values()]


def announcement(definition: JobDefinition[..., Any] | WorkflowDefinition[..., Any]) -> Announcement:
    """The announcement of a job or workflow: queue, argument schema, and the options an enqueue needs."""
    settings = definition.settings
    options = {name: value for name in _OPTIONS if (value := getattr(settings, name)) is not None}
    if settings.unique is not None and not callable(settings.unique):
        options["unique"] = settings.unique
    if settings.concurrency is not None and (limit := settings.concurrency.document()) is not None:
        options["concurrency"] = limit
    return Announcement(
        name=definition.name,
        kind="workflow" if isinstance(definition, WorkflowDefinition) else "job",
        queue=settings.queue or "default",
        schema=definition.signature.schema,
        options=options,
        version=definition.version if isinstance(definition, WorkflowDefinition) else 0,
    )
