"""Runs that a step's job has ended, and that job: what the commands that look like help answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from dispatch.ids import JobID, RunID, WorkerID
from dispatch.jobs.model import Failure, NewJob, Transition, Verdict
from dispatch.stores import open_store
from dispatch.workflows.documents import end_document
from dispatch.workflows.model import FinishRun, NewCheckpoint, NewRun, Record, driver_id
from dispatch.workflows.names import failed_of
from tests.cli.conftest import run
from tests.cli.remote import serving


class Failed(NamedTuple):
    """A run that failed of the job of its step "pack", with the dead letters of both."""

    run: str
    job: str
    letter: str
    run_letter: str


@pytest.fixture
def failed(folder: Path) -> Failed:
    return asyncio.run(_failed(f"sqlite:///{folder}/dispatch.db"))


async def _failed(url: str) -> Failed:
    store = open_store(url)
    await store.open()
    try:
        worker, run_id, job_id = WorkerID.new(), RunID.new(), JobID.new()
        driver = NewJob(driver_id(run_id), "ship@1", b"{}", kind="workflow", run_id=run_id)
        await store.workflows.create([NewRun(run_id, "ship", 1, driver)])
        names: Sequence[str] = ("ship@1", "pack")
        (held,) = (await store.jobs.claim(worker, queues={"default": 1}, names=names, limit=1, lease=3600)).jobs
        job = NewJob(job_id, "pack", b"{}", run_id=run_id, step="pack", effect_key=f"{run_id}/pack")
        step = NewCheckpoint("pack", "child", b'{"job": "%s"}' % job_id.encode(), jobs=(job,))
        await store.workflows.record(worker, [Record(run_id, held.id, held.epoch, [step])])
        (packing,) = (await store.jobs.claim(worker, queues={"default": 1}, names=names, limit=1, lease=3600)).jobs
        wrong = Failure("ValueError", "no boxes", "")
        end = Transition(job_id, packing.epoch, Verdict.FAIL, failure=wrong, reason="failed", dead_letter=True)
        (packed,) = await store.jobs.finish(worker, [end])
        wrong = Failure("ValueError", "step 'pack': no boxes at https://ada:secret@boxes.example", "")
        end = NewCheckpoint(failed_of("pack", 1), "value", end_document(wrong))
        await store.workflows.record(worker, [Record(run_id, held.id, held.epoch, [end])])
        await store.workflows.compensate(worker, held.id, held.epoch, failure=wrong, reason="failed")
        (shipped,) = await store.workflows.finish(
            worker, [FinishRun(run_id, held.id, held.epoch, "failed", reason="failed")]
        )
        return Failed(run_id, job_id, str(packed.dead_letter), str(shipped.dead_letter))
    finally:
        await store.close()


@pytest.mark.parametrize("how", [(), ("--dry-run",)], ids=["done", "rehearsed"])
def test_a_retry_of_a_run_that_a_recorded_child_has_ended_is_refused_with_the_command_that_helps(
    how: tuple[str, ...], failed: Failed
) -> None:
    ran = run("workflow", "retry", failed.run, *how)
    assert ran.code == 5, ran.err
    assert f"its child 'pack' ({failed.job})" in ran.err
    assert f"`dispatch workflow fork {failed.run} --from pack`" in ran.err
    assert run("workflow", "show", failed.run, "--json").json["state"] == "failed"
    assert run("workflow", "fork", failed.run, "--from", "pack", "--json").code == 0


def test_a_replay_of_the_runs_letter_names_the_same_command(failed: Failed) -> None:
    ran = run("dlq", "replay", failed.run_letter)
    assert (ran.code, f"`dispatch workflow fork {failed.run} --from pack`" in ran.err) == (5, True), ran.err


@pytest.mark.parametrize("how", [(), ("--dry-run",)], ids=["done", "rehearsed"])
def test_a_server_refuses_that_retry_as_the_store_does(
    how: tuple[str, ...], failed: Failed, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(folder) as server:
        monkeypatch.setenv("DISPATCH_API_KEY", server.key)
        ran = run("workflow", "retry", failed.run, *how, "--url", server.url)
    assert (ran.code, f"`dispatch workflow fork {failed.run} --from pack`" in ran.err) == (5, True), ran.err


@pytest.mark.parametrize("how", [(), ("--dry-run",)], ids=["done", "rehearsed"])
def test_a_job_that_was_a_step_is_neither_retried_nor_replayed_and_the_fork_that_helps_is_named(
    how: tuple[str, ...], failed: Failed, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(folder) as server:
        monkeypatch.setenv("DISPATCH_API_KEY", server.key)
        for command in (("job", "retry", failed.job), ("dlq", "replay", failed.letter)):
            for where in ((), ("--url", server.url)):
                ran = run(*command, *how, *where)
                assert ran.code == 5, ran.err
                assert f"the step 'pack' of {failed.run}" in ran.err
                assert f"`dispatch workflow fork {failed.run} --from pack`" in ran.err
    assert run("dlq", "show", failed.letter, "--json").json["state"] == "open"


def test_a_job_that_is_a_step_tells_its_run_and_its_name(failed: Failed) -> None:
    shown = run("job", "show", failed.job, "--json").json
    assert (shown["run_id"], shown["step"]) == (failed.run, "pack")
