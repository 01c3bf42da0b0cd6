"""The process executor with real subprocesses: what they run, how they die, that none is left."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from dispatch.engine.child_frames import LARGEST_FRAME
from dispatch.engine.outcome import Raised, RemoteFailure, Stored, Wish
from dispatch.engine.process_pool import ProcessPool
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.context import JobContext
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.model import Job, JobState
from dispatch.scope import Scope

from . import process_jobs as jobs

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE = 20.0
Definition = JobDefinition[..., Any]


def make_job(definition: Definition, *args: Any, **kwargs: Any) -> Job:
    return Job(
        id=JobID.new(),
        created_at=NOW,
        updated_at=NOW,
        name=definition.name,
        queue="default",
        state=JobState.RUNNING,
        payload=definition.call(*args, **kwargs).payload,
        run_at=NOW,
        worker_id=WorkerID.new(),
        epoch=41,
        failures=2,
        effect_key="effect-1",
        metadata={"trace": "ü"},
        scope=Scope("shop", "t-42"),
    )


def open_pool(**changes: Any) -> ProcessPool:
    return ProcessPool(**{"limit": 2, "logger": logging.getLogger("test"), **changes})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[ProcessPool]:
    """One pool for the module: subprocesses that a test leaves alive are warm for the next one."""
    made = open_pool()
    yield made
    await made.close()
    assert made.pids == []


async def run(pool: ProcessPool, definition: Definition, *args: Any, **kwargs: Any) -> Any:
    job = make_job(definition, *args, **kwargs)
    stored = await pool.run(job, definition, JobContext(job))
    assert isinstance(stored, Stored)
    return json.loads(stored.data)


async def raised(pool: ProcessPool, definition: Definition, *args: Any) -> Raised:
    with pytest.raises(RemoteFailure) as caught:
        await run(pool, definition, *args)
    return caught.value.raised


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not fact():
            await asyncio.sleep(0.005)


async def told(path: Path) -> list[int]:
    await until(path.exists)
    return [int(word) for word in path.read_text().split()]


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


# -- what they run ---------------------------------------------------------------------------------------------------


async def test_plain_and_async_functions_run_in_one_warm_subprocess(pool: ProcessPool) -> None:
    assert await run(pool, jobs.add, 2, 3) == 5
    assert await run(pool, jobs.shift, jobs.Point(x=1, y=2), by=10) == {"x": 11, "y": 12}
    first, second = await run(pool, jobs.who), await run(pool, jobs.who_async)
    assert first == second != os.getpid()
    assert first in pool.pids


async def test_the_handler_sees_its_job_and_its_tenant_on_the_main_thread(pool: ProcessPool) -> None:
    job = make_job(jobs.about)
    seen = json.loads((await pool.run(job, jobs.about, JobContext(job))).data)
    assert seen == {
        "id": job.id,
        "attempt": 3,
        "epoch": 41,
        "scope": ["shop", "t-42"],
        "captured": ["shop", "t-42"],
        "metadata": {"trace": "ü"},
        "effect_key": "effect-1",
        "cancelled": False,
        "main_thread": True,
    }


async def test_a_plain_function_may_run_an_event_loop_of_its_own(pool: ProcessPool) -> None:
    assert await run(pool, jobs.a_loop_of_its_own) == "ran"


async def test_progress_reaches_the_workers_context_in_order(pool: ProcessPool) -> None:
    heard: list[tuple[float, str | None]] = []
    job = make_job(jobs.steps)
    context = JobContext(job, progress=lambda _job, fraction, note: heard.append((fraction, note)))
    await pool.run(job, jobs.steps, context)
    assert heard == [(0.25, "step 1"), (0.5, "step 2"), (0.75, "step 3"), (1.0, "step 4")]
    assert (job.progress, job.progress_note) == (1.0, "step 4")


async def test_lifespans_are_entered_once_a_subprocess_and_left_at_its_end(tmp_path: Path) -> None:
    farewell = tmp_path / "farewell"
    pool = open_pool(environment={"TEST_FAREWELL": str(farewell)})
    first = await run(pool, jobs.counter)
    assert first == [first[1], first[1], 1]
    assert await run(pool, jobs.counter) == first
    await pool.close()
    assert farewell.read_text() == "left"


async def test_the_limit_bounds_the_subprocesses(pool: ProcessPool) -> None:
    pids = await asyncio.gather(*(run(pool, jobs.who) for _ in range(8)))
    assert sorted(set(pids)) == pool.pids
    assert len(pool.pids) == 2


async def test_a_megabyte_comes_back_whole_and_what_is_over_the_cap_fails_for_good(pool: ProcessPool) -> None:
    assert len(await run(pool, jobs.large, 1_000_000)) == 1_000_000
    refused = await raised(pool, jobs.large, LARGEST_FRAME)
    assert (refused.wish, refused.reason, refused.failure.type) == (
        Wish.FAIL,
        "result_not_storable",
        "ResultNotStorable",
    )
    assert await run(pool, jobs.add, 1, 1) == 2


# -- how handlers end ------------------------------------------------------------------------------------------------


CASES = [
    ("connection", Wish.BACKOFF, "ConnectionError", 0),
    ("value", Wish.FAIL, "ValueError", 0),
    ("key", Wish.FAIL, "KeyError", 0),
    ("retry", Wish.RETRY, "Retry", 90),
    ("snooze", Wish.SNOOZE, "Snooze", 30),
    ("fail", Wish.FAIL, "Fail", 0),
    ("exit", Wish.FAIL, "HandlerCrashed", 0),
]


async def test_exceptions_are_classified_by_the_definition_and_spare_the_subprocess(pool: ProcessPool) -> None:
    pid = await run(pool, jobs.who)
    for kind, wish, name, delay in CASES:
        seen = await raised(pool, jobs.trouble, kind)
        assert (seen.wish, seen.failure.type, seen.delay) == (wish, name, delay)
        assert seen.dead_letter is (kind != "fail")
        assert wish is Wish.SNOOZE or "in trouble" in (seen.failure.traceback or "")
    assert (await raised(pool, jobs.bare_trouble)).failure.type == "HandlerCrashed"
    assert await run(pool, jobs.who) == pid


async def test_a_result_that_json_cannot_hold_fails_for_good_unless_it_is_not_kept(pool: ProcessPool) -> None:
    seen = await raised(pool, jobs.unstorable)
    assert (seen.wish, seen.reason, seen.failure.type) == (Wish.FAIL, "result_not_storable", "ResultNotStorable")
    assert await run(pool, jobs.unstorable_but_unkept) is None


async def test_a_payload_that_no_longer_fits_fails_for_good(pool: ProcessPool) -> None:
    job = dataclasses.replace(make_job(jobs.add, 1, 2), payload=b'{"a":1}')
    with pytest.raises(RemoteFailure, match="b: missing") as caught:
        await pool.run(job, jobs.add, JobContext(job))
    assert (caught.value.raised.wish, caught.value.raised.reason) == (Wish.FAIL, "invalid_payload")


# -- what cannot start -----------------------------------------------------------------------------------------------


async def test_a_job_that_a_fresh_import_does_not_make_says_what_to_do(pool: ProcessPool) -> None:
    seen = await raised(pool, jobs.local_job())
    assert seen.failure.type == "InvalidDefinition"
    assert "move the function out" in seen.failure.message


async def test_a_broken_lifespan_or_target_is_a_failed_attempt_with_its_traceback(pool: ProcessPool) -> None:
    seen = await raised(pool, jobs.never)
    assert (seen.wish, seen.failure.type) == (Wish.BACKOFF, "ConnectionError")
    assert "in no_database" in (seen.failure.traceback or "")
    lost = open_pool(targets=["no_such_module_anywhere"], traceback_limit=50)
    unfound = (await raised(lost, jobs.add, 1, 2)).failure
    assert unfound.type == "DiscoveryError"
    assert 0 < len(unfound.traceback or "") < 70
    assert lost.pids == []
    await lost.close()


MAIN = """
    import asyncio, logging, sys
    from datetime import UTC, datetime
    from dispatch.engine.outcome import RemoteFailure
    from dispatch.engine.process_pool import ProcessPool
    from dispatch.ids import JobID
    from dispatch.jobs.context import JobContext
    from dispatch.jobs.model import Job, JobState
    from dispatch.registry import job

    @job(executor="process")
    def double(n: int) -> int:
        return 2 * n

    async def main():
        now = datetime(2026, 1, 1, tzinfo=UTC)
        pool = ProcessPool(limit=1, logger=logging.getLogger())
        row = Job(JobID.new(), now, now, "double", "default", JobState.RUNNING, b'{"n":21}', now)
        try:
            print((await pool.run(row, double, JobContext(row))).data.decode())
        except RemoteFailure as failure:
            print(failure)
        await pool.close()
