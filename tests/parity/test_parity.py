"""Every public name that is promised so far: imported, used once, with an effect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dispatch.registry import Registry as Names

from . import uses_app, uses_doors, uses_parts, uses_tools, uses_workflows
from .promised import QUIET, ROWS, USES, get

__all__ = ["uses_app", "uses_doors", "uses_parts", "uses_tools", "uses_workflows"]


@pytest.fixture
async def app(registry: Names) -> AsyncIterator[Any]:
    async with get("dispatch.Dispatch")("memory://", registry=registry, config=QUIET) as opened:
        yield opened


def test_every_row_has_a_use() -> None:
    assert set(USES) == set(ROWS)


@pytest.mark.parametrize(("number", "dotted"), [(number, name) for number, names in ROWS.items() for name in names])
def test_every_name_can_be_imported(number: int, dotted: str) -> None:
    assert get(dotted) is not None


@pytest.mark.parametrize("number", [n for n in ROWS if n not in (58, 59)])
async def test_every_row_works(number: int, app: Any, tmp_path: Path) -> None:
    function = USES[number]
    wanted = function.__code__.co_varnames[: function.__code__.co_argcount]
    given = {"app": app, "tmp_path": tmp_path}
    names = [get(name) for name in ROWS[number]]
    answer = function(*names, **{name: given[name] for name in wanted[len(names) :]})
    if asyncio.iscoroutine(answer):
        await answer


@pytest.mark.slow
@pytest.mark.parametrize("number", [58, 59])
def test_every_row_that_takes_a_process_works(number: int, tmp_path: Path) -> None:
    USES[number](*(get(name) for name in ROWS[number]), tmp_path=tmp_path)
