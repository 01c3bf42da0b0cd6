"""Events: facts published by name and key, kept as a log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dispatch.entity import PAGE_SIZE
from dispatch.ids import EventID, RunID
from dispatch.scope import NO_SCOPE, Scope

NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
"""What an event may be called."""


@dataclass(frozen=True, slots=True)
class Event:
    """A published fact. `run_id` is set on signals, which are for one workflow run."""

    name: str
    payload: bytes = b"null"
    """JSON, opaque to the store."""
    key: str | None = None
    id: EventID = field(default_factory=EventID.new)
    created_at: datetime | None = None
    """Set by the store."""
    run_id: RunID | None = None
    scope: Scope = NO_SCOPE

    @property
    def data(self) -> Any:
        """The payload, parsed."""
        from pydantic_core import from_json

        return from_json(self.payload)


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Which events, newest first."""

    names: Sequence[str] = ()
    key: str | None = None
    scope: Scope | None = None
    limit: int = PAGE_SIZE
    cursor: str | None = None
