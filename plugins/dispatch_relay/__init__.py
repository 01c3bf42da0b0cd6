"""Webhooks for what happens to jobs, workflow runs and cron entries: `plugins = ["relay"]` and [plugin.relay]."""

from dispatch.errors import MissingExtra

try:
    import httpx2  # noqa: F401
    import standardwebhooks  # noqa: F401
except ImportError:
    raise MissingExtra('the relay needs httpx2 and standardwebhooks: pip install "dispatch-tasks[relay]"') from None

from dispatch_relay.errors import (
    AddressDenied,
    EndpointChanged,
    EndpointConfigured,
    EndpointExists,
    EndpointNotFound,
    InvalidEndpoint,
    Undelivered,
)
from dispatch_relay.events import (
    EVENT_CRON_FIRED,
    EVENT_JOB_COMPLETED,
    EVENT_JOB_DLQ,
    EVENT_JOB_ENQUEUED,
    EVENT_JOB_FAILED,
    EVENT_JOB_RETRYING,
    EVENT_JOB_STARTED,
    EVENT_WORKFLOW_COMPLETED,
    EVENT_WORKFLOW_FAILED,
    EVENT_WORKFLOW_STARTED,
    EVENT_WORKFLOW_STEP_COMPLETED,
    EVENT_WORKFLOW_STEP_FAILED,
    EventDefinition,
    all_definitions,
    register_all,
)
from dispatch_relay.message import RelayEvent, payload_func
from dispatch_relay.plugin import RelayExtension
from dispatch_relay.service import WebhookService

__all__ = [
    "EVENT_CRON_FIRED",
    "EVENT_JOB_COMPLETED",
    "EVENT_JOB_DLQ",
    "EVENT_JOB_ENQUEUED",
    "EVENT_JOB_FAILED",
    "EVENT_JOB_RETRYING",
    "EVENT_JOB_STARTED",
    "EVENT_WORKFLOW_COMPLETED",
    "EVENT_WORKFLOW_FAILED",
    "EVENT_WORKFLOW_STARTED",
    "EVENT_WORKFLOW_STEP_COMPLETED",
    "EVENT_WORKFLOW_STEP_FAILED",
    "AddressDenied",
    "EndpointChanged",
    "EndpointConfigured",
    "EndpointExists",
    "EndpointNotFound",
    "EventDefinition",
    "InvalidEndpoint",
    "RelayEvent",
    "RelayExtension",
    "Undelivered",
    "WebhookService",
    "all_definitions",
    "payload_func",
    "register_all",
]
