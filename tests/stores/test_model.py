"""Random histories of each store against a reference model: equal answers, equal rows after each step."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from reference import Letter, ModelJob, Reference
from servers.again import give_back
from store_kinds import audited, kinds, maker

from dispatch.clock import ManualClock
from dispatch.dlq import DLQState
from dispatch.dlq import ListOptions as DLQOptions
from dispatch.entity import Reply
from dispatch.errors import DuplicateJob, IdempotencyMismatch
from dispatch.ids import DLQID, JobID, WorkerID, encode_suffix
from dispatch.jobs.model import Idempotency, Job, JobState, NewJob, Transition, Unique, Verdict
from dispatch.queues import QueueConfig
from dispatch.store import Store
from dispatch.testing.conformance.env import BOOM, all_jobs

WORKERS = (WorkerID("wkr_" + encode_suffix(1)), WorkerID("wkr_" + encode_suffix(2)))
LEASE = 30.0
MAX_CRASHES = 2
workers = st.sampled_from(WORKERS)
picks = st.integers(0, 11)


class Histories(RuleBasedStateMachine):
    """One random history."""

    kind: ClassVar[str] = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock()
        self.model = Reference(self.clock)
        self.runner = asyncio.Runner()
        self.store: Store = maker(self.kind, Path(self.folder.name))(self.clock)
        self.run(self.store.open())
        self.count = 0
        self.claims: list[tuple[JobID, int, WorkerID]] = []

    def run(self, verb: Any) -> Any:
        return self.runner.run(verb)

    def teardown(self) -> None:
        try:
            self.attempts_are_as_the_model_says()
            audited(self.store)
        finally:
            self.run(self.store.close())
            self.runner.close()
            self.folder.cleanup()
            give_back()

    def new_id(self) -> JobID:
        self.count += 1
        return JobID("job_" + encode_suffix(self.count))

    @initialize(
        priorities=st.lists(st.integers(0, 2), min_size=2, max_size=4),
    )
    def some_jobs(self, priorities: list[int]) -> None:
        for priority in priorities:
            self.enqueue(priority, 0.0, None, "return", "finish", None, repeat=False)

    @rule(
        priority=st.integers(0, 2),
        delay=st.sampled_from([0.0, 0.0, 20.0]),
        key=st.sampled_from([None, None, "k", "l"]),
        mode=st.sampled_from(["return", "skip", "raise", "replace", "replace"]),
        until=st.sampled_from(["finish", "finish", "start"]),
        idempotency=st.sampled_from([None, None, None, ("i", "one"), ("i", "two"), ("j", "one")]),
        repeat=st.booleans(),
    )
    def enqueue(
        self, priority: int, delay: float, key: str | None, mode: Any, until: Any, idempotency: Any, repeat: bool
    ) -> None:
        job_id = self.new_id()
        payload = str(self.count).encode()
        unique = Unique(key, on_conflict=mode, until=until) if key is not None else None
        new = NewJob(
            id=job_id,
            name="work",
            payload=payload,
            priority=priority,
            delay=delay,
            unique=unique,
            idempotency=Idempotency(*idempotency, ttl=1e9) if idempotency else None,
        )
        for _ in range(1 + repeat):
            job = ModelJob(job_id, payload, priority, self.model.after(delay), unique)
            expected = self.model.enqueue(job, idempotency)
            try:
                (answer,) = self.run(self.store.jobs.enqueue([new]))
                assert (answer.id, answer.created, answer.replaced) == expected
            except (DuplicateJob, IdempotencyMismatch) as error:
                assert type(error).__name__ == expected

    @rule(worker=workers, limit=st.integers(1, 3), alone=st.booleans())
    def claim(self, worker: WorkerID, limit: int, alone: bool) -> None:
        expected = self.model.claim(worker, limit, LEASE, alone=alone)
        answer = self.run(
            self.store.jobs.claim(
                worker, queues={"default": 100}, names=["work"], limit=limit, lease=LEASE, alone=alone
            )
        )
        assert [(job.id, job.epoch, job.payload) for job in answer.jobs] == [
            (j.id, j.epoch, j.payload) for j in expected
        ]
        self.claims += [(job.id, job.epoch, worker) for job in answer.jobs]

    @precondition(lambda self: self.claims)
    @rule(worker=workers, forget=st.booleans())
    def renew(self, worker: WorkerID, forget: bool) -> None:
        named = [(job_id, epoch) for job_id, epoch, owner in self.claims if owner == worker]
        named = named[1:] if forget else named
        mine = [job for job in self.model.running() if job.worker == worker]
        held = {job.id for job in mine if (job.id, job.epoch) in named}
        answer = self.run(self.store.jobs.renew(worker, named, lease=LEASE))
        assert set(answer.held) == held
        assert Counter(answer.lost) == Counter(
            job_id for job_id, epoch in named if not any((job.id, job.epoch) == (job_id, epoch) for job in mine)
        )
        assert set(answer.cancel_requested) == {job.id for job in mine if job.id in held and job.cancel_requested}
        assert set(answer.unnamed) == {(job.id, job.epoch) for job in mine if job.id not in held}
        for job in mine:
            if job.id in held:
                job.lease_until = self.model.after(LEASE)

    @precondition(lambda self: self.claims)
    @rule(
        pick=picks,
        verdict=st.sampled_from(Verdict),
        fails=st.booleans(),
        thief=st.sampled_from([None, None, None, *WORKERS]),
        repeat=st.booleans(),
    )
    def finish(self, pick: int, verdict: Verdict, fails: bool, thief: WorkerID | None, repeat: bool) -> None:
        job_id, epoch, owner = self.claims[-1 - pick % len(self.claims)]
        worker = thief or owner
        fails = fails and verdict in (Verdict.RETRY, Verdict.FAIL)
        transition = Transition(
            job_id, epoch, verdict, failure=BOOM if fails else None, dead_letter=True, delay=10.0, result=b"r"
        )
        for _ in range(1 + repeat):
            expected = self.model.finish(job_id, worker, epoch, verdict, 10.0, fails=fails)
            (answer,) = self.run(self.store.jobs.finish(worker, [transition]))
            job = self.model.jobs[job_id]
            assert answer.reply == expected
            if expected is Reply.APPLIED:
                assert answer.state == job.state
                assert (answer.dead_letter is not None) == (job.state is JobState.FAILED)
                self.note_letter(job, answer.dead_letter)
            else:
                assert answer.dead_letter is None

    def note_letter(self, job: ModelJob, letter_id: DLQID | None) -> None:
        if letter_id is not None:
            job.letter = letter_id
            self.model.letters.setdefault(letter_id, Letter(job.id))

    @precondition(lambda self: self.model.jobs)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        job_id = list(self.model.jobs)[-1 - pick % len(self.model.jobs)]
        expected = self.model.cancel(job_id)
        answer = self.run(self.store.jobs.cancel(job_id))
        assert (answer.reply, answer.state) == expected

    @precondition(lambda self: self.model.jobs)
    @rule(pick=picks)
    def retry(self, pick: int) -> None:
        job_id = list(self.model.jobs)[-1 - pick % len(self.model.jobs)]
        expected = self.model.retry(job_id)
        answer = self.run(self.store.jobs.retry(job_id))
        assert (answer.reply, answer.state) == expected

    @rule(seconds=st.sampled_from([0.0005, 1.0, 11.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: self.model.running())
    @rule()
    def everybody_dies_and_is_robbed(self) -> None:
        self.clock.advance(LEASE + 1)
        self.steal()

    @rule()
    def steal(self) -> None:
        expected = self.model.steal(MAX_CRASHES, 5.0)
        answers = self.run(self.store.jobs.steal(limit=100, max_crashes=MAX_CRASHES, delays=[5.0]))
        assert {stolen.job.id for stolen in answers} == {job.id for job in expected}
        for stolen in answers:
            job = self.model.jobs[stolen.job.id]
            assert (stolen.dead_letter is not None) == (job.state is JobState.FAILED)
            self.note_letter(job, stolen.dead_letter)

    @precondition(lambda self: self.model.letters)
    @rule(pick=picks, repeat=st.booleans(), discard=st.booleans())
    def decide_a_letter(self, pick: int, repeat: bool, discard: bool) -> None:
        letter_id = list(self.model.letters)[-1 - pick % len(self.model.letters)]
        if discard:
            expected = self.model.discard(letter_id)
            assert self.run(self.store.dlq.discard(letter_id)) == expected
            return
        new_id = self.new_id()
        for _ in range(1 + repeat):
            wanted = self.model.replay(letter_id, new_id)
            answer = self.run(self.store.dlq.replay(letter_id, new_id))
            assert (answer.reply, answer.job_id) == wanted

    @rule(pause=st.booleans())
    def pause_or_resume(self, pause: bool) -> None:
        if pause and not self.model.paused and self.count % 3 == 0:
            self.run(self.store.queues.pause("default"))
            self.model.paused = True
        elif self.model.paused:
            assert self.run(self.store.queues.resume("default")) is Reply.APPLIED
            self.model.paused = False

    @rule(limit=st.sampled_from([None, None, 1, 2]))
    def set_a_limit(self, limit: int | None) -> None:
        self.run(self.store.queues.configure(QueueConfig("default", max_concurrency=limit)))
        self.model.limit = limit

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        rows: list[Job] = self.run(all_jobs(self.store))
        assert [seen(row) for row in rows] == [
            job.seen() for job in sorted(self.model.jobs.values(), key=lambda job: job.id, reverse=True)
        ]
        for row in rows:
            assert (row.finished_at is not None) == row.state.terminal, "a time of ending goes with a terminal state"

    @invariant()
    def dead_letters_are_as_the_model_says(self) -> None:
        page = self.run(self.store.dlq.list(DLQOptions(states=tuple(DLQState), limit=500)))
        assert {entry.id: (entry.job_id, entry.state, entry.replayed_as) for entry in page.items} == {
            letter_id: (letter.job_id, letter.state, letter.replayed_as)
            for letter_id, letter in self.model.letters.items()
        }
        for entry in page.items:
            assert entry.payload == self.model.jobs[entry.job_id].payload

    def attempts_are_as_the_model_says(self) -> None:
        for job in self.model.jobs.values():
            assert len(self.run(self.store.jobs.attempts(job.id))) == job.attempts


def seen(row: Job) -> tuple[object, ...]:
    """The same view of a stored row as ModelJob.seen gives of a model's."""
    runs = row.state is JobState.RUNNING
    return (
        row.id,
        row.state,
        row.payload,
        row.priority,
        row.run_at,
        row.failures,
        row.crashes,
        row.epoch,
        row.worker_id if runs else None,
        row.lease_until if runs else None,
        row.cancel_requested if runs else None,
        row.behind,
    )


@pytest.mark.slow
@pytest.mark.parametrize("examples", [10, pytest.param(40, marks=pytest.mark.proof)])
@pytest.mark.parametrize("kind", kinds(late=pytest.mark.long))
def test_a_store_behaves_as_the_reference_model_in_random_histories(kind: str, examples: int) -> None:
    machine = type("Histories", (Histories,), {"kind": kind})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
