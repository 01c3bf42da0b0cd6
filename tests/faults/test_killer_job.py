"""A job that kills whatever process runs it is condemned alone, and replayed once when it is harmless again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dispatch.entity import Reply
from dispatch.ids import DLQID, JobID

from .checker import Plan
from .controller import Controller
from .producer import naps
from .work import killer

REPLAYS = 8


async def replay_from_everywhere(run: Controller, letter: DLQID) -> list[Reply]:
    """Replays one dead letter from two apps, several times each, at the same moment."""
    async with run.app() as one, run.app() as other:
        stores = [one.store, other.store] * (REPLAYS // 2)
        answers = await asyncio.gather(*(store.dlq.replay(letter, JobID.new()) for store in stores))
    return [answer.reply for answer in answers]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_job_that_kills_its_process_ends_in_the_dead_letters_and_its_neighbours_complete(tmp_path: Path) -> None:
    armed = tmp_path / "armed"
    armed.touch()
    with Controller(tmp_path, concurrency=20, lease=1.5, heartbeat=0.3) as run:
        run.enqueue([*naps("neighbour", 10, 100), ("killer", killer.call("killer", str(armed)))])
        run.enqueue(naps("later-neighbour", 9, 100))
        worker = run.worker()
        deaths = 0

        def is_over() -> bool:
            nonlocal worker, deaths
            if worker.popen.poll() is not None:
                assert run.reap(worker) == -9, "only the job may end its worker"
                deaths += 1
                worker = run.worker()
            return run.unfinished() == 0

        run.until(is_over, "the killer is condemned and its neighbours have completed", timeout=80)
        run.until(lambda: worker.worker, "the last worker is ready")
        ((letter, reason, crashes),) = run.query("SELECT id, reason, crashes FROM dlq")
        assert (reason, crashes, deaths) == ("worker_lost", 4, 4)

        armed.unlink()
        replies = asyncio.run(replay_from_everywhere(run, DLQID(str(letter))))
        assert sorted(replies) == [Reply.APPLIED] + [Reply.CONFLICT] * (REPLAYS - 1)
        run.until_done()
        run.finish()
        plan = Plan(jobs=20, dead=frozenset({"killer"}), workers=1)
        report = run.verdict(plan, f"a killer among 19 neighbours, {deaths} processes died")
        assert report.figures.duplicates <= 3 + 3 * 19
        states = {row.serial: row.state for row in run.dump().jobs if row.replay_of is not None}
        assert states == {"killer": "completed"}
