"""The tenant of the running code: captured, restored, and never leaked to a neighbour."""

from __future__ import annotations

import asyncio
from contextvars import copy_context

import pytest

from dispatch.scope import NO_SCOPE, Scope, capture, restore, use_scope


def test_without_a_scope_work_belongs_to_nobody() -> None:
    assert capture() == NO_SCOPE == Scope("", "")
    assert not capture()
    assert capture().tenant == ""


def test_a_scope_holds_inside_its_block_and_no_longer() -> None:
    with use_scope("shop", "t-42") as scope:
        assert capture() == scope == Scope("shop", "t-42")
        assert scope.tenant == "shop/t-42"
        with use_scope("shop", "t-43"):
            assert capture().org_id == "t-43"
        assert capture() == scope
    assert capture() == NO_SCOPE


def test_a_scope_ends_with_an_exception_too() -> None:
    with pytest.raises(RuntimeError), use_scope("shop"):
        raise RuntimeError
    assert capture() == NO_SCOPE


def test_half_a_scope_is_one() -> None:
    assert Scope("shop")
    assert Scope("shop").tenant == "shop/"
    assert Scope("", "t-42").tenant == "/t-42"


def test_a_captured_scope_can_be_restored_elsewhere() -> None:
    with use_scope("shop", "t-42"):
        taken = capture()

    def elsewhere() -> Scope:
        restore(taken)
        return capture()

    assert copy_context().run(elsewhere) == taken
    assert capture() == NO_SCOPE


async def test_tasks_keep_their_own_scopes() -> None:
    async def work(org: str) -> str:
        with use_scope("shop", org):
            await asyncio.sleep(0)
            return capture().org_id

    assert await asyncio.gather(*(work(f"t-{n}") for n in range(5))) == [f"t-{n}" for n in range(5)]
