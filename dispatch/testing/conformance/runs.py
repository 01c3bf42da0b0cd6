"""Runs: made with their drivers, read, listed, counted, ended."""

from __future__ import annotations

from typing import Any

from dispatch.dlq import DLQState
from dispatch.entity import LARGEST_PAGE, Reply
from dispatch.errors import DuplicateJob, IdempotencyMismatch
from dispatch.ids import JobID, RunID
from dispatch.jobs.model import CountOptions, Idempotency, JobState, Unique, Verdict
from dispatch.jobs.model import ListOptions as JobOptions
from dispatch.scope import Scope
from dispatch.testing.conformance.env import BOOM, Env, new, raises
from dispatch.testing.conformance.flows import begin, drive, idle, journal, made, new_run, run_of, step
from dispatch.testing.conformance.registry import case
from dispatch.workflows.model import ListOptions, RunState, driver_id

A, B = Scope("shop", "a"), Scope("shop", "b")


@case("I31")
async def a_run_comes_back_whole_to_its_tenant_only(env: Env) -> None:
    run = new_run(payload=b'{"n":[ ]}', scope=A, tags=("x",), metadata={"k": [1]}, priority=3)
    await made(env, run)
    stored = await run_of(env, run.id)
    assert (stored.name, stored.version, stored.state, stored.driver) == ("flow", 1, RunState.PENDING, run.driver.id)
    assert (stored.input, stored.result, stored.error, stored.scope) == (b'{"n":[ ]}', None, None, A)
    assert (stored.tags, dict(stored.metadata), stored.queue) == (("x",), {"k": [1]}, "default")
    assert stored.created_at == stored.updated_at == env.clock.now()
    assert (stored.started_at, stored.finished_at, stored.wakes_at, stored.wake_seq) == (None, None, None, 0)
    assert await env.store.workflows.get(run.id, scope=A) == stored
    assert await env.store.workflows.get(run.id, scope=B) is None
    assert await env.store.workflows.get(RunID.new()) is None
    driver = await env.job(run.driver.id)
    assert (driver.kind, driver.run_id, driver.name, driver.priority) == ("workflow", run.id, "flow@1", 3)
    assert driver.lane == "flow@1"


@case("I2", "I18")
async def creating_a_run_again_changes_nothing(env: Env) -> None:
    run = new_run(payload=b"1")
    await made(env, run)
    held = await drive(env, run.id)
    await held.record(step())
    again = new_run(id=run.id, payload=b"2")
    (answer,) = await env.store.workflows.create([again])
    assert (answer.id, answer.created) == (run.id, False)
    assert (await run_of(env, run.id)).input == b"1"
    assert len(await journal(env, run.id)) == 1


@case("I2")
async def a_unique_key_holds_for_the_whole_run(env: Env) -> None:
    key = Unique("k")
    first = await begin(env, unique=key)
    (answer,) = await env.store.workflows.create([new_run(unique=key)])
    assert (answer.id, answer.created) == (first.id, False)
    with raises(DuplicateJob):
        await env.store.workflows.create([new_run(), new_run(unique=Unique("k", "raise"))])
    (replaced,) = await env.store.workflows.create([new_run(payload=b"2", unique=Unique("k", "replace"))])
    assert (replaced.id, replaced.created) == (first.id, False)
    assert await first.park() is Reply.APPLIED
    (answer,) = await env.store.workflows.create([new_run(unique=key)])
    assert (answer.id, answer.created) == (first.id, False)
    assert sum((await env.store.workflows.count()).values()) == 1
    assert (await run_of(env, first.id)).input == b"{}"
    await env.store.workflows.cancel(first.id)
    assert (await (await drive(env, first.id)).finish("cancelled")).reply is Reply.APPLIED
    (answer,) = await env.store.workflows.create([new_run(unique=key)])
    assert answer.created


@case("I2")
async def an_idempotency_key_answers_its_run_even_when_that_is_gone(env: Env) -> None:
    key = Idempotency("i", "f", ttl=1000)
    first = await begin(env, idempotency=key)
    (answer,) = await env.store.workflows.create([new_run(idempotency=key)])
    assert (answer.id, answer.created) == (first.id, False)
    with raises(IdempotencyMismatch):
        await env.store.workflows.create([new_run(idempotency=Idempotency("i", "g", ttl=1000))])
    await first.finish()
    env.clock.advance(10)
    assert await env.store.workflows.prune(completed=5, failed=None, cancelled=None, limit=10) == 1
    (answer,) = await env.store.workflows.create([new_run(idempotency=key)])
    assert (answer.id, answer.created) == (first.id, False)


@case()
async def runs_are_made_all_or_none(env: Env) -> None:
    await begin(env, unique=Unique("k"))
    with raises(DuplicateJob):
        await env.store.workflows.create([new_run(), new_run(unique=Unique("k", "raise"))])
    assert len((await env.store.workflows.list(ListOptions())).items) == 1
    assert len(await env.jobs()) == 1


