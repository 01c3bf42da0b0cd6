"""Which error a run shows: the loss of a worker never takes the place of why it compensates, and a park ends it."""

from __future__ import annotations

from dispatch.entity import Reply
from dispatch.jobs.model import Failure, Verdict
from dispatch.testing.conformance.env import BOOM, Env
from dispatch.testing.conformance.flows import Driven, begin, drive
from dispatch.testing.conformance.registry import case
from dispatch.workflows.model import RunState


async def _error(held: Driven) -> Failure | None:
    return (await held.run()).error


@case("I10", "I24")
async def a_worker_lost_while_its_run_compensates_leaves_why_it_does(env: Env) -> None:
    held = await begin(env)
    await held.compensate("exhausted", failure=BOOM)
    await held.undoing()
    await env.crash(held.driver)
    run = await held.run()
    assert (run.state, run.reason, run.error) == (RunState.COMPENSATING, "exhausted", BOOM)
    held = await drive(env, held.id)
    assert (await held.load()).run.error == BOOM
    kinds = [attempt.kind for attempt in await env.store.jobs.attempts(held.driver.id)]
    assert kinds == ["failed", "crashed"]
    ended = await held.finish("failed")
    run = await held.run()
    assert (run.state, run.reason, run.error) == (RunState.FAILED, "exhausted", BOOM)
    assert ended.dead_letter is not None
    assert (await env.letter(ended.dead_letter)).error == BOOM


@case("I10", "I24")
async def a_compensation_that_loses_too_many_workers_ends_with_that(env: Env) -> None:
    held = await begin(env)
    await held.compensate("exhausted", failure=BOOM)
    stolen = await env.crash(held.driver, max_crashes=0)
    assert stolen.dead_letter is not None
    for error in (await _error(held), (await env.letter(stolen.dead_letter)).error):
        assert error is not None
        assert error.type == "WorkerLost"


@case("I5", "I10", "I24")
async def a_worker_lost_is_no_error_of_a_cancelled_run(env: Env) -> None:
    held = await begin(env)
    await env.store.workflows.cancel(held.id, reason="stop")
    for _ in range(2):
        await env.crash(held.driver)
        run = await held.run()
        assert (run.state, run.reason, run.error) == (RunState.COMPENSATING, "stop", None)
        held = await drive(env, held.id)
    await held.finish("cancelled")
    run = await held.run()
    assert (run.state, run.reason, run.error) == (RunState.CANCELLED, "stop", None)


@case("I10", "I21")
async def a_run_that_parks_has_overcome_its_error(env: Env) -> None:
    held = await begin(env)
    await held.leave(Verdict.RETRY, failure=BOOM)
    held = await drive(env, held.id)
    assert await _error(held) == BOOM
    await env.crash(held.driver)
    held = await drive(env, held.id)
    error = await _error(held)
    assert error is not None
    assert error.type == "WorkerLost"
    assert await held.park(until=env.after(5)) is Reply.APPLIED
    assert ((await held.run()).state, await _error(held)) == (RunState.WAITING, None)
    env.clock.advance(5)
    held = await drive(env, held.id)
    await held.compensate("exhausted", failure=BOOM)
    assert await held.park(until=env.after(5)) is Reply.APPLIED
    assert ((await held.run()).state, await _error(held)) == (RunState.COMPENSATING, BOOM)
