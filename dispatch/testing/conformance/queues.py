"""Queues: settings, pauses, counts, leased slots."""

from __future__ import annotations

import asyncio

from dispatch.entity import Reply
from dispatch.jobs.model import Verdict
from dispatch.queues import Pause, QueueConfig
from dispatch.testing.conformance.env import BOOM, Env, new, pairs
from dispatch.testing.conformance.registry import case

ROUNDS = 6


@case()
async def settings_come_back_as_they_were_given_and_replace_each_other(env: Env) -> None:
    queues = env.store.queues
    full = QueueConfig("mail", max_concurrency=5, rate_limit=2.5, rate_burst=9, fair=True, tenant_concurrency=2)
    await queues.configure(full)
    assert (await queues.get("mail")).config == full
    await queues.configure(QueueConfig("mail", max_concurrency=1))
    assert (await queues.get("mail")).config == QueueConfig("mail", max_concurrency=1)


@case()
async def a_queue_nobody_used_is_unlimited_and_empty(env: Env) -> None:
    info = await env.store.queues.get("nowhere")
    assert (info.config, info.pause, info.slots, info.oldest_due_at) == (QueueConfig("nowhere"), None, [], None)
    assert (info.pending, info.retrying, info.running, info.set_aside) == (0, 0, 0, 0)
    assert await env.store.queues.list() == []


@case()
async def a_pause_tells_who_why_and_until_when(env: Env) -> None:
    queues = env.store.queues
    await queues.configure(QueueConfig("mail", max_concurrency=5))
    await queues.pause("mail", by="ada", reason="deploy", duration=60)
    pause = (await queues.get("mail")).pause
    assert pause is not None
    assert (pause.by, pause.reason, pause.until, pause.since) == ("ada", "deploy", env.after(60), env.clock.now())
    assert (await queues.get("mail")).config.max_concurrency == 5
    await queues.pause("mail", by="bob")
    pause = (await queues.get("mail")).pause
    assert pause is not None
    assert (pause.by, pause.until) == ("bob", None)
    await queues.configure(QueueConfig("mail"))
    assert (await queues.get("mail")).pause is not None, "settings do not end a pause"
    assert await queues.resume("mail") is Reply.APPLIED
    assert (await queues.get("mail")).pause is None
    assert await queues.resume("mail") is Reply.CONFLICT
    assert await queues.resume("nowhere") is Reply.CONFLICT


@case()
async def a_pause_ends_nobody_elses_earlier_unless_it_is_forced(env: Env) -> None:
    queues = env.store.queues
    first = await queues.pause("mail", by="ada", reason="migration", duration=600)
    assert first == Pause("ada", "migration", env.after(600), env.clock.now())
    env.clock.advance(10)
    assert await queues.pause("mail", by="bob", reason="deploy", duration=60) == first
    assert (await queues.get("mail")).pause == first
    assert (await queues.pause("mail", by="ada", duration=60)).until == env.after(60), "one's own may end earlier"
    assert await queues.pause("mail", by="ada", duration=60) == Pause("ada", "", env.after(60), env.clock.now())
    assert (await queues.pause("mail", by="bob", duration=60)).by == "bob", "an end as late is none earlier"
    assert (await queues.pause("mail", by="ada")).until is None
    assert (await queues.pause("mail", by="bob", duration=600)).by == "ada", "nothing ends later than a resume"
    assert (await queues.pause("mail", by="bob")).by == "bob"
    forced = await queues.pause("mail", by="ada", duration=5, force=True)
    assert (forced.by, forced.until, (await queues.get("mail")).pause) == ("ada", env.after(5), forced)
    env.clock.advance(5)
    assert (await queues.pause("mail", by="bob", duration=1)).by == "bob", "a pause that is over is in nobody's way"
    await queues.resume("mail")
    assert (await queues.pause("mail", by="ada", duration=1)).by == "ada"


@case()
async def of_two_pauses_at_once_the_one_that_ends_later_stands(env: Env) -> None:
    sibling = await env.sibling()
    for turn in range(ROUNDS):
        queue, calls = f"mail-{turn}", []
        for store, by, duration in ((env.store, "ada", 600), (sibling, "bob", 60))[:: 1 if turn % 2 else -1]:
            calls.append(store.queues.pause(queue, by=by, duration=duration))
        answers = await asyncio.gather(*calls)
        standing = (await env.store.queues.get(queue)).pause
        assert standing is not None
        assert (standing.by, standing.until) == ("ada", env.after(600))
        assert standing in answers


@case()
async def a_pause_that_has_ended_is_not_shown(env: Env) -> None:
    await env.store.queues.pause("mail", duration=60)
    env.clock.advance(61)
    assert (await env.store.queues.get("mail")).pause is None
    assert await env.store.queues.resume("mail") is Reply.CONFLICT


@case()
async def counts_and_the_oldest_due_job_are_shown(env: Env) -> None:
    oldest = env.after(-50)
    await env.add(run_at=oldest)
    await env.add(delay=600, priority=9)
    await env.add("unknown", run_at=env.after(-300))
    await env.register(lease=600.0)
    while await env.store.jobs.set_aside(due_for=60.0, limit=100):
        pass
    job = await env.start(priority=5)
    await env.finish(job, Verdict.RETRY, failure=BOOM, delay=60)
    await env.start(priority=5)
    info = await env.store.queues.get("default")
    assert (info.retrying, info.running, info.set_aside) == (1, 1, 1)
    assert info.oldest_due_at == oldest
    assert info.pending in (2, 3), "jobs set aside may be counted as pending or apart"


