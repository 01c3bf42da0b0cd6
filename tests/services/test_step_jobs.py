"""Jobs that are steps of runs, on two stores: they run again only while their run can hear of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from dispatch import Dispatch
from dispatch.clock import ManualClock
from dispatch.config import Config
from dispatch.errors import JobNotRetryable
from dispatch.ids import DLQID, JobID
from dispatch.jobs.model import Failure, JobState, Verdict
from dispatch.registry import Registry
from dispatch.services.edits import Edit
from dispatch.store import Store
from dispatch.stores.memory import MemoryStore
from dispatch.stores.sqlite import SQLiteStore
from dispatch.testing.conformance.env import Env
from dispatch.testing.conformance.flows import Driven, begin, with_job

WRONG = Failure("ValueError", "no boxes", "")


class World(NamedTuple):
    """An app, and what plays its worker."""

    app: Dispatch
    env: Env


@pytest.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    clock = ManualClock()
    store: Store = (
        MemoryStore(clock=clock) if request.param == "memory" else SQLiteStore(tmp_path / "d.db", clock=clock)
    )
    async with Dispatch(store, config=Config(), registry=Registry()) as app:
        yield World(app, Env(store, clock))


async def _failed(env: Env) -> tuple[Driven, JobID, DLQID]:
    """A run whose step "pack it" has failed on the workers, with the job and its dead letter."""
    held = await begin(env)
    await with_job(held, "pack it", effect_key=f"{held.id}/pack it")
    job = await env.take(names=["task"])
    ended = await env.finish(job, Verdict.FAIL, failure=WRONG, dead_letter=True)
    assert ended.dead_letter is not None
    return held, job.id, ended.dead_letter


async def test_a_step_that_has_ended_is_neither_retried_nor_replayed_and_the_refusal_names_what_helps(
    world: World,
) -> None:
    app, env = world
    held, job, letter = await _failed(env)
    told = f"the step 'pack it' of {held.id}, .* `dispatch workflow fork {held.id} --from 'pack it'`"
    with pytest.raises(JobNotRetryable, match=told):
        await app.jobs.retry(job)
    for edit in (None, Edit(sets={"size": 1}, force=True)):
        with pytest.raises(JobNotRetryable, match=told):
            await app.dlq.replay(letter, edit=edit)
        with pytest.raises(JobNotRetryable, match=told):
            await app.dlq.rehearse(letter, edit=edit)
    assert (await app.jobs.get(job)).state is JobState.FAILED
    assert (await app.dlq.get(letter)).state == "open"


async def test_the_letter_of_a_step_is_known_when_its_job_is_gone(world: World) -> None:
    app, env = world
    held, job, letter = await _failed(env)
    await app.jobs.delete(job)
    with pytest.raises(JobNotRetryable, match=f"the step 'pack it' of {held.id}"):
        await app.dlq.replay(letter)


async def test_a_step_that_waits_for_its_next_attempt_is_due_now_and_its_run_hears_of_it(world: World) -> None:
    app, env = world
    held = await begin(env)
    await with_job(held, "pack")
    job = await env.take(names=["task"])
    await env.finish(job, Verdict.RETRY, failure=WRONG, delay=3600.0)
    assert await app.jobs.retry(job.id) is JobState.RETRYING
    await env.finish(await env.take(names=["task"]), Verdict.COMPLETE, result=b"1")
    assert [child.state for child in await app.workflows.children(held.id)] == ["completed"]
