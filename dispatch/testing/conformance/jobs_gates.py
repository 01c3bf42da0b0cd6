"""Gates of a queue: pauses, limits, rates, fair lanes, quarantine, expiry; and when the claim says to look again."""

from __future__ import annotations

from collections import Counter

from dispatch.entity import Reply
from dispatch.jobs.model import JobState, Verdict
from dispatch.queues import QueueConfig
from dispatch.scope import Scope
from dispatch.testing.conformance.env import Env, new
from dispatch.testing.conformance.registry import case

A, B = Scope("shop", "a"), Scope("shop", "b")


@case("I28")
async def no_more_rows_run_than_the_queues_limit(env: Env) -> None:
    await env.store.queues.configure(QueueConfig("default", max_concurrency=3))
    await env.enqueue(*(new() for _ in range(10)))
    first = await env.claim(10)
    assert len(first) == 3
    assert await env.claim(10, by=env.other) == []
    await env.finish(first[0], Verdict.COMPLETE)
    assert len(await env.claim(10, by=env.other)) == 1


@case("I28")
async def every_way_out_of_running_frees_its_place(env: Env) -> None:
    await env.store.queues.configure(QueueConfig("default", max_concurrency=1))
    await env.enqueue(*(new() for _ in range(10)))
    for verdict in Verdict:
        job = await env.take()
        assert await env.claim(1, by=env.other) == []
        assert (await env.finish(job, verdict, delay=3600)).reply is Reply.APPLIED
    await env.crash(await env.take(), delays=[3600])
    assert len(await env.claim(10)) == 1


@case("I28")
async def a_lapsed_row_holds_its_place_until_it_is_stolen(env: Env) -> None:
    await env.store.queues.configure(QueueConfig("default", max_concurrency=1))
    await env.start(lease=5)
    await env.add()
    env.clock.advance(60)
    assert await env.claim(5, by=env.other) == []
    await env.steal(delays=[600])
    assert len(await env.claim(5, by=env.other)) == 1


@case("I28")
async def a_limit_lowered_below_what_runs_lets_nothing_in_and_a_lifted_one_everything(env: Env) -> None:
    await env.enqueue(*(new() for _ in range(10)))
    await env.claim(4)
    await env.store.queues.configure(QueueConfig("default", max_concurrency=2))
    assert await env.claim(5) == []
    await env.store.queues.configure(QueueConfig("default"))
    assert len(await env.claim(10)) == 6


@case("I28")
async def a_limited_queue_does_not_hold_up_its_neighbour(env: Env) -> None:
    await env.store.queues.configure(QueueConfig("a", max_concurrency=1))
    await env.enqueue(*(new(queue="a") for _ in range(10)), *(new(queue="b") for _ in range(10)))
    claimed = await env.claim(10, queues=["a", "b"])
    assert Counter(job.queue for job in claimed) == {"a": 1, "b": 9}


@case("I28", "I31")
async def no_more_rows_of_one_tenant_run_than_the_tenants_limit(env: Env) -> None:
    await env.store.queues.configure(QueueConfig("default", tenant_concurrency=2))
    await env.enqueue(*(new(scope=A) for _ in range(5)), *(new(scope=B) for _ in range(5)))
    first = await env.claim(10)
    assert Counter(job.scope for job in first) == {A: 2, B: 2}
    assert await env.claim(10) == []
    await env.finish(next(job for job in first if job.scope == A), Verdict.COMPLETE)
    assert [job.scope for job in await env.claim(10)] == [A]


@case("I28")
async def the_tenant_limit_holds_within_the_queue_limit(env: Env) -> None:
    await env.store.queues.configure(QueueConfig("default", max_concurrency=3, tenant_concurrency=2))
    await env.enqueue(*(new(scope=A) for _ in range(5)), *(new(scope=B) for _ in range(5)))
    counts = Counter(job.scope for job in await env.claim(10))
    assert sum(counts.values()) == 3
    assert max(counts.values()) <= 2


@case("I28")
async def a_tenant_limit_set_while_jobs_wait_holds_for_them_too(env: Env) -> None:
    await env.enqueue(*(new(scope=A) for _ in range(5)), *(new(scope=B) for _ in range(5)))
    await env.claim(1)
    await env.store.queues.configure(QueueConfig("default", tenant_concurrency=1))
    await env.claim(10)
    running = Counter(job.scope for job in await env.jobs() if job.state is JobState.RUNNING)
    assert running == {A: 1, B: 1}