@case()
async def the_starts_that_a_rate_still_allows_are_shown_with_the_stores_time(env: Env) -> None:
    await env.enqueue(*(new() for _ in range(5)))
    assert (await env.store.queues.get("default")).tokens is None
    await env.store.queues.configure(QueueConfig("default", rate_limit=0.5, rate_burst=2))
    info = await env.store.queues.get("default")
    assert (info.tokens, info.at) == (2.0, env.clock.now())
    assert len(await env.claim(5)) == 2
    assert (await env.store.queues.get("default")).tokens == 0.0
    env.clock.advance(1)
    (info,) = await env.store.queues.list()
    assert info.tokens is not None
    assert abs(info.tokens - 0.5) < 1e-6
    assert info.at == (await env.store.queues.get("nowhere")).at == env.clock.now()


@case()
async def the_list_has_every_queue_with_settings_or_live_jobs_by_name(env: Env) -> None:
    await env.store.queues.configure(QueueConfig("z", max_concurrency=1))
    await env.store.queues.pause("y")
    await env.add(queue="b")
    await env.start(queue="a")
    await env.finish(await env.start(queue="ended"), Verdict.COMPLETE)
    assert [info.config.name for info in await env.store.queues.list()] == ["a", "b", "y", "z"]
    infos = {info.config.name: info for info in await env.store.queues.list()}
    assert (infos["a"].running, infos["b"].pending, infos["y"].pause is not None) == (1, 1, True)
    assert infos["a"] == await env.store.queues.get("a")


@case("I28")
async def slots_and_running_rows_share_one_limit(env: Env) -> None:
    queues = env.store.queues
    await queues.configure(QueueConfig("default", max_concurrency=2))
    await env.enqueue(*(new() for _ in range(5)))
    assert await queues.take_slot("default", "me", lease=30) is Reply.APPLIED
    first = await env.claim(5)
    assert len(first) == 1
    assert await queues.take_slot("default", "you", lease=30) is Reply.CONFLICT
    await env.finish(first[0], Verdict.COMPLETE)
    assert await queues.take_slot("default", "you", lease=30) is Reply.APPLIED
    assert await env.claim(5) == []
    assert sorted((await queues.get("default")).slots) == ["me", "you"]
    assert await queues.free_slot("default", "me") is Reply.APPLIED
    assert len(await env.claim(5)) == 1


@case("I28")
async def a_slot_taken_again_by_its_holder_is_one_slot_with_a_longer_lease(env: Env) -> None:
    queues = env.store.queues
    for _ in range(3):
        assert await queues.take_slot("db", "me", lease=30, limit=1) is Reply.APPLIED
        env.clock.advance(20)
    assert (await queues.get("db")).slots == ["me"]
    assert await queues.take_slot("db", "you", lease=30, limit=1) is Reply.CONFLICT


@case("I28")
async def a_lapsed_slot_is_free_and_its_old_holder_is_stale(env: Env) -> None:
    queues = env.store.queues
    await queues.configure(QueueConfig("default", max_concurrency=1))
    await env.add()
    await queues.take_slot("default", "me", lease=10)
    assert await env.claim(1) == []
    env.clock.advance(11)
    assert (await queues.get("default")).slots == []
    job = await env.take()
    assert await queues.take_slot("default", "you", lease=10) is Reply.CONFLICT
    await env.store.jobs.release(env.worker, pairs(job))
    assert await queues.take_slot("default", "you", lease=10) is Reply.APPLIED
    assert await queues.renew_slot("default", "me", lease=10) is Reply.STALE
    assert await queues.free_slot("default", "me") is Reply.STALE
    assert (await queues.get("default")).slots == ["you"]


@case("I28")
async def a_slot_renewed_in_time_stays(env: Env) -> None:
    queues = env.store.queues
    await queues.take_slot("db", "me", lease=10, limit=1)
    for _ in range(5):
        env.clock.advance(9)
        assert await queues.renew_slot("db", "me", lease=10) is Reply.APPLIED
    assert await queues.take_slot("db", "you", lease=10, limit=1) is Reply.CONFLICT
    assert await queues.free_slot("db", "me") is Reply.APPLIED
    assert await queues.free_slot("db", "me") is Reply.STALE
    assert await queues.renew_slot("db", "me", lease=10) is Reply.STALE


@case("I28")
async def slots_of_different_queues_do_not_meet(env: Env) -> None:
    assert await env.store.queues.take_slot("a", "me", lease=10, limit=1) is Reply.APPLIED
    assert await env.store.queues.take_slot("b", "me", lease=10, limit=1) is Reply.APPLIED


@case("I28")
async def the_queues_own_limit_wins_over_the_callers(env: Env) -> None:
    await env.store.queues.configure(QueueConfig("db", max_concurrency=1))
    assert await env.store.queues.take_slot("db", "me", lease=10, limit=5) is Reply.APPLIED
    assert await env.store.queues.take_slot("db", "you", lease=10, limit=5) is Reply.CONFLICT
