"""What is wrong with a row, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dispatch.transfer import TransferKind


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is not as it should be, and what to do about it."""

    kind: TransferKind
    key: str
    text: str
    advice: str


Found = Callable[[Damage], None]
