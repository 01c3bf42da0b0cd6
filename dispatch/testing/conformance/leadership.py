"""Leadership: one leader at a time, in terms that grow."""

from __future__ import annotations

import asyncio

from dispatch.entity import Reply
from dispatch.ids import WorkerID
from dispatch.testing.conformance.env import Env
from dispatch.testing.conformance.registry import case


@case("I26")
async def one_worker_leads_and_the_others_are_told_who(env: Env) -> None:
    cluster = env.store.cluster
    assert await cluster.leadership() is None
    mine = await cluster.acquire_leadership(env.worker, lease=15)
    assert (mine.leader, mine.until) == (env.worker, env.after(15))
    assert await cluster.acquire_leadership(env.other, lease=15) == mine
    assert await cluster.leadership() == mine


@case("I26")
async def the_leader_asking_again_keeps_its_term(env: Env) -> None:
    cluster = env.store.cluster
    mine = await cluster.acquire_leadership(env.worker, lease=15)
    env.clock.advance(5)
    again = await cluster.acquire_leadership(env.worker, lease=15)
    assert (again.leader, again.term) == (env.worker, mine.term)
    assert again.until >= mine.until


@case("I26")
async def a_renewed_term_does_not_lapse(env: Env) -> None:
    cluster = env.store.cluster
    mine = await cluster.acquire_leadership(env.worker, lease=15)
    for _ in range(4):
        env.clock.advance(14)
        assert await cluster.renew_leadership(env.worker, mine.term, lease=15) is Reply.APPLIED
        assert (await cluster.acquire_leadership(env.other, lease=15)).leader == env.worker
    now = await cluster.leadership()
    assert now is not None
    assert (now.term, now.until) == (mine.term, env.after(15))


@case("I26")
async def a_lapsed_term_gives_way_to_a_greater_one_and_its_holder_is_stale(env: Env) -> None:
    cluster = env.store.cluster
    mine = await cluster.acquire_leadership(env.worker, lease=15)
    env.clock.advance(16)
    assert await cluster.leadership() is None
    theirs = await cluster.acquire_leadership(env.other, lease=15)
    assert theirs.leader == env.other
    assert theirs.term > mine.term
    assert await cluster.renew_leadership(env.worker, mine.term, lease=15) is Reply.STALE
    assert await cluster.resign(env.worker, mine.term) is Reply.STALE
    assert await cluster.renew_leadership(env.worker, theirs.term, lease=15) is Reply.STALE
    assert await cluster.renew_leadership(env.other, mine.term, lease=15) is Reply.STALE
    assert await cluster.leadership() == theirs


@case("I26")
async def terms_grow_through_resignations_and_returns(env: Env) -> None:
    cluster = env.store.cluster
    terms = []
    for worker in (env.worker, env.other, env.worker, env.worker):
        mine = await cluster.acquire_leadership(worker, lease=15)
        assert mine.leader == worker
        terms.append(mine.term)
        assert await cluster.resign(worker, mine.term) is Reply.APPLIED
        assert await cluster.leadership() is None
    assert terms == sorted(set(terms))


@case("I26")
async def the_same_worker_returning_after_a_lapse_begins_a_new_term(env: Env) -> None:
    cluster = env.store.cluster
    first = await cluster.acquire_leadership(env.worker, lease=15)
    env.clock.advance(16)
    second = await cluster.acquire_leadership(env.worker, lease=15)
    assert second.term > first.term
    assert await cluster.renew_leadership(env.worker, first.term, lease=15) is Reply.STALE
    assert await cluster.resign(env.worker, first.term) is Reply.STALE


@case("I26")
async def of_many_candidates_at_once_one_leads(env: Env) -> None:
    sibling = await env.sibling()
    answers = await asyncio.gather(
        *(
            store.cluster.acquire_leadership(WorkerID.new(), lease=15)
            for _ in range(5)
            for store in (env.store, sibling)
        )
    )
    assert len({(answer.leader, answer.term) for answer in answers}) == 1
