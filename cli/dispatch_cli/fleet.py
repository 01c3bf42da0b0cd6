"""The limits of a queue in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def limits_in_words(document: Mapping[str, Any]) -> str:
    """The limits of a queue document in a few words; "" when it has none."""
    parts = [
        ("{} at once", document["max_concurrency"]),
        ("{:g}/s", document["rate_limit"]),
        ("burst {}", document["rate_burst"]),
        ("{} a tenant", document["tenant_concurrency"]),
        ("fair", document["fair"] or None),
    ]
    return ", ".join(text.format(value) for text, value in parts if value is not None)
