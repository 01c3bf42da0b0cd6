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


@case("I11")
async def the_letter_of_a_run_counts_all_that_failed(env: Env) -> None:
    held = await begin(env)
    await held.leave(Verdict.RETRY, failure=BOOM, delay=0.0)
    held = await drive(env, held.id)
    await env.crash(held.driver)
    held = await drive(env, held.id)
    await held.compensate("exhausted", failure=BOOM)
    ended = await held.finish("failed")
    assert ended.dead_letter is not None
    letter = await env.letter(ended.dead_letter)
    assert (letter.failures, letter.crashes) == (2, 1)


@case("I10", "I24")
async def a_compensation_that_loses_too_many_workers_keeps_why_it_began(env: Env) -> None:
    held = await begin(env)
    await held.compensate("exhausted", failure=BOOM)
    stolen = await env.crash(held.driver, max_crashes=0)
    assert stolen.dead_letter is not None
    letter, run = await env.letter(stolen.dead_letter), await held.run()
    assert (run.state, run.compensation_failed) == (RunState.FAILED, True)
    assert (run.error, run.reason, letter.error, letter.reason) == (BOOM, "exhausted", BOOM, "exhausted")
    assert [attempt.kind for attempt in await env.store.jobs.attempts(held.driver.id)] == ["failed", "crashed"]


@case("I10", "I24")
async def a_compensation_without_an_error_ends_with_the_loss_that_ends_it(env: Env) -> None:
    held = await begin(env)
    await env.store.workflows.cancel(held.id, reason="stop")
    await env.crash(held.driver)
    stolen = await env.crash((await drive(env, held.id)).driver, max_crashes=0)
    assert stolen.dead_letter is not None
    for error in (await _error(held), (await env.letter(stolen.dead_letter)).error):
        assert error is not None
        assert error.type == "WorkerLost"
    assert ((await held.run()).state, (await held.run()).reason) == (RunState.FAILED, "stop")


@case("I10", "I24")
async def an_undo_that_fails_is_no_error_of_the_run(env: Env) -> None:
    undo = Failure("builtins.OSError", "the bank sleeps", None)
    for cancelled in (False, True):
        held = await begin(env)
        if cancelled:
            await env.store.workflows.cancel(held.id, reason="stop")
            await held.leave(Verdict.RELEASE)
            held = await drive(env, held.id)
        else:
            await held.compensate("exhausted", failure=BOOM)
        await held.undoing()
        await held.leave(Verdict.RETRY, failure=undo)
        assert await _error(held) == (None if cancelled else BOOM)
        held = await drive(env, held.id)
        ended = await held.finish("failed", failure=undo, compensation_failed=True)
        assert await _error(held) == (undo if cancelled else BOOM)
        assert ended.dead_letter is not None
        assert (await env.letter(ended.dead_letter)).error == (undo if cancelled else BOOM)
        failures = [attempt.failure for attempt in await env.store.jobs.attempts(held.driver.id)]
        assert failures == ([] if cancelled else [BOOM]) + [undo, undo]


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
