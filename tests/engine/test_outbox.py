"""Group commit: outcomes are written together, none is lost, and one bad row costs only itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from dispatch.engine.batches import BATCH
from dispatch.engine.outbox import Outbox
from dispatch.entity import Reply
from dispatch.errors import DataRejected, StoreBusy, StoreUnreachable
from dispatch.ids import JobID, WorkerID
from dispatch.jobs.model import Finished, JobState, Transition, Verdict

LOG = logging.getLogger("test.outbox")


def complete(number: int = 0) -> Transition:
    return Transition(JobID.new(), 1, Verdict.COMPLETE, result=str(number).encode())


class Store:
    """A finish verb that records its batches and does what the test says."""

    def __init__(self) -> None:
        self.batches: list[list[Transition]] = []
        self.stored: dict[str, Transition] = {}
        self.before: Callable[[Sequence[Transition]], Any] = lambda batch: None

    async def finish(self, worker_id: WorkerID, batch: Sequence[Transition]) -> list[Finished]:
        self.batches.append(list(batch))
        waiting = self.before(batch)
        if waiting is not None:
            await waiting
        for transition in batch:
            self.stored[transition.job_id] = transition
        return [Finished(Reply.APPLIED, JobState.COMPLETED) for _ in batch]


class Bench:
    def __init__(self, *, give_up: bool = False, call_timeout: float = 5.0) -> None:
        self.store = Store()
        self.settled: list[tuple[Transition, Finished]] = []
        self.out_of_touch = give_up
        self.outbox = Outbox(
            self.store,  # type: ignore[arg-type]
            WorkerID.new(),
            settled=lambda transition, finished: self.settled.append((transition, finished)),
            culprit=self._culprit,
            give_up=lambda: self.out_of_touch,
            call_timeout=call_timeout,
            logger=LOG,
        )

    @staticmethod
    def _culprit(transition: Transition, error: DataRejected) -> Transition:
        if transition.reason == "result_not_storable":
            return transition
        return replace(transition, verdict=Verdict.FAIL, result=None, reason="result_not_storable")

    async def write(self, *transitions: Transition) -> None:
        for transition in transitions:
            self.outbox.add(transition)
        async with asyncio.timeout(5):
            await self.outbox.drained()


async def test_what_ends_in_one_turn_of_the_loop_is_written_together() -> None:
    bench = Bench()
    batch = [complete(n) for n in range(20)]
    await bench.write(*batch)
    assert bench.store.batches == [batch]
    assert [transition for transition, _ in bench.settled] == batch


async def test_what_ends_during_a_flush_is_written_by_the_next() -> None:
    bench = Bench()
    first, late = complete(), [complete(n) for n in range(5)]
    going = asyncio.Event()

    async def hold() -> None:
        for transition in late:
            bench.outbox.add(transition)
        going.set()
        await asyncio.sleep(0)

    bench.store.before = lambda batch: hold() if not going.is_set() else None
    await bench.write(first)
    assert bench.store.batches == [[first], late]


async def test_a_flood_is_cut_into_batches() -> None:
    bench = Bench()
    await bench.write(*(complete(n) for n in range(2 * BATCH + 1)))
    assert [len(batch) for batch in bench.store.batches] == [BATCH, BATCH, 1]


async def test_one_bad_row_of_fifty_costs_only_itself() -> None:
    bench = Bench()
    batch = [complete(n) for n in range(50)]
    bad = batch[31]

    def refuse(rows: Sequence[Transition]) -> None:
        if any(row.job_id == bad.job_id and row.verdict is Verdict.COMPLETE for row in rows):
            raise DataRejected("one of the rows is odd")

    bench.store.before = refuse
    await bench.write(*batch)
    assert len(bench.store.stored) == 50
    assert bench.store.stored[bad.job_id].reason == "result_not_storable"
    assert sum(row.verdict is Verdict.COMPLETE for row in bench.store.stored.values()) == 49
    assert len(bench.store.batches) <= 2 * 6 + 2
    assert sorted(t.job_id for t, _ in bench.settled) == sorted(t.job_id for t in batch)


async def test_a_row_that_even_fails_badly_is_let_go_and_named(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()

    def refuse(rows: Sequence[Transition]) -> None:
        raise DataRejected("never")

    bench.store.before = refuse
    only = complete()
    await bench.write(only)
    assert [(t.job_id, finished.reply) for t, finished in bench.settled] == [(only.job_id, Reply.STALE)]
    assert f"the store refuses to end {only.job_id}" in caplog.text


@pytest.mark.parametrize("error", [StoreBusy("locked"), StoreUnreachable("gone"), RuntimeError("a bug")])
async def test_a_lost_reply_is_asked_for_again_with_the_same_rows(
    error: Exception, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatch.engine.batches._FIRST_PAUSE", 0.001)
    bench = Bench()
    batch = [complete(n) for n in range(3)]

    def lose(rows: Sequence[Transition]) -> None:
        for row in rows:
            bench.store.stored[row.job_id] = row
        if len(bench.store.batches) < 3:
            raise error

    bench.store.before = lose
    await bench.write(*batch)
    assert bench.store.batches == [batch] * 3
    assert [finished.reply for _, finished in bench.settled] == [Reply.APPLIED] * 3
    assert "3 outcomes wait for the store" in caplog.text


async def test_a_call_that_hangs_is_given_up_and_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatch.engine.batches._FIRST_PAUSE", 0.001)
    bench = Bench(call_timeout=0.02)
    bench.store.before = lambda batch: asyncio.Event().wait() if len(bench.store.batches) == 1 else None
    await bench.write(complete())
    assert len(bench.store.batches) == 2
    assert len(bench.settled) == 1


async def test_out_of_touch_outcomes_are_given_up(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(give_up=True)

    def fail(rows: Sequence[Transition]) -> None:
        raise StoreUnreachable("gone")

    bench.store.before = fail
    await bench.write(complete(), complete())
    assert [finished.reply for _, finished in bench.settled] == [Reply.STALE] * 2
    assert "gave up on 2 outcomes, their leases are lost" in caplog.text


async def test_a_listener_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    heard: list[Transition] = []

    def settled(transition: Transition, finished: Finished) -> None:
        heard.append(transition)
        raise RuntimeError("a bug in a report")

    bench.outbox._settled = settled
    await bench.write(complete(), complete())
    assert len(heard) == 2
    assert "a bug in a report" in caplog.text
    await bench.write(complete())
    assert len(heard) == 3