@case()
async def a_claim_makes_the_run_run(env: Env) -> None:
    held = await begin(env)
    run = await held.run()
    assert (run.state, run.started_at) == (RunState.RUNNING, env.clock.now())
    started = run.started_at
    env.clock.advance(3)
    assert (await held.leave(Verdict.RELEASE)).state is JobState.PENDING
    assert (await held.run()).state is RunState.RUNNING
    again = await drive(env, held.id)
    assert (await again.run()).started_at == started


@case("I18")
async def an_activation_is_all_that_a_driver_needs(env: Env) -> None:
    held = await begin(env)
    await held.record(step("a"), step("b"))
    other = await begin(env, by=env.other)
    first, second = await env.store.workflows.load([other.driver.id, held.driver.id])
    assert (first.run.id, second.run.id) == (other.id, held.id)
    assert [c.name for c in second.checkpoints] == ["a", "b"]
    assert (first.checkpoints, first.children, first.cancel_requested, first.now) == ([], {}, False, env.clock.now())
    assert second.run.input == b"{}"
    assert await env.store.workflows.load([JobID.new(), await env.add()]) == []


@case("I5", "I19")
async def a_finished_run_keeps_its_result_and_is_finished_once(env: Env) -> None:
    held = await begin(env)
    answer = await held.finish(result=b"[1]")
    assert (answer.reply, answer.state, answer.dead_letter) == (Reply.APPLIED, RunState.COMPLETED, None)
    run = await held.run()
    assert (run.state, run.result, run.finished_at, run.reason) == (
        RunState.COMPLETED,
        b"[1]",
        env.clock.now(),
        None,
    )
    assert (await env.job(held.driver.id)).state is JobState.COMPLETED
    env.clock.advance(1)
    again = await held.finish(result=b"[1]")
    assert (again.reply, again.state) == (Reply.APPLIED, RunState.COMPLETED)
    assert (await held.finish("failed")).reply is Reply.STALE
    assert await held.run() == run


@case("I11")
async def a_failed_run_leaves_a_dead_letter_that_is_not_replayed(env: Env) -> None:
    held = await begin(env, payload=b'{"n":[ ]}')
    answer = await held.finish("failed", failure=BOOM, reason="exhausted")
    assert answer.dead_letter is not None
    letter = await env.letter(answer.dead_letter)
    assert (letter.payload, letter.reason, letter.error) == (b'{"n":[ ]}', "exhausted", BOOM)
    assert (letter.job_id, letter.state) == (held.driver.id, DLQState.OPEN)
    assert (await held.finish("failed", failure=BOOM)).dead_letter == letter.id
    replayed = await env.store.dlq.replay(letter.id, JobID.new())
    assert (replayed.reply, replayed.state) == (Reply.CONFLICT, DLQState.OPEN)
    run = await held.run()
    assert (run.state, run.error, run.reason) == (RunState.FAILED, BOOM, "exhausted")
    assert (await env.store.jobs.attempts(held.driver.id))[0].failure == BOOM


@case("I1")
async def the_follow_ups_of_an_end_are_made_with_it_and_once(env: Env) -> None:
    held = await begin(env)
    hook = new("hook")
    assert (await held.finish(then=(hook,))).reply is Reply.APPLIED
    assert (await held.finish(then=(hook, new("late")))).reply is Reply.APPLIED
    assert [job.name for job in await env.jobs() if job.kind == "job"] == ["hook"]
    stale = await begin(env)
    await stale.leave(Verdict.RELEASE)
    assert (await stale.finish(then=(new("lost"),))).reply is Reply.STALE
    assert "lost" not in {job.name for job in await env.jobs()}


@case("I19")
async def the_verbs_of_jobs_do_not_end_a_driver(env: Env) -> None:
    held = await begin(env)
    jobs = env.store.jobs
    for verdict in (Verdict.COMPLETE, Verdict.FAIL, Verdict.CANCEL):
        assert (await held.leave(verdict)).reply is Reply.CONFLICT
    assert (await held.run()).state is RunState.RUNNING
    assert (await jobs.cancel(held.driver.id)).reply is Reply.CONFLICT
    assert await jobs.delete(held.driver.id) is Reply.CONFLICT
    assert await held.park() is Reply.APPLIED
    assert (await jobs.cancel(held.driver.id)).reply is Reply.CONFLICT
    assert await jobs.delete(held.driver.id) is Reply.CONFLICT
    assert (await jobs.retry(held.driver.id)).reply is Reply.CONFLICT
    await env.store.workflows.cancel(held.id)
    await (await drive(env, held.id)).finish("cancelled")
    assert (await jobs.retry(held.driver.id)).reply is Reply.CONFLICT
    assert await jobs.delete(held.driver.id) is Reply.CONFLICT
    assert (await env.job(held.driver.id)).state is JobState.CANCELLED


