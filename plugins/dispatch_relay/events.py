"""The twelve event types that webhooks tell of, with the models and JSON Schemas of what they carry."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

EVENT_JOB_ENQUEUED = "dispatch.job.enqueued"
EVENT_JOB_STARTED = "dispatch.job.started"
EVENT_JOB_COMPLETED = "dispatch.job.completed"
EVENT_JOB_FAILED = "dispatch.job.failed"
EVENT_JOB_RETRYING = "dispatch.job.retrying"
EVENT_JOB_DLQ = "dispatch.job.dlq"
EVENT_WORKFLOW_STARTED = "dispatch.workflow.started"
EVENT_WORKFLOW_STEP_COMPLETED = "dispatch.workflow.step_completed"
EVENT_WORKFLOW_STEP_FAILED = "dispatch.workflow.step_failed"
EVENT_WORKFLOW_COMPLETED = "dispatch.workflow.completed"
EVENT_WORKFLOW_FAILED = "dispatch.workflow.failed"
EVENT_CRON_FIRED = "dispatch.cron.fired"

PREFIX = "dispatch."
"""What a webhook's type has before the type of the store's feed."""


class Payload(BaseModel):
    """What the `data` of every webhook has; fields that are not known are left out."""

    model_config = ConfigDict(extra="ignore")

    scope_app_id: str | None = Field(None, description="The app of the scope, where there is one.")
    scope_org_id: str | None = Field(None, description="The organisation of the scope, where there is one.")


class ErrorPayload(BaseModel):
    """What went wrong."""

    type: str = Field(description="The exception's class.")
    message: str


class JobPayload(Payload):
    """A job."""

    job_id: str
    job_name: str
    queue: str
    attempt: int | None = Field(None, description="The number of the attempt, from 1.")


class JobCompletedPayload(JobPayload):
    """A job that returned."""

    elapsed_ms: int | float | None = Field(None, description="Milliseconds that its last attempt took.")


class JobFailedPayload(JobPayload):
    """A job that failed for good."""

    error: ErrorPayload | None = None


class JobRetryingPayload(JobFailedPayload):
    """A job that failed and will be tried again."""

    next_run_at: datetime | None = Field(None, description="When the next attempt is due.")


class WorkflowPayload(Payload):
    """A workflow run."""

    run_id: str
    name: str


class WorkflowCompletedPayload(WorkflowPayload):
    """A run whose body returned."""

    elapsed_ms: int | float | None = Field(None, description="Milliseconds since its first start, waits included.")


class WorkflowFailedPayload(WorkflowPayload):
    """A run that failed for good."""

    error: ErrorPayload | None = None


class StepCompletedPayload(WorkflowCompletedPayload):
    """A step that is recorded."""

    step_name: str


class StepFailedPayload(WorkflowFailedPayload):
    """A step that used up its retries."""

    step_name: str


class CronPayload(Payload):
    """A cron entry that fired."""

    entry_name: str
    tick: datetime | None = Field(None, description="The moment of its timetable that the job stands for.")
    job_id: str | None = Field(None, description="The job that was made.")
    run_id: str | None = Field(None, description="The workflow run that was started instead of a job.")


@dataclass(frozen=True, slots=True)
class EventDefinition:
    """One event type."""

    name: str
    """What a webhook's `type` says."""
    description: str
    payload: type[Payload]
    """The model of its `data`."""

    @property
    def group(self) -> str:
        """What it is about: "job", "workflow" or "cron"."""
        return self.name.split(".")[1]

    @property
    def feed_type(self) -> str:
        """Its type in the store's feed: without the prefix."""
        return self.name.removeprefix(PREFIX)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema (2020-12) of a webhook's whole body, unless a payload function changes its `data`."""
        data = self.payload.model_json_schema(mode="serialization")
        definitions = data.pop("$defs", None)
        schema: dict[str, Any] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.name,
            "description": self.description,
            "type": "object",
            "properties": {
                "type": {"const": self.name},
                "timestamp": {"type": "string", "format": "date-time"},
                "data": data,
            },
            "required": ["type", "timestamp", "data"],
        }
        return schema if definitions is None else {**schema, "$defs": definitions}


_DEFINITIONS = (
    EventDefinition(EVENT_JOB_ENQUEUED, "A job was queued.", JobPayload),
    EventDefinition(EVENT_JOB_STARTED, "A worker has claimed a job and runs it; once for each attempt.", JobPayload),
    EventDefinition(EVENT_JOB_COMPLETED, "A job has returned and its outcome is stored.", JobCompletedPayload),
    EventDefinition(EVENT_JOB_FAILED, "A job has failed for good.", JobFailedPayload),
    EventDefinition(EVENT_JOB_RETRYING, "An attempt has failed and another one will follow.", JobRetryingPayload),
    EventDefinition(EVENT_JOB_DLQ, "A job has become a dead letter.", JobFailedPayload),
    EventDefinition(EVENT_WORKFLOW_STARTED, "A workflow run is played for the first time.", WorkflowPayload),
    EventDefinition(EVENT_WORKFLOW_STEP_COMPLETED, "A step of a run is recorded.", StepCompletedPayload),
    EventDefinition(EVENT_WORKFLOW_STEP_FAILED, "A step of a run has used up its retries.", StepFailedPayload),
    EventDefinition(EVENT_WORKFLOW_COMPLETED, "A run has returned and its end is stored.", WorkflowCompletedPayload),
    EventDefinition(EVENT_WORKFLOW_FAILED, "A run has failed for good.", WorkflowFailedPayload),
    EventDefinition(EVENT_CRON_FIRED, "A tick of a cron entry made a job or a workflow run.", CronPayload),
)


def all_definitions() -> list[EventDefinition]:
    """The twelve event types, each with its model and JSON Schema."""
    return list(_DEFINITIONS)


def register_all(catalog: MutableMapping[str, EventDefinition] | None = None) -> MutableMapping[str, EventDefinition]:
    """Adds the twelve event types to a catalogue, by name: one that holds an application's own types too, say.

    Args:
        catalog: what they are added to (default: a new one).

    Returns:
        The catalogue.

    >>> sorted(register_all())[0]
    'dispatch.cron.fired'
    """
    filled: MutableMapping[str, EventDefinition] = {} if catalog is None else catalog
    filled.update({definition.name: definition for definition in _DEFINITIONS})
    return filled


DEFINITIONS = {definition.name: definition for definition in _DEFINITIONS}
"""The event types by name."""
