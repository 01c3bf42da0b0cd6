"""Texts and times as they may be shown: control characters escaped, moments in ISO 8601."""

from __future__ import annotations

import re
from datetime import datetime
from typing import overload

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What may move a terminal's cursor, change its state, or turn the direction of what follows."""


def safe(text: str) -> str:
    """Text that a terminal may be shown: control characters but newline and tab are written as escapes."""
    return CONTROL.sub(
        lambda found: f"\\x{ord(found[0]):02x}" if ord(found[0]) < 256 else f"\\u{ord(found[0]):04x}", text
    )


@overload
def iso(moment: datetime) -> str: ...
@overload
def iso(moment: None) -> None: ...
@overload
def iso(moment: datetime | None) -> str | None: ...
def iso(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC, to the microsecond; what JSON documents hold."""
    return None if moment is None else moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
