"""An app in memory with a registry of its own, and a log of what the effects of runs were."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dispatch import testing
from dispatch.registry import Registry


class Effects:
    """Steps that note that they ran."""

    def __init__(self) -> None:
        self.log: list[str] = []

    async def do(self, what: str) -> str:
        self.log.append(what)
        return what

    async def undo(self, result: object, *more: object) -> None:
        self.log.append(" ".join(["undo", str(result), *map(str, more)]))

    async def fail(self, what: str) -> str:
        self.log.append(f"{what} fails")
        raise ValueError(f"{what} is broken")

    def count(self, what: str) -> int:
        return self.log.count(what)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def effects() -> Effects:
    return Effects()


@pytest.fixture
async def app(registry: Registry) -> AsyncIterator[testing.MemoryApp]:
    async with testing.app(registry) as app:
        yield app