@case("I29")
async def tenants_take_turns_on_a_fair_queue(env: Env) -> None:
    await env.store.queues.configure(QueueConfig("default", fair=True))
    await env.enqueue(*(new(scope=A, priority=9) for _ in range(50)), *(new(scope=B) for _ in range(5)))
    assert Counter(job.scope for job in await env.claim(6)) == {A: 3, B: 3}
    assert Counter(job.scope for job in await env.claim(10)) == {A: 8, B: 2}


@case("I29")
async def tenants_take_turns_from_claim_to_claim(env: Env) -> None:
    await env.store.queues.configure(QueueConfig("default", fair=True))
    await env.enqueue(*(new(scope=A) for _ in range(10)), *(new(scope=B) for _ in range(10)))
    served = Counter([(await env.take()).scope for _ in range(6)])
    assert served == {A: 3, B: 3}


@case("I6")
async def within_a_lane_of_a_fair_queue_the_order_is_kept(env: Env) -> None:
    await env.store.queues.configure(QueueConfig("default", fair=True))
    given = [new(scope=scope, priority=i % 3) for i in range(12) for scope in (A, B)]
    await env.enqueue(*given)
    claimed = await env.claim(8)
    for scope in (A, B):
        expected = sorted((job for job in given if job.scope == scope), key=lambda job: (-job.priority, job.id))
        assert [job.id for job in claimed if job.scope == scope] == [job.id for job in expected][:4]


@case()
async def a_rate_lets_so_many_start_a_second_and_a_full_bucket_holds_the_burst(env: Env) -> None:
    await env.store.queues.configure(QueueConfig("default", rate_limit=2.0, rate_burst=4))
    await env.enqueue(*(new() for _ in range(40)))
    assert len(await env.claim(10)) == 4
    assert await env.claim(10, by=env.other) == []
    env.clock.advance(0.5)
    assert len(await env.claim(10)) == 1
    env.clock.advance(1.0)
    assert len(await env.claim(10)) == 2
    env.clock.advance(3600)
    assert len(await env.claim(10)) == 4


@case()
async def a_claim_pays_only_for_what_it_took(env: Env) -> None:
    await env.store.queues.configure(QueueConfig("default", rate_limit=1.0, rate_burst=3))
    assert await env.claim(10) == []
    await env.add()
    assert len(await env.claim(10)) == 1
    await env.enqueue(*(new() for _ in range(10)))
    assert len(await env.claim(10)) == 2


@case()
async def a_rate_next_to_nothing_keeps_no_other_queue_waiting(env: Env) -> None:
    await env.store.queues.configure(QueueConfig("default", rate_limit=1e-320))
    await env.enqueue(new(), new(), new(queue="a"))
    answer = await env.claimed(10, queues=("default", "a"))
    assert sorted(job.queue for job in answer.jobs) == ["a", "default"]
    answer = await env.claimed(10, queues=("default", "a"))
    assert answer.jobs == []
    assert answer.next_due is None or answer.next_due > env.after(86400.0)


@case()
async def a_slow_rate_has_a_burst_of_one_and_tells_when_the_next_token_comes(env: Env) -> None:
    await env.store.queues.configure(QueueConfig("default", rate_limit=0.1))
    await env.enqueue(new(), new(), new())
    answer = await env.claimed(10)
    assert len(answer.jobs) == 1
    assert answer.next_due is not None
    assert env.after(9.99) <= answer.next_due <= env.after(10.01)
    env.clock.advance(10.01)
    assert len(await env.claim(10)) == 1


@case()
async def a_paused_queue_gives_nothing_until_it_is_resumed(env: Env) -> None:
    await env.store.queues.pause("default", by="ada", reason="deploy")
    await env.add()
    await env.add(queue="other")
    assert (await env.claimed(5)).next_due is None
    assert [job.queue for job in await env.claim(5, queues=["default", "other"])] == ["other"]
    assert await env.store.queues.resume("default") is Reply.APPLIED
    assert len(await env.claim(5)) == 1