@case("I10")
async def a_retry_counts_and_shows_its_failure_until_progress_is_made(env: Env) -> None:
    held = await begin(env)
    answer = await held.leave(Verdict.RETRY, failure=BOOM, delay=10)
    assert (answer.reply, answer.state) == (Reply.APPLIED, JobState.RETRYING)
    assert await idle(env)
    assert ((await held.run()).error, (await held.run()).state) == (BOOM, RunState.RUNNING)
    env.clock.advance(10)
    held = await drive(env, held.id)
    assert held.driver.failures == 1
    assert (await held.leave(Verdict.SNOOZE, delay=5)).state is JobState.RETRYING
    env.clock.advance(5)
    held = await drive(env, held.id)
    await held.record(step())
    assert (await env.job(held.driver.id)).failures == 0
    assert len(await env.store.jobs.attempts(held.driver.id)) == 1


@case()
async def drivers_are_hidden_from_jobs_unless_asked_for(env: Env) -> None:
    await begin(env)
    work = await env.add()
    assert [job.id for job in (await env.store.jobs.list(JobOptions())).items] == [work]
    counts = await env.store.jobs.count(CountOptions())
    assert sum(counts.values()) == 1
    assert sum((await env.store.jobs.count(CountOptions(kinds=("workflow",)))).values()) == 1


@case("I31")
async def lists_filter_and_page_and_leave_inputs_out(env: Env) -> None:
    ids = [(await made(env, new_run(payload=b"1", scope=A)))[0] for _ in range(4)]
    other = (await made(env, new_run("other", version=2, scope=B)))[0]
    child = (await made(env, new_run("child", parent=ids[0], step="s", abandon=True)))[0]
    held = await drive(env, ids[0])
    await held.finish(result=b"2")

    async def listed(**options: Any) -> list[RunID]:
        page = await env.store.workflows.list(ListOptions(**options))
        assert all((run.input, run.result) == (b"", None) for run in page.items)
        return [run.id for run in page.items]

    assert await listed() == [child, other, *ids[::-1]]
    assert await listed(states=[RunState.COMPLETED]) == [ids[0]]
    assert await listed(states=[RunState.COMPLETED, RunState.PENDING]) == [child, other, *ids[::-1]]
    assert await listed(names=["other"]) == [other]
    assert await listed(version=2) == [other]
    assert await listed(parent=ids[0]) == [child]
    assert await listed(scope=A) == ids[::-1]
    assert await listed(scope=A, states=[RunState.PENDING]) == ids[:0:-1]
    assert await listed(created_after=env.clock.now()) == []
    assert await listed(created_before=env.after(1), names=["child"]) == [child]
    page = await env.store.workflows.list(ListOptions(limit=4))
    assert page.next_cursor is not None
    late = (await made(env, new_run()))[0]
    rest = await env.store.workflows.list(ListOptions(limit=LARGEST_PAGE, cursor=page.next_cursor))
    assert [run.id for run in (*page.items, *rest.items)] == [child, other, *ids[::-1]]
    assert late not in {run.id for run in rest.items}


@case("I31")
async def counts_are_by_state_name_and_tenant(env: Env) -> None:
    held = await begin(env)
    await made(env, new_run(scope=A), new_run("other", scope=B))
    counts = await env.store.workflows.count()
    assert counts == {**dict.fromkeys(RunState, 0), RunState.PENDING: 2, RunState.RUNNING: 1}
    await held.finish()
    assert (await env.store.workflows.count())[RunState.COMPLETED] == 1
    assert sum((await env.store.workflows.count(names=["other"])).values()) == 1
    assert sum((await env.store.workflows.count(scope=A)).values()) == 1
    assert sum((await env.store.workflows.count(names=["other"], scope=A)).values()) == 0


@case()
async def prune_forgets_ended_runs_with_all_that_is_theirs(env: Env) -> None:
    held = await begin(env)
    await held.record(step())
    await held.leave(Verdict.RETRY, failure=BOOM)
    held = await drive(env, held.id)
    await held.finish()
    failed = await begin(env)
    await failed.finish("failed", failure=BOOM)
    env.clock.advance(100)
    young = await begin(env)
    await young.finish()
    ages: dict[str, Any] = {"completed": 50.0, "failed": None, "cancelled": 50.0, "limit": 10}
    assert await env.store.jobs.prune(**ages) == 0
    assert await env.store.workflows.prune(**ages, dry_run=True) == 1
    assert await env.store.workflows.prune(**ages) == 1
    assert await env.store.workflows.prune(**ages) == 0
    assert await env.store.workflows.get(held.id) is None
    assert await env.store.jobs.get(held.driver.id) is None
    assert await env.store.jobs.attempts(held.driver.id) == []
    assert await journal(env, held.id) == []
    assert {run.id for run in (await env.store.workflows.list(ListOptions())).items} == {failed.id, young.id}
    assert sum((await env.store.workflows.count()).values()) == 2
    assert await env.store.workflows.prune(completed=0, failed=0, cancelled=0, limit=1) == 1
    assert driver_id(failed.id) == failed.driver.id
