"""What an app publishes of its definitions, so that others can enqueue by name."""

from __future__ import annotations

from typing import Any

from dispatch.cluster.model import BY_FUNCTION, Announcement
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
    schema, by_function = definition.signature.schema, []
    if callable(settings.unique):
        by_function.append("unique")
    elif settings.unique is not None:
        options["unique"] = settings.unique
    if settings.concurrency is not None:
        limit = settings.concurrency.document()
        if limit is None:
            by_function.append("concurrency")
        else:
            options["concurrency"] = limit
    return Announcement(
        name=definition.name,
        kind="workflow" if isinstance(definition, WorkflowDefinition) else "job",
        queue=settings.queue or "default",
        schema=schema | {BY_FUNCTION: by_function} if by_function else schema,
        options=options,
        version=definition.version if isinstance(definition, WorkflowDefinition) else 0,
    )
