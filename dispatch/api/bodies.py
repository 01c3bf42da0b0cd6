"""Request bodies: limited while they arrive, parsed once, no deeper than allowed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable
from typing import Any

from pydantic_core import from_json

from dispatch.api.problems import Problem

_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


async def read_body(chunks: AsyncIterable[bytes], *, announced: str | None, most: int) -> bytes:
    """The body, of at most so many bytes; `announced` is what Content-Length says. Raises Problem (413, 400)."""
    if announced is not None:
        if not (announced.isascii() and announced.isdigit()):
            raise Problem(400, "invalid_request", "Content-Length is no number")
        if len(announced) > 15 or int(announced) > most:
            raise too_large(most)
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise too_large(most)
        parts.append(chunk)
    return b"".join(parts)


def parsed(body: bytes, *, deepest: int) -> Any:
    """The JSON value in a body. Raises Problem: 413 when it nests deeper than allowed, 400 when it is no JSON."""
    if deeper_than(body, deepest):
        raise Problem(413, "nested_too_deep", f"the JSON nests deeper than {deepest} levels")
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Problem(400, "invalid_json", f"the body is no JSON: {error}") from None


def deeper_than(body: bytes, deepest: int) -> bool:
    """Whether arrays and objects nest deeper than that.

    >>> deeper_than(b'[[1], "[[[["]', 2), deeper_than(b"[[[1]]]", 2)
    (False, True)
    """
    if body.count(b"[") + body.count(b"{") <= deepest:
        return False
    depth = 0
    for found in _BRACKETS.finditer(body):
        token = found[0]
        if token in (b"[", b"{"):
            depth += 1
            if depth > deepest:
                return True
        elif token in (b"]", b"}"):
            depth -= 1
    return False


def too_large(most: int) -> Problem:
    """The answer to a body that is too large."""
    return Problem(413, "body_too_large", f"the body is larger than limits.body, {most:,} bytes")
