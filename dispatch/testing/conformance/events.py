"""Events: an append-only log with retention."""

from __future__ import annotations

from typing import Any

from dispatch.events import Event, ListOptions
from dispatch.ids import EventID
from dispatch.scope import Scope
from dispatch.testing.conformance.env import Env
from dispatch.testing.conformance.registry import case

A, B = Scope("shop", "a"), Scope("shop", "b")


async def _ids(env: Env, **options: Any) -> list[EventID]:
    return [event.id for event in (await env.store.events.list(ListOptions(**options))).items]


@case("I31")
async def a_published_event_comes_back_to_its_tenant_only(env: Env) -> None:
    given = Event("paid", b'{"n": [ ]}\xff', key="42", scope=A)
    stored = await env.store.events.publish(given)
    assert stored.created_at == env.clock.now()
    assert (stored.id, stored.name, stored.payload, stored.key) == (given.id, "paid", given.payload, "42")
    assert (stored.run_id, stored.scope) == (None, A)
    assert await env.store.events.get(given.id) == stored
    assert await env.store.events.get(given.id, scope=A) == stored
    assert await env.store.events.get(given.id, scope=B) is None
    assert await env.store.events.get(EventID.new()) is None


@case("I2")
async def the_same_id_again_changes_nothing(env: Env) -> None:
    first = await env.store.events.publish(Event("paid", b"1"))
    env.clock.advance(5)
    again = await env.store.events.publish(Event("other", b"2", id=first.id))
    assert again == first
    assert len(await _ids(env)) == 1


@case("I31")
async def lists_filter_by_name_key_and_tenant_newest_first(env: Env) -> None:
    a = (await env.store.events.publish(Event("paid", key="1", scope=A))).id
    b = (await env.store.events.publish(Event("paid", key="2", scope=B))).id
    c = (await env.store.events.publish(Event("sent", key="1"))).id
    assert await _ids(env) == [c, b, a]
    assert await _ids(env, names=["paid"]) == [b, a]
    assert await _ids(env, names=["paid", "sent"], key="1") == [c, a]
    assert await _ids(env, scope=A) == [a]
    assert await _ids(env, scope=Scope()) == [c]


@case()
async def pages_are_stable_while_events_arrive(env: Env) -> None:
    expected = [(await env.store.events.publish(Event("e"))).id for _ in range(10)]
    seen: list[EventID] = []
    cursor: str | None = None
    for _ in range(10):
        page = await env.store.events.list(ListOptions(limit=3, cursor=cursor))
        seen += [event.id for event in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        await env.store.events.publish(Event("e"))
    assert seen == expected[::-1]


@case()
async def prune_deletes_old_events_in_bounded_steps(env: Env) -> None:
    for _ in range(5):
        await env.store.events.publish(Event("old"))
    env.clock.advance(100)
    young = (await env.store.events.publish(Event("young"))).id
    assert [await env.store.events.prune(older_than=50, limit=3) for _ in range(3)] == [3, 2, 0]
    assert await _ids(env) == [young]
