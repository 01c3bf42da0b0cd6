"""The checker flags forged logs: each breaks one promise, and the honest one that they are made from passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from .checker import Plan, check
from .events import Event
from .history import Dump, JobRow, LetterRow, Move

PLAN = Plan(kills=1, stops=1, hits=2, zombies=True, jobs=4, dead=frozenset({"s-poison"}), max_crashes=0)


@dataclass
class Forger:
    """Writes the log and the file of a run that never was; every step takes one second."""

    events: list[Event] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    jobs: dict[str, JobRow] = field(default_factory=dict)
    letters: list[LetterRow] = field(default_factory=list)
    integrity: str = "ok"
    now: int = 0

    def add(self, kind: str, by: int = 1, **fields: object) -> None:
        self.now += 1_000_000
        self.events.append({"kind": kind, "at": self.now, "mono": self.now / 1e6, "by": by, **fields})

    def enqueue(self, *jobs: str) -> None:
        self.add("asked", serials=[f"s-{job}" for job in jobs])
        for job in jobs:
            self.jobs[job] = JobRow(job, "pending", f"s-{job}", payload=job)
        self.add("acked", jobs=[(f"s-{job}", job) for job in jobs])

    def move(self, job: str, new: str, *, epoch: int, worker: str | None = None, crashes: int = 0) -> None:
        row = self.jobs[job]
        last = next((move for move in reversed(self.moves) if move.job == job), None)
        old_worker, old_epoch = (last.worker, last.epoch) if last else (None, 0)
        self.now += 1_000_000
        move = Move(job, row.state, new, old_worker, worker, old_epoch, epoch, 0, 0, row.crashes, crashes, self.now)
        self.moves.append(move)
        self.jobs[job] = replace(row, state=new, crashes=crashes)

    def ready(self, worker: str, pid: int) -> None:
        self.add("ready", by=pid, worker=worker)

    def start(self, job: str, worker: str, pid: int, epoch: int) -> None:
        """The store gives the job to the worker, which hears of it and starts the handler."""
        self.move(job, "running", epoch=epoch, worker=worker, crashes=self.jobs[job].crashes)
        self.add("claimed", by=pid, worker=worker, jobs=[(job, epoch)])
        self.add("start", by=pid, job=job, epoch=epoch, worker=worker, name="nap")

    def end(self, job: str, worker: str, pid: int, epoch: int) -> None:
        """The handler comes to its end, the store is told and agrees."""
        self.add("end", by=pid, job=job, epoch=epoch)
        self.move(job, "completed", epoch=epoch, worker=worker, crashes=self.jobs[job].crashes)
        self.answer(job, worker, pid, epoch, "applied")

    def answer(self, job: str, worker: str, pid: int, epoch: int, reply: str, verdict: str = "complete") -> None:
        self.add("answered", by=pid, worker=worker, answers=[(job, epoch, verdict, reply)])

    def violations(self, plan: Plan = PLAN) -> list[str]:
        dump = Dump(list(self.jobs.values()), self.letters, self.moves, self.integrity)
        return check(self.events, dump, plan).violations


def honest() -> Forger:
    """Worker w1 is killed over `hit` and `poison`, w2 is stopped over `slow` and is back too late, w3 does the rest."""
    f = Forger()
    f.enqueue("plain", "hit", "slow", "poison")
    f.ready("w1", 11)
    f.ready("w2", 22)
    f.start("hit", "w1", 11, 1)
    f.start("poison", "w1", 11, 1)
    f.add("kill", pid=11)
    f.add("dead", pid=11, code=-9)
    f.start("slow", "w2", 22, 1)
    f.add("stop", pid=22)
    f.ready("w3", 33)
    f.move("hit", "retrying", epoch=1, crashes=1)
    f.move("poison", "failed", epoch=1, crashes=1)
    f.letters.append(LetterRow("letter", "poison", "open", payload="poison"))
    f.move("slow", "retrying", epoch=1, crashes=1)
    f.add("stole", by=33, jobs=[("hit", 1, "w1"), ("poison", 1, "w1"), ("slow", 1, "w2")])
    f.start("hit", "w3", 33, 2)
    f.start("slow", "w3", 33, 2)
    f.end("hit", "w3", 33, 2)
    f.end("slow", "w3", 33, 2)
    f.add("cont", pid=22)
    f.add("end", by=22, job="slow", epoch=1)
    f.answer("slow", "w2", 22, 1, "stale")
    f.start("plain", "w3", 33, 1)
    f.end("plain", "w3", 33, 1)
    return f


def test_an_honest_run_passes_and_is_counted() -> None:
    f = honest()
    assert f.violations() == []
    figures = check(f.events, Dump(list(f.jobs.values()), f.letters, f.moves), PLAN).figures
    assert (figures.jobs, figures.kills, figures.stops, figures.hit) == (4, 1, 1, 2)
    assert (figures.duplicates, figures.unacknowledged, figures.steals, figures.stale_outcomes) == (2, 1, 3, 1)


def a_lost_job(f: Forger) -> None:
    del f.jobs["plain"]


def a_job_that_never_ends(f: Forger) -> None:
    f.jobs["plain"] = replace(f.jobs["plain"], state="retrying")


def a_job_dead_without_reason(f: Forger) -> None:
    f.jobs["plain"] = replace(f.jobs["plain"], state="failed")
    f.letters.append(LetterRow("other", "plain", "open", payload="plain"))


def a_completion_without_a_handler(f: Forger) -> None:
    f.events = [e for e in f.events if not (e["kind"] == "end" and e["job"] == "plain")]


def an_enqueue_that_made_two_jobs(f: Forger) -> None:
    f.jobs["twin"] = replace(f.jobs["plain"], id="twin")


def a_job_that_nobody_asked_for(f: Forger) -> None:
    f.jobs["ghost"] = JobRow("ghost", "completed", "s-ghost")


def a_doubled_terminal_state(f: Forger) -> None:
    f.move("plain", "completed", epoch=1, worker="w3")


def a_revived_job(f: Forger) -> None:
    f.start("plain", "w3", 33, 2)


def two_holders_at_once(f: Forger) -> None:
    f.enqueue("shared")
    f.start("shared", "w3", 33, 1)
    f.start("shared", "w2", 22, 2)
    f.end("shared", "w2", 22, 2)


def an_epoch_that_does_not_grow(f: Forger) -> None:
    f.enqueue("again")
    f.start("again", "w3", 33, 5)
    f.move("again", "pending", epoch=5)
    f.start("again", "w3", 33, 5)
    f.end("again", "w3", 33, 5)


def a_start_without_a_claim(f: Forger) -> None:
    f.add("start", by=22, job="plain", epoch=7, worker="w2", name="nap")


def a_claim_started_twice(f: Forger) -> None:
    f.add("start", by=33, job="plain", epoch=1, worker="w3", name="nap")


def a_stale_outcome_that_was_made(f: Forger) -> None:
    f.events = [e for e in f.events if not (e["kind"] == "answered" and e["answers"][0][0] == "plain")]
    f.answer("plain", "w3", 33, 1, "stale")


def an_acknowledged_outcome_that_was_never_made(f: Forger) -> None:
    f.answer("slow", "w2", 22, 1, "applied")


def a_completion_that_nobody_heard_of(f: Forger) -> None:
    f.events = [e for e in f.events if not (e["kind"] == "claimed" and e["jobs"][0] == ("plain", 1))]


def an_unexplained_duplicate(f: Forger) -> None:
    f.enqueue("twice")
    f.start("twice", "w3", 33, 1)
    f.move("twice", "pending", epoch=1)
    f.start("twice", "w3", 33, 2)
    f.end("twice", "w3", 33, 2)


def a_live_lease_stolen(f: Forger) -> None:
    f.enqueue("robbed")
    f.start("robbed", "w3", 33, 1)
    f.move("robbed", "retrying", epoch=1, crashes=1)
    f.move("robbed", "running", epoch=2, worker="w3", crashes=1)
    f.add("claimed", by=33, worker="w3", jobs=[("robbed", 2)])
    f.end("robbed", "w3", 33, 2)


def a_crash_too_many(f: Forger) -> None:
    f.jobs["hit"] = replace(f.jobs["hit"], crashes=2)


def a_dead_job_without_a_letter(f: Forger) -> None:
    f.letters.clear()


def a_letter_of_a_living_job(f: Forger) -> None:
    f.letters.append(LetterRow("wrong", "plain", "open", payload="plain"))


def a_letter_with_another_payload(f: Forger) -> None:
    f.letters[0] = replace(f.letters[0], payload="changed")


def a_letter_replayed_twice(f: Forger) -> None:
    f.letters[0] = replace(f.letters[0], state="replayed")
    for number in (1, 2):
        f.jobs[f"replay-{number}"] = JobRow(f"replay-{number}", "completed", "s-poison", replay_of="letter")


def a_replay_that_made_nothing(f: Forger) -> None:
    f.letters[0] = replace(f.letters[0], state="replayed")


def a_damaged_file(f: Forger) -> None:
    f.integrity = "row 7 missing from index jobs_ready"


def a_kill_that_did_not_happen(f: Forger) -> None:
    f.events = [e for e in f.events if e["kind"] != "kill"]


def faults_that_met_nobody(f: Forger) -> None:
    f.events = [e if e["kind"] != "kill" else {**e, "mono": 0.5} for e in f.events]


def a_zombie_that_wrote_nothing(f: Forger) -> None:
    f.events = [e for e in f.events if not (e["kind"] == "answered" and e["answers"][0][3] == "stale")]


def a_store_that_remembers_nothing(f: Forger) -> None:
    f.moves.clear()


@pytest.mark.parametrize(
    ("says", "forge"),
    [
        ("I1 plain (s-plain) was acknowledged and is not in the store", a_lost_job),
        ("I1 plain (s-plain) was acknowledged and is still retrying", a_job_that_never_ends),
        ("I1 plain (s-plain) ended failed", a_job_dead_without_reason),
        ("I1 plain is completed, but no handler", a_completion_without_a_handler),
        ("I2 2 jobs came of the one enqueue s-plain", an_enqueue_that_made_two_jobs),
        ("I2 nobody asked for s-ghost", a_job_that_nobody_asked_for),
        ("I5 plain reached a terminal state 2 times", a_doubled_terminal_state),
        ("I5 plain left the terminal state completed", a_revived_job),
        ("I3 shared was claimed at epoch 2 while epoch 1 held it", two_holders_at_once),
        ("I3 the epoch of again went from 5 to 5", an_epoch_that_does_not_grow),
        ("I3 plain was started at epoch 7, which the store never gave to w2", a_start_without_a_claim),
        ("I3 plain was started 2 times at epoch 1", a_claim_started_twice),
        ("I4 complete of plain at epoch 1 was refused as stale and yet made", a_stale_outcome_that_was_made),
        (
            "I4 complete of slow at epoch 1 was acknowledged and never made",
            an_acknowledged_outcome_that_was_never_made,
        ),
        ("I8 plain: the claim at epoch 1 was heard by nobody", a_completion_that_nobody_heard_of),
        ("I9 twice was started again after epoch 1, and no fault explains it", an_unexplained_duplicate),
        ("I29 robbed was stolen from w3, to which nothing had happened", a_live_lease_stolen),
        ("I10 hit failed 0 times and crashed 2 times", a_crash_too_many),
        ("I11 poison is failed and has 0 dead letters", a_dead_job_without_a_letter),
        ("I11 plain is completed and has 1 dead letters", a_letter_of_a_living_job),
        ("I11 the dead letter letter carries another payload", a_letter_with_another_payload),
        ("I12 the dead letter letter is replayed, and 2 jobs came of it", a_letter_replayed_twice),
        ("I12 the dead letter letter is replayed, and 0 jobs came of it", a_replay_that_made_nothing),
        ("the file is damaged", a_damaged_file),
        ("vacuous: 0 of 1 planned kills happened", a_kill_that_did_not_happen),
        ("vacuous: 1 faults met running handlers, 2 should have", faults_that_met_nobody),
        ("vacuous: no outcome was refused as stale", a_zombie_that_wrote_nothing),
        ("vacuous: the store remembers 0 moves", a_store_that_remembers_nothing),
    ],
)
def test_a_forged_run_is_flagged(says: str, forge: Callable[[Forger], None]) -> None:
    f = honest()
    forge(f)
    found = f.violations()
    assert any(violation.startswith(says) for violation in found), found


def test_too_many_duplicates_are_flagged_even_when_each_has_an_excuse() -> None:
    assert any("extra starts are more than" in said for said in honest().violations(replace(PLAN, concurrency=0)))


def test_a_run_with_too_few_jobs_is_flagged() -> None:
    assert honest().violations(replace(PLAN, jobs=5)) == ["vacuous: 4 jobs were acknowledged, 5 should have been"]


def test_an_outage_that_did_not_happen_is_flagged() -> None:
    assert honest().violations(replace(PLAN, outages=1)) == ["vacuous: 0 of 1 planned outages happened"]


def test_a_crash_of_the_server_may_undo_a_claim_that_was_made_right_before_it_and_no_older_one() -> None:
    f = honest()
    a_start_without_a_claim(f)
    started = next(e["at"] for e in f.events if e["kind"] == "start" and e["epoch"] == 7)
    forgetful = replace(PLAN, forgetful=True)
    assert any(said.startswith("I3 plain") for said in f.violations(forgetful))
    for since, excused in ((started + 900_000, True), (started + 1_100_000, False)):
        outage = {"kind": "outage", "at": since, "mono": since / 1e6, "by": 1}
        over = {"kind": "outage_over", "at": since + 1, "mono": (since + 1) / 1e6, "by": 1}
        crashed = replace(f, events=[*f.events, outage, over])
        assert any(said.startswith("I3 plain") for said in crashed.violations(forgetful)) is not excused
        assert any(said.startswith("I3 plain") for said in crashed.violations(PLAN))
