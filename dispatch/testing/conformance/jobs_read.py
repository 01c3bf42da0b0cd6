"""Reading jobs: lists, counts, positions; filters, stable pages, tenants."""

from __future__ import annotations

from dispatch.ids import JobID
from dispatch.jobs.model import CountOptions, JobState, ListOptions, Verdict
from dispatch.scope import Scope
from dispatch.testing.conformance.env import Env, new
from dispatch.testing.conformance.registry import case

A, B = Scope("shop", "a"), Scope("shop", "b")


async def _ids(env: Env, **options: object) -> list[JobID]:
    page = await env.store.jobs.list(ListOptions(**options))  # type: ignore[arg-type]
    return [job.id for job in page.items]


@case("I31")
async def get_sees_only_its_tenants_jobs(env: Env) -> None:
    job_id = await env.add(scope=A)
    assert (await env.store.jobs.get(job_id)) is not None
    assert (await env.store.jobs.get(job_id, scope=A)) is not None
    for scope in (B, Scope("shop"), Scope()):
        assert (await env.store.jobs.get(job_id, scope=scope)) is None
    assert (await env.store.jobs.get(JobID.new())) is None


@case("I31")
async def lists_and_counts_see_only_their_tenants_jobs(env: Env) -> None:
    mine = [await env.add(scope=A) for _ in range(2)]
    await env.add(scope=B)
    nobody = await env.add()
    assert await _ids(env, scope=A) == mine[::-1]
    assert await _ids(env, scope=Scope()) == [nobody]
    assert len(await _ids(env)) == 4
    counts = [
        (await env.store.jobs.count(CountOptions(scope=scope)))[JobState.PENDING] for scope in (A, B, Scope(), None)
    ]
    assert counts == [2, 1, 1, 4]


@case()
async def lists_filter_by_state_queue_name_tag_kind_and_time(env: Env) -> None:
    a = await env.add(tags=("red", "big"))
    env.clock.advance(10)
    b = await env.add("other", queue="mail", tags=("red",))
    c = await env.add(kind="workflow")
    d = await env.start("third")
    assert await _ids(env, states=[JobState.RUNNING]) == [d.id]
    assert await _ids(env, states=[JobState.RUNNING, JobState.PENDING]) == [d.id, b, a]
    assert await _ids(env, queues=["mail"]) == [b]
    assert await _ids(env, names=["work", "other"]) == [b, a]
    assert await _ids(env, tags=["red"]) == [b, a]
    assert await _ids(env, tags=["red", "big"]) == [a]
    assert await _ids(env, tags=["green"]) == []
    assert await _ids(env, kinds=["workflow"]) == [c]
    assert await _ids(env, kinds=["workflow", "job"]) == [d.id, c, b, a]
    assert await _ids(env, created_before=env.after(-5)) == [a]
    assert await _ids(env, created_after=env.after(-5)) == [d.id, b]
    assert await _ids(env, names=["work"], queues=["mail"]) == []


@case()
async def counts_have_every_state_and_filter_as_lists_do(env: Env) -> None:
    count = env.store.jobs.count
    assert await count(CountOptions()) == dict.fromkeys(JobState, 0)
    for verdict in (Verdict.COMPLETE, Verdict.COMPLETE, Verdict.FAIL, Verdict.CANCEL, Verdict.RETRY):
        await env.finish(await env.start(), verdict, delay=600)
    await env.start(queue="mail")
    await env.add("other")
    await env.add(kind="delivery")
    assert await count(CountOptions()) == {
        JobState.PENDING: 1,
        JobState.RUNNING: 1,
        JobState.RETRYING: 1,
        JobState.COMPLETED: 2,
        JobState.FAILED: 1,
        JobState.CANCELLED: 1,
    }
    assert (await count(CountOptions(queues=["mail"])))[JobState.RUNNING] == 1
    assert sum((await count(CountOptions(queues=["mail"]))).values()) == 1
    assert sum((await count(CountOptions(names=["other"]))).values()) == 1
    assert sum((await count(CountOptions(kinds=["delivery"]))).values()) == 1
    assert sum((await count(CountOptions(kinds=["job", "delivery"]))).values()) == 8


@case()
async def pages_are_stable_while_jobs_arrive_and_change(env: Env) -> None:
    expected = [job.id for job in [new() for _ in range(25)]]
    await env.enqueue(*(new(id=job_id) for job_id in expected))
    seen: list[JobID] = []
    cursor: str | None = None
    for _ in range(20):
        page = await env.store.jobs.list(ListOptions(limit=4, cursor=cursor))
        assert len(page.items) <= 4
        seen += [job.id for job in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        await env.add()
        await env.claim(1)
    assert seen == expected[::-1]


@case()
async def a_last_page_says_so_also_when_it_is_full(env: Env) -> None:
    await env.enqueue(*(new() for _ in range(4)))
    page = await env.store.jobs.list(ListOptions(limit=4))
    if page.next_cursor is not None:
        page = await env.store.jobs.list(ListOptions(limit=4, cursor=page.next_cursor))
        assert (page.items, page.next_cursor) == ([], None)
    assert (await env.store.jobs.list(ListOptions(limit=5))).next_cursor is None


@case()
async def filtered_pages_walk_every_match_once(env: Env) -> None:
    await env.enqueue(*(new("even" if i % 2 == 0 else "odd", tags=("t",) if i % 3 == 0 else ()) for i in range(30)))
    seen: list[JobID] = []
    cursor: str | None = None
    for _ in range(40):
        page = await env.store.jobs.list(ListOptions(names=["even"], tags=["t"], limit=2, cursor=cursor))
        seen += [job.id for job in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 5


@case()
async def ahead_counts_the_claimable_jobs_before_one_in_its_lane(env: Env) -> None:
    first, second = await env.add(), await env.add()
    high = await env.add(priority=5)
    await env.add(queue="other")
    await env.add(delay=600, priority=9)
    last = await env.add(priority=-1)
    ahead = env.store.jobs.ahead
    assert [await ahead(job_id) for job_id in (high, first, second, last)] == [0, 1, 2, 3]
    assert await ahead(last, limit=2) == 2
    await env.take()
    assert await ahead(first) == 0


@case()
async def the_history_of_an_unknown_job_is_empty(env: Env) -> None:
    assert await env.store.jobs.attempts(JobID.new()) == []
    assert await env.store.jobs.ahead(JobID.new()) == 0


@case()
async def rows_given_out_are_the_callers_own(env: Env) -> None:
    job_id = await env.add(metadata={"k": [1]}, tags=("t",))
    job = await env.job(job_id)
    job.state = JobState.COMPLETED
    job.metadata["k"].append(2)
    job.metadata["new"] = True
    again = await env.job(job_id)
    assert (again.state, again.metadata) == (JobState.PENDING, {"k": [1]})
