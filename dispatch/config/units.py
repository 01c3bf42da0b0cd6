"""Durations ("30s", "1h30m", seconds, timedelta) and sizes ("256KB", bytes) as people write them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from dispatch.clock import LONGEST, seconds

_BYTES = {"": 1, "B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Z]*)", re.ASCII)


def parse_duration(value: Any) -> timedelta:
    """A duration from a timedelta, a number of seconds, or text such as "30s", "0.4s", "1h30m", "7d".

    ValueError for anything else; a duration is never negative.
    """
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str | timedelta):
            raise ValueError(value)
        duration = value if isinstance(value, timedelta) else timedelta(seconds=seconds(value))
        if not 0 <= duration.total_seconds() <= LONGEST:
            raise ValueError(value)
    except (OverflowError, ValueError):
        raise ValueError(
            f'{value!r} is not a duration: write seconds (30, 0.4) or "400ms", "30s", "5m", "2h", "7d", "1h30m"'
        ) from None
    return duration


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads back as the same duration: "30s", "5m", "1d", "0.4s".

    >>> format_duration(timedelta(minutes=5))
    '5m'
    """
    micros = duration // timedelta(microseconds=1)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if micros and micros % (size * 1_000_000) == 0:
            return f"{micros // (size * 1_000_000)}{unit}"
    return f"{micros // 1_000_000}.{micros % 1_000_000:06d}".rstrip("0").rstrip(".") + "s"


def parse_size(value: Any) -> int:
    """A number of bytes from an int or text such as "256KB" (1 KB = 1024 bytes); ValueError for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip().upper().replace("IB", "B"))
        size = float(match[1]) * _BYTES[match[2]] if match and match[2] in _BYTES else 0.5
        if size.is_integer():
            return int(size)
    raise ValueError(f'{value!r} is not a size: write bytes (65536) or "16KB", "1MB", "1GB" (1 KB = 1024 bytes)')


def format_size(size: int) -> str:
    """The shortest text that `parse_size` reads back as the same number of bytes.

    >>> format_size(262144)
    '256KB'
    """
    for unit in ("GB", "MB", "KB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"


def _above_zero(duration: timedelta) -> timedelta:
    if not duration:
        raise ValueError("must be longer than zero")
    return duration


def _optional(value: Any) -> timedelta | None:
    return None if value is None or value == "never" else _above_zero(parse_duration(value))


def _shown(duration: timedelta | None) -> str:
    return "never" if duration is None else format_duration(duration)


_as_text = PlainSerializer(_shown, return_type=str, when_used="json")
Duration = Annotated[timedelta, BeforeValidator(parse_duration), _as_text]
"""A duration that may be zero; a timedelta in Python, text such as "30s" in JSON and TOML."""
Interval = Annotated[timedelta, BeforeValidator(lambda value: _above_zero(parse_duration(value))), _as_text]
"""A duration above zero."""
MaybeInterval = Annotated[timedelta | None, BeforeValidator(_optional), _as_text]
"""A duration above zero, or None, written "never"."""
Size = Annotated[int, BeforeValidator(parse_size), PlainSerializer(format_size, return_type=str, when_used="json")]
"""A number of bytes; text such as "256KB" in JSON and TOML."""
