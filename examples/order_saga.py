"""Orders as sagas: what was done is taken back when a later step fails. `python order_saga.py`

Two orders run on a worker in this process, kept in ./orders.db; the second one's card is refused, so its
stock is put back.
"""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from dispatch import Dispatch, Fail, WorkflowContext, workflow
from dispatch.errors import RunFailed

STOCK = {"tea": 5, "coffee": 5}


class Order(BaseModel):
    """What a customer wants."""

    id: str
    item: str
    quantity: int
    card: str


class Reservation(BaseModel):
    """Stock set aside for an order."""

    item: str
    quantity: int


async def reserve(order: Order) -> Reservation:
    """Takes the goods off the shelf."""
    STOCK[order.item] -= order.quantity
    return Reservation(item=order.item, quantity=order.quantity)


async def put_back(reservation: Reservation, order_id: str) -> None:
    """Undoes `reserve`."""
    STOCK[reservation.item] += reservation.quantity
    print(f"{order_id}: put back {reservation.quantity} {reservation.item}")


async def charge(order: Order, key: str) -> str:
    """Charges the card; `key` lets the provider see a repetition."""
    if order.card == "stolen":
        raise Fail("the card is refused", dead_letter=False)
    return f"paid by {order.card}"


@workflow
async def place(ctx: WorkflowContext, order: Order) -> str:
    """Reserves, charges, and is done."""
    goods = await ctx.step("reserve", reserve, order).compensate(put_back, order.id)
    payment = await ctx.step("charge", charge, order, ctx.key("charge")).retry(3)
    return f"{goods.quantity} {goods.item}, {payment}"


async def main() -> None:
    async with Dispatch("sqlite:///orders.db") as app:
        await app.start()
        for order in (
            Order(id="o-1", item="tea", quantity=2, card="visa"),
            Order(id="o-2", item="coffee", quantity=3, card="stolen"),
        ):
            run = await place.start(order)
            try:
                print(f"{order.id}: {await run.result(timeout=20)}")
            except RunFailed as error:
                print(f"{order.id}: {error.type}")
        print("in stock:", STOCK)


if __name__ == "__main__":
    asyncio.run(main())
