"""What `dispatch doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `advice` is empty when all is well."""

    name: str
    status: Literal["ok", "warn", "fail"]
    text: str
    advice: str = ""