@case()
async def a_pause_with_an_end_ends_by_itself_and_the_claim_says_when(env: Env) -> None:
    await env.store.queues.pause("default", duration=60)
    await env.add()
    answer = await env.claimed(5)
    assert answer.jobs == []
    assert answer.next_due == env.after(60)
    env.clock.advance(60)
    assert len(await env.claim(5)) == 1


@case("I10")
async def a_job_that_crashed_twice_is_claimed_only_alone(env: Env) -> None:
    killer = await env.start()
    await env.crash(killer)
    await env.crash(await env.take())
    neighbours = {await env.add(), await env.add()}
    assert {job.id for job in await env.claim(10)} == neighbours
    assert await env.store.jobs.quarantined(queues=["default"], names=["work"], due_for=0.0)
    (alone,) = await env.claim(10, by=env.other, alone=True)
    assert (alone.id, alone.crashes) == (killer.id, 2)


@case("I10")
async def alone_takes_one_quarantined_row_by_itself_and_else_claims_as_usual(env: Env) -> None:
    for _ in range(2):
        job = await env.start()
        await env.crash(job)
        await env.crash(await env.take())
    await env.enqueue(new(), new())
    assert [len(await env.claim(10, alone=True)) for _ in range(4)] == [1, 1, 2, 0]


@case("I6", "I10")
async def quarantined_jobs_are_claimed_in_the_usual_order(env: Env) -> None:
    given = [new(priority=priority) for priority in (0, 5, 5, -1)]
    await env.enqueue(*given)
    for _ in range(2):
        await env.claim(10, lease=5)
        env.clock.advance(6)
        assert len(await env.steal()) == 4
    order = [(await env.claim(1, alone=True))[0].id for _ in given]
    assert order == [given[i].id for i in (1, 2, 0, 3)]


@case("I10")
async def quarantined_looks_at_queue_name_and_how_long_it_was_due(env: Env) -> None:
    job = await env.start()
    await env.crash(job)
    await env.crash(await env.take(), delays=[0.0, 10.0])
    look = env.store.jobs.quarantined
    assert not await look(queues=["default"], names=["work"], due_for=0.0)
    env.clock.advance(12)
    assert await look(queues=["default"], names=["work"], due_for=2.0)
    assert not await look(queues=["default"], names=["work"], due_for=5.0)
    assert not await look(queues=["other"], names=["work"], due_for=0.0)
    assert not await look(queues=["default"], names=["other"], due_for=0.0)


@case("I28", "I10")
async def a_lone_claim_keeps_pauses_limits_and_names(env: Env) -> None:
    job = await env.start()
    await env.crash(job)
    await env.crash(await env.take())
    assert await env.claim(1, alone=True, names=["other"]) == []
    await env.store.queues.pause("default")
    assert await env.claim(1, alone=True) == []
    await env.store.queues.resume("default")
    await env.store.queues.configure(QueueConfig("default", max_concurrency=0))
    assert await env.claim(1, alone=True) == []
    await env.store.queues.configure(QueueConfig("default"))
    assert len(await env.claim(1, alone=True)) == 1


@case("I1", "I5")
async def a_job_not_started_in_time_is_cancelled_by_the_claim(env: Env) -> None:
    late, other = await env.add(expires_in=10), await env.add(expires_in=100)
    env.clock.advance(11)
    answer = await env.claimed(5)
    assert [job.id for job in answer.jobs] == [other]
    assert [(job.id, job.state, job.reason) for job in answer.expired] == [(late, JobState.CANCELLED, "expired")]
    row = await env.job(late)
    assert (row.state, row.reason, row.finished_at) == (JobState.CANCELLED, "expired", env.clock.now())
    assert await env.store.jobs.attempts(late) == []


@case("I1")
async def a_job_that_has_started_once_does_not_expire(env: Env) -> None:
    job = await env.start(expires_in=10)
    await env.finish(job, Verdict.RETRY, delay=60)
    env.clock.advance(61)
    assert [row.id for row in await env.claim(5)] == [job.id]


@case("I7")
async def expired_jobs_do_not_use_up_the_limit(env: Env) -> None:
    await env.enqueue(*(new(expires_in=5, priority=9) for _ in range(5)))
    env.clock.advance(6)
    live = await env.add()
    found: list[str] = []
    for _ in range(6):
        found += [job.id for job in await env.claim(1)]
    assert found == [live]
