"""A saga in a hundred worlds where workers crash and messages are lost. `python simulated_saga.py`

A bank that sees repetitions is charged once in all of them; one that does not is found to charge twice, with the seed
that shows it.
"""

from __future__ import annotations

from dispatch import Fail, WorkflowContext, testing, workflow


class Bank:
    """Keeps what it has charged, by key if it looks at keys."""

    def __init__(self, *, looks_at_keys: bool) -> None:
        self.looks_at_keys = looks_at_keys
        self.charged: list[str] = []

    async def charge(self, key: str) -> str:
        """Charges, unless it knows the key."""
        if not (self.looks_at_keys and key in self.charged):
            self.charged.append(key)
        return key

    async def refund(self, payment: str) -> None:
        """Takes a charge back; of one that is gone it takes back nothing."""
        if payment in self.charged:
            self.charged.remove(payment)


bank = Bank(looks_at_keys=True)


async def charge(key: str) -> str:
    """The step: the present bank's."""
    return await bank.charge(key)


async def refund(payment: str) -> None:
    """Its undo."""
    await bank.refund(payment)


async def pack(item: str) -> str:
    """A shelf that has no coffee."""
    if item == "coffee":
        raise Fail("there is no coffee")
    return f"a box of {item}"


@workflow(max_retries=3)
async def order(ctx: WorkflowContext, item: str) -> str:
    """Charges, waits for a day, packs."""
    await ctx.step("charge", charge, ctx.key("charge")).compensate(refund)
    await ctx.sleep("1d")
    return await ctx.step("pack", pack, item)


def charged_as_it_should(outcome: testing.Outcome) -> None:
    """Once, if the order went through; else not at all."""
    wanted = 1 if outcome.result is not None else 0
    assert len(bank.charged) == wanted, f"{outcome.state}, charged {len(bank.charged)} times"


def main() -> None:
    """Both banks, and an order that fails."""
    global bank
    for item in ("tea", "coffee"):
        done = testing.simulate(
            order, item, seeds=100, setup=lambda: bank.charged.clear(), invariant=charged_as_it_should
        )
        print(f"{item}: right in {done.seeds} worlds with {done.faults.crashes} crashes")
    bank = Bank(looks_at_keys=False)
    try:
        testing.simulate(order, "tea", seeds=100, setup=bank.charged.clear, invariant=charged_as_it_should)
    except testing.SimulationFailed as error:
        print(f"without keys: {error.__cause__} under seed {error.seed}")


if __name__ == "__main__":
    main()
