"""What an app publishes of its definitions, so that others can enqueue by name."""

from __future__ import annotations

from typing import Any

from dispatch.cluster.model import Announcement
from dispatch.jobs.definition import JobDefinition

_OPTIONS = ("priority", "tags", "metadata", "delay", "expires_in", "on_conflict", "unique_for", "unique_until")


def announcement(definition: JobDefinition[..., Any]) -> Announcement:
    """The announcement of a job: queue, argument schema, and the options an enqueue needs."""
    settings = definition.settings
    options = {name: value for name in _OPTIONS if (value := getattr(settings, name)) is not None}
    if settings.unique is not None and not callable(settings.unique):
        options["unique"] = settings.unique
    if settings.concurrency is not None and (limit := settings.concurrency.document()) is not None:
        options["concurrency"] = limit
    return Announcement(
        name=definition.name,
        kind="job",
        queue=settings.queue or "default",
        schema=definition.signature.schema,
        options=options,
    )
