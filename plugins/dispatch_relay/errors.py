"""What the relay complains about; each is one of Dispatch's own kinds of errors, so the doors know their codes."""

from __future__ import annotations

from dispatch.errors import Conflict, NotFound, Retry, UsageError


class EndpointNotFound(NotFound):
    """No webhook endpoint has that name."""


class EndpointExists(Conflict):
    """Another webhook endpoint has that name."""


class EndpointConfigured(Conflict):
    """The endpoint stands in the configuration, which would undo the change at a worker's next start."""


class EndpointChanged(Conflict):
    """Somebody else changed the endpoint at the same time, again and again."""


class InvalidEndpoint(UsageError):
    """A webhook endpoint cannot be as described; the message names what is wrong."""


class AddressDenied(Exception):
    """A host's address is none that webhooks may be sent to."""


class Undelivered(Retry):
    """An attempt to deliver a webhook failed; another one follows, unless it was the last of the schedule."""
