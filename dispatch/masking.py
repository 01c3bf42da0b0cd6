"""Hides secrets in what people get to see: passwords in URLs, and values whose key says that they are secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

MASK = "***"
_SECRET = re.compile(
    r"(?:^|[_\-.])(?:passw(?:or)?d|passphrase|tokens?|secrets?|authorization|cookies?|api[_\-]?keys?)(?:$|[_\-.])",
    re.IGNORECASE,
)
# Greedy up to the last "@": a password may hold an unescaped "/", "?" or "@". A port ("host:8080/…") is none.
_USERINFO = re.compile(r"(://[^/:@?#\s]*):(?!\d+(?:[/?#]|$))(\S*)@")
_PARAMETER = re.compile(r"([?&;])([^=&;#\s]+)=([^&;#\s]*)")


def is_secret(key: str) -> bool:
    """Whether the key's name says that its value must not be shown."""
    return _SECRET.search(key) is not None


def mask_url(url: str) -> str:
    """The URL without its password and without secret query parameters; any other text comes back as it is.

    >>> mask_url("postgresql://app:s3cret@db/app?sslmode=require")
    'postgresql://app:***@db/app?sslmode=require'
    """
    if "://" not in url:
        return url
    url = _USERINFO.sub(rf"\1:{MASK}@", url)
    return _PARAMETER.sub(lambda m: f"{m[1]}{m[2]}={MASK}" if is_secret(m[2]) else m[0], url)


def mask_value(key: str, value: Any) -> Any:
    """The value as it may be shown under that key: nested tables and lists too."""
    if value and is_secret(key):
        return MASK
    if isinstance(value, str):
        return mask_url(value)
    if isinstance(value, Mapping):
        return {name: mask_value(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [mask_value(key, inner) for inner in value]
    return value


def masked(config: BaseModel) -> dict[str, Any]:
    """The configuration as plain JSON values with every secret replaced; what `config show` and reprs print."""
    return {key: mask_value(key, value) for key, value in config.model_dump(mode="json").items()}
