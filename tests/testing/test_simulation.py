"""`testing.simulate`: a right workflow passes, a planted mistake is found, and the same seed is the same world."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from pydantic import BaseModel

from dispatch import Fail, WorkflowContext, event, testing
from dispatch.errors import UsageError
from dispatch.registry import Registry
from dispatch.testing import Outcome, SimulationFailed, simulate
from dispatch.workflows import RunHandle, RunState


class Cleared(BaseModel):
    bank: int


cleared = event("cleared", Cleared)


class Till:
    """A fake that keeps what was charged; with `keys` it sees repetitions."""

    def __init__(self) -> None:
        self.charged: list[str] = []

    async def charge(self, key: str) -> str:
        await asyncio.sleep(0.5)
        if key not in self.charged:
            self.charged.append(key)
        return key

    async def charge_again(self, key: str) -> str:
        self.charged.append(key)
        await asyncio.sleep(0.5)
        return key

    def refund(self, payment: str) -> None:
        while payment in self.charged:
            self.charged.remove(payment)


@pytest.fixture
def till() -> Till:
    return Till()


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.mark.parametrize("worlds", [60, pytest.param(None, marks=pytest.mark.proof)], ids=["few", "as many as usual"])
def test_a_right_workflow_holds_in_worlds_full_of_faults(till: Till, registry: Registry, worlds: int | None) -> None:
    @registry.job
    def weigh(item: int) -> int:
        return item * 10

    @registry.workflow(max_retries=3)
    async def part(ctx: WorkflowContext, number: int) -> int:
        await ctx.sleep(timedelta(days=number))
        return number

    @registry.workflow(max_retries=3)
    async def order(ctx: WorkflowContext, number: int) -> list[object]:
        payment = await ctx.step("charge", till.charge, ctx.key("charge")).compensate(till.refund)
        said = await ctx.wait_for_event(cleared, key=number, timeout=timedelta(days=2))
        both = await ctx.parallel(ctx.step("weigh", weigh, 1).on_workers(), ctx.step("weigh here", weigh, 2))
        parts = await ctx.fan_out("parts", part, [1, 2])
        return [payment.rpartition("/")[2], said.bank, *both, *parts]

    async def outside(run: RunHandle[object]) -> None:
        await asyncio.sleep(3600)
        await cleared.publish(Cleared(bank=1), key=7)

    def invariant(outcome: Outcome) -> None:
        assert outcome.result == ["charge", 1, 10, 20, 1, 2]
        assert len(till.charged) == 1
        assert [c.name for c in outcome.timeline if c.kind == "step"] == ["charge", "weigh here"]

    chosen = {} if worlds is None else {"seeds": worlds}
    done = simulate(
        order, 7, **chosen, registry=registry, setup=till.charged.clear, invariant=invariant, outside=outside
    )
    seen = done.faults
    assert done.seeds == (worlds or 200)
    assert min(seen.crashes, seen.stalls, seen.lost_requests, seen.lost_replies, seen.repeated) > done.seeds / 10


def test_a_step_that_does_not_bear_repetition_is_found_and_its_seed_replays_it(till: Till, registry: Registry) -> None:
    @registry.workflow(max_retries=3)
    async def careless(ctx: WorkflowContext) -> None:
        await ctx.step("charge", till.charge_again, ctx.key("charge"))

    def once(outcome: Outcome) -> bool:
        return len(till.charged) == 1

    def failing(seeds: int | list[int]) -> SimulationFailed:
        with pytest.raises(SimulationFailed) as caught:
            simulate(careless, seeds=seeds, registry=registry, setup=till.charged.clear, invariant=once)
        return caught.value

    first = failing(200)
    again = failing([first.seed])
    assert again.trace == first.trace
    assert str(again) == str(first)
    assert f"careless failed under seed {first.seed} (" in str(first)
    assert f"Replay it: simulate(careless, ..., seeds=[{first.seed}])" in str(first)
    assert first.trace[-1] in str(first)
    assert any("crashes" in line or "stands still" in line for line in first.trace)


def test_an_undo_that_forgets_is_found(till: Till, registry: Registry) -> None:
    @registry.workflow(max_retries=1)
    async def order(ctx: WorkflowContext, *, keyed: bool) -> None:
        charge = till.charge if keyed else till.charge_again
        await ctx.step("charge", charge, ctx.key("charge")).compensate(till.charged.remove)
        raise Fail("sold out")

    def nothing_is_left(outcome: Outcome) -> None:
        assert outcome.state is RunState.FAILED
        assert not till.charged

    common = {"registry": registry, "setup": till.charged.clear, "invariant": nothing_is_left}
    with pytest.raises(SimulationFailed, match="AssertionError"):
        simulate(order, keyed=False, **common)  # type: ignore[arg-type]


def test_the_same_seeds_are_the_same_worlds_and_other_seeds_are_others(till: Till, registry: Registry) -> None:
    @registry.workflow
    async def order(ctx: WorkflowContext) -> float:
        await ctx.parallel(*(ctx.step(f"charge-{n}", till.charge, f"{n}") for n in range(5)))
        return ctx.random()

    one, two = (simulate(order, seeds=range(5, 15), registry=registry) for _ in range(2))
    assert one == two
    assert simulate(order, seeds=range(6, 16), registry=registry).digest != one.digest


def test_what_must_hold_all_the_time_is_looked_at_all_the_time(till: Till, registry: Registry) -> None:
    @registry.workflow
    async def order(ctx: WorkflowContext) -> None:
        await ctx.step("charge", till.charge, "a")
        await ctx.step("refund", till.refund, "a")

    simulate(order, seeds=5, registry=registry, invariant=lambda outcome: not till.charged)
    with pytest.raises(SimulationFailed, match="`always` answered False"):
        simulate(order, seeds=5, registry=registry, always=lambda: not till.charged)


def test_a_run_that_waits_for_what_never_comes_is_told(registry: Registry) -> None:
    @registry.workflow
    async def order(ctx: WorkflowContext) -> None:
        await ctx.wait_for_event("cleared")

    with pytest.raises(SimulationFailed, match=r"the run is waiting for cleared, which never came; publish it in"):
        simulate(order, seeds=1, registry=registry)


def test_the_outside_world_may_cancel_and_its_errors_are_told(till: Till, registry: Registry) -> None:
    @registry.workflow
    async def order(ctx: WorkflowContext) -> None:
        await ctx.step("charge", till.charge, ctx.key("charge")).compensate(till.refund)
        await ctx.sleep("30d")

    async def cancels(run: RunHandle[None]) -> None:
        await asyncio.sleep(86400)
        await run.cancel()

    def cancelled(outcome: Outcome) -> None:
        assert outcome.state is RunState.CANCELLED
        assert not till.charged

    simulate(order, seeds=20, registry=registry, setup=till.charged.clear, outside=cancels, invariant=cancelled)

    async def breaks(run: RunHandle[None]) -> None:
        raise KeyError("typo")

    with pytest.raises(SimulationFailed, match="KeyError: 'typo'"):
        simulate(order, seeds=1, registry=registry, outside=breaks)


async def test_it_may_be_called_where_a_loop_is_running(registry: Registry) -> None:
    @registry.workflow
    async def order(ctx: WorkflowContext) -> int:
        return 1

    assert simulate(order, seeds=3, registry=registry, invariant=lambda outcome: outcome.result == 1).seeds == 3
    with pytest.raises(SimulationFailed):
        simulate(order, seeds=[2], registry=registry, invariant=lambda outcome: outcome.result == 2)


def test_a_workflow_that_the_registry_does_not_know_is_refused(registry: Registry) -> None:
    @registry.workflow
    async def order(ctx: WorkflowContext) -> None: ...

    with pytest.raises(UsageError, match="the registry does not know order"):
        testing.simulate(order)
    with pytest.raises(UsageError, match="nodes=0"):
        testing.simulate(order, registry=registry, nodes=0)
