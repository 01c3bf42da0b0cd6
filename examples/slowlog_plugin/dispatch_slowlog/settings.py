"""What [plugin.slowlog] may say."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field


class Settings(BaseModel):
    """Where the log is, and what is slow."""

    path: Path = Path("slow.jsonl")
    threshold: float = Field(default=1.0, gt=0)
    """Seconds."""
