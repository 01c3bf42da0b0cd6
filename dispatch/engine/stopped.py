"""Why the engine itself stops what it runs."""

from __future__ import annotations

from enum import StrEnum


class Stopped(StrEnum):
    """Why the engine itself stopped a handler."""

    REQUESTED = "requested"
    """Somebody cancelled the job."""
    GRACE = "grace"
    """The worker is stopping; the job goes back."""
    LOST = "lost"
    """The claim is no longer this worker's; nothing is written."""