"""


@pytest.mark.parametrize(
    ("start", "said"),
    [("if __name__ == '__main__': asyncio.run(main())", "42"), ("asyncio.run(main())", "RuntimeError: asyncio.run()")],
)
async def test_a_program_finds_its_own_jobs_and_an_unguarded_one_does_not_start_itself_again(
    tmp_path: Path, start: str, said: str
) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(MAIN) + start)
    ran = await asyncio.create_subprocess_exec(
        *(sys.executable, str(program)), stdout=asyncio.subprocess.PIPE, cwd=tmp_path
    )
    output, _ = await asyncio.wait_for(ran.communicate(), PATIENCE)
    assert output.decode().startswith(said)


# -- how they die ----------------------------------------------------------------------------------------------------


async def test_a_subprocess_that_ends_itself_is_a_failed_attempt_and_the_next_job_gets_a_new_one(
    pool: ProcessPool,
) -> None:
    left = await raised(pool, jobs.leave, 3)
    assert (left.wish, left.failure.type) == (Wish.BACKOFF, "WorkerProcessDied")
    assert "exited with 3 while it ran leave" in left.failure.message
    assert "was killed by SIGSEGV" in (await raised(pool, jobs.crash)).failure.message
    assert await run(pool, jobs.add, 1, 2) == 3


async def test_a_subprocess_killed_in_mid_job_is_a_failed_attempt_and_takes_its_helpers_along(
    pool: ProcessPool, tmp_path: Path
) -> None:
    running = asyncio.create_task(raised(pool, jobs.hang, str(tmp_path / "pids")))
    child, helper = await told(tmp_path / "pids")
    os.kill(child, signal.SIGKILL)
    seen = await running
    assert (seen.wish, seen.failure.type) == (Wish.BACKOFF, "WorkerProcessDied")
    assert "was killed by SIGKILL" in seen.failure.message
    await until(lambda: not alive(helper))


async def test_an_overrunning_job_is_killed_before_its_timeout_is_reported(pool: ProcessPool, tmp_path: Path) -> None:
    job = make_job(jobs.hang, str(tmp_path / "pids"))
    context = JobContext(job)
    running = asyncio.create_task(pool.run(job, jobs.hang, context))
    child, helper = await told(tmp_path / "pids")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert context.cancelled
    assert not alive(child)
    await until(lambda: not alive(helper))
    assert await run(pool, jobs.add, 1, 2) == 3


async def test_a_timeout_around_the_call_stays_a_timeout(pool: ProcessPool, tmp_path: Path) -> None:
    before = pool.pids
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await run(pool, jobs.hang, str(tmp_path / "pids"))
    assert set(pool.pids) < set(before)


async def test_a_second_cancellation_does_not_free_the_slot_before_the_subprocess_is_dead(
    pool: ProcessPool, tmp_path: Path
) -> None:
    running = asyncio.create_task(run(pool, jobs.hang, str(tmp_path / "pids")))
    child, _ = await told(tmp_path / "pids")
    while not running.done():
        running.cancel()
        await asyncio.sleep(0)
    assert running.cancelled()
    assert not alive(child)


async def test_an_idle_subprocess_that_died_is_replaced_silently(pool: ProcessPool) -> None:
    for wait in (True, False):
        pid = await run(pool, jobs.who)
        os.kill(pid, signal.SIGKILL)
        if wait:
            await until(lambda killed=pid: killed not in pool.pids)
        assert await run(pool, jobs.who) != pid


async def test_stop_signals_do_not_touch_a_running_job(pool: ProcessPool, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    running = asyncio.create_task(run(pool, jobs.outlive, str(path)))
    (child,) = await told(path)
    os.killpg(child, signal.SIGINT)
    os.killpg(child, signal.SIGTERM)
    assert os.getpgid(child) != os.getpgid(0)
    Path(f"{path}.go").touch()
    assert await running == "finished"


async def test_what_a_job_forks_obeys_signals_and_cannot_hide_its_parents_death(
    pool: ProcessPool, tmp_path: Path
) -> None:
    assert await run(pool, jobs.forked, str(tmp_path / "first")) == [signal.SIGTERM]
    seen = await raised(pool, jobs.die_before_the_fork, str(tmp_path / "second"))
    assert "exited with 7" in seen.failure.message
    (orphan,) = await told(tmp_path / "second")
    os.kill(orphan, signal.SIGKILL)


async def test_close_kills_a_busy_subprocess_and_gives_its_job_back_uncounted(tmp_path: Path) -> None:
    pool = open_pool()
    running = asyncio.create_task(raised(pool, jobs.hang, str(tmp_path / "pids")))
    child, helper = await told(tmp_path / "pids")
    await pool.close()
    assert not alive(child)
    assert (await running).wish is Wish.SNOOZE
    await until(lambda: not alive(helper))
    assert (await raised(pool, jobs.add, 1, 2)).failure.type == "WorkerStopped"


ORPHANS = """
    import asyncio, logging, sys
    sys.path.insert(0, {folder!r})
    from engine.test_process_pool import jobs, make_job, run
    from dispatch.engine.process_pool import ProcessPool

    async def main():
        pool = ProcessPool(limit=2, logger=logging.getLogger())
        assert await run(pool, jobs.death_signal, True) == {kill}
        busy = asyncio.create_task(run(pool, jobs.hang, sys.argv[1]))
        await asyncio.sleep(0)
        jobs.tell(sys.argv[2], str(await run(pool, jobs.who)))
        await busy

    asyncio.run(main())
"""


async def test_subprocesses_busy_or_idle_die_with_the_worker(tmp_path: Path) -> None:
    """The busy one has turned Linux's signal off: the end of the connection is enough, and reaches its helper too."""
    code = textwrap.dedent(ORPHANS.format(folder=str(Path(__file__).parents[1]), kill=int(signal.SIGKILL)))
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, str(tmp_path / "pids"), str(tmp_path / "idle"))
    )
    (idle,) = await told(tmp_path / "idle")
    busy, helper = await told(tmp_path / "pids")
    assert idle != busy
    worker.kill()
    await worker.wait()
    await until(lambda: not any(map(alive, (idle, busy, helper))))
