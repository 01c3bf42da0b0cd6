"""Proves from the event log and the final file that a run kept the engine's promises; a pure function."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .events import Event
from .facts import Facts, read
from .history import TERMINAL, Dump, Move

_UNFLUSHED = 1_000_000
"""Microseconds: the WAL writer is three rounds of 200 ms behind at most; the rest is what a busy machine adds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run was meant to do; a run that did less proves nothing."""

    kills: int = 0
    stops: int = 0
    outages: int = 0
    hits: int = 0
    """Kills and stops that must have met running handlers."""
    zombies: bool = False
    """Whether outcomes must have been refused as stale."""
    jobs: int = 1
    dead: frozenset[str] = frozenset()
    """Serials of the jobs that must end as dead letters, lost with their workers; every other must complete."""
    concurrency: int = 20
    workers: int = 2
    max_retries: int = 3
    max_crashes: int = 3
    forgetful: bool = False
    """Whether outages are crashes of a server, which may forget claims of the last instant: their commits do not wait
    for the disk."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was counted."""

    jobs: int
    kills: int
    stops: int
    outages: int
    hit: int
    starts: int
    duplicates: int
    unacknowledged: int
    """Duplicates of handlers that had come to their end when the fault met their outcome."""
    steals: int
    releases: int
    unheard: int
    stale_outcomes: int
    stale_renewals: int
    refused_enqueues: int
    beats: int
    worst_beat_ms: float


@dataclass(frozen=True, slots=True)
class Report:
    """What the checker found; a run is good when there are no violations."""

    violations: list[str]
    figures: Figures


def check(events: Sequence[Event], dump: Dump, plan: Plan) -> Report:
    """Every violation names its invariant (see the list in the design) and the job."""
    facts = read(events)
    moves: dict[str, list[Move]] = defaultdict(list)
    for move in dump.moves:
        moves[move.job].append(move)
    violations = [
        *_ends(facts, dump, moves, plan),
        *_fences(facts, moves, plan),
        *_faults_explain(facts, moves, plan),
        *_bounds(dump, plan),
        *_dead_letters(dump),
        *_is_not_vacuous(facts, dump, plan),
    ]
    return Report(violations, _figures(facts, dump))


def _ends(facts: Facts, dump: Dump, moves: dict[str, list[Move]], plan: Plan) -> Iterator[str]:
    rows = {row.id: row for row in dump.jobs}
    for job, serial in facts.acked.items():
        row = rows.get(job)
        if row is None:
            yield f"I1 {job} ({serial}) was acknowledged and is not in the store: lost"
        elif row.state not in TERMINAL:
            yield f"I1 {job} ({serial}) was acknowledged and is still {row.state}"
        elif row.state != ("failed" if serial in plan.dead else "completed"):
            yield f"I1 {job} ({serial}) ended {row.state} ({row.reason})"
    for serial, count in Counter(row.serial for row in dump.jobs if row.replay_of is None).items():
        if count > 1:
            yield f"I2 {count} jobs came of the one enqueue {serial}"
        if serial not in facts.asked:
            yield f"I2 nobody asked for {serial}"
    for job, its in moves.items():
        ends = [move for move in its if move.new in TERMINAL]
        if len(ends) > 1:
            yield f"I5 {job} reached a terminal state {len(ends)} times: {[move.new for move in ends]}"
        for move in its:
            if move.old in TERMINAL:
                yield f"I5 {job} left the terminal state {move.old} for {move.new}"
            if move.act == "complete" and (job, move.old_epoch) not in facts.ended:
                yield f"I1 {job} is completed, but no handler of epoch {move.old_epoch} came to its end"
    if dump.integrity != "ok":
        yield f"the file is damaged: {dump.integrity}"


def _fences(facts: Facts, moves: dict[str, list[Move]], plan: Plan) -> Iterator[str]:
    acts: set[tuple[str, int, str | None, str]] = set()
    claims: set[tuple[str, int, str | None]] = set()
    for job, its in moves.items():
        latest = 0
        for move in its:
            if move.act == "claim":
                if move.old == "running":
                    yield f"I3 {job} was claimed at epoch {move.epoch} while epoch {move.old_epoch} held it"
                if move.epoch <= latest:
                    yield f"I3 the epoch of {job} went from {latest} to {move.epoch}"
                latest = move.epoch
                claims.add((job, move.epoch, move.worker))
            else:
                acts.add((job, move.old_epoch, move.old_worker, move.act))
    for job, starts in facts.starts.items():
        started_at = {(job, start["epoch"], start["worker"]): float(start["at"]) for start in starts}
        for claim, count in Counter((job, start["epoch"], start["worker"]) for start in starts).items():
            if count > 1:
                yield f"I3 {job} was started {count} times at epoch {claim[1]}"
            if claim not in claims and not (plan.forgetful and _forgotten(facts, started_at[claim])):
                yield f"I3 {job} was started at epoch {claim[1]}, which the store never gave to {claim[2]}"
    applied = {(a.job, a.epoch, a.worker, a.verdict) for a in facts.answers if a.reply == "applied"}
    for answer in facts.answers:
        said = (answer.job, answer.epoch, answer.worker, _act_of(answer.verdict))
        if answer.reply == "stale" and said in acts and (*said[:3], answer.verdict) not in applied:
            yield f"I4 {answer.verdict} of {answer.job} at epoch {answer.epoch} was refused as stale and yet made"
        if answer.reply == "applied" and said not in acts:
            yield f"I4 {answer.verdict} of {answer.job} at epoch {answer.epoch} was acknowledged and never made"


def _forgotten(facts: Facts, at: float) -> bool:
    """Whether a claim at that time (microseconds) may be one that a crash of the server undid."""
    outages = (fault for fault in facts.faults if fault.kind == "outage")
    return any(outage.since - _UNFLUSHED <= at <= outage.until for outage in outages)


def _act_of(verdict: str) -> str:
    return "release" if verdict == "snooze" else verdict


def _faults_explain(facts: Facts, moves: dict[str, list[Move]], plan: Plan) -> Iterator[str]:
    spans: dict[tuple[str, int], tuple[int, float]] = {}
    for job, its in moves.items():
        claims = [move for move in its if move.act == "claim"]
        for claim, later in pairwise(claims):
            spans[job, claim.epoch] = (claim.at, later.at)
        since = {claim.epoch: claim.at for claim in claims}
        for move in its:
            began = since.get(move.old_epoch, move.at)
            if move.act == "steal" and not facts.explained(move.old_worker, began, move.at):
                yield f"I29 {job} was stolen from {move.old_worker}, to which nothing had happened"
            unheard = (move.old_worker, job, move.old_epoch) not in facts.heard
            if move.old == "running" and unheard and move.act not in ("release", "steal"):
                yield f"I8 {job}: the claim at epoch {move.old_epoch} was heard by nobody and ended in {move.act}"
    for job, starts in facts.starts.items():
        for start in starts:
            span = spans.get((job, start["epoch"]))
            if span is not None and not facts.explained(start["worker"], *span):
                failed = any(m.act == "retry" and m.old_epoch == start["epoch"] for m in moves[job])
                if not failed:
                    yield f"I9 {job} was started again after epoch {start['epoch']}, and no fault explains it"
    duplicates, unacknowledged = _duplicates(facts)
    outages = facts.count("outage") * plan.workers
    faults = sum(facts.count(kind) for kind in ("kill", "stop", "suicide", "term")) + outages
    if max(duplicates - unacknowledged, unacknowledged) > faults * plan.concurrency:
        yield f"I9 {duplicates} extra starts are more than {faults} faults × {plan.concurrency} allow"


def _bounds(dump: Dump, plan: Plan) -> Iterator[str]:
    for row in dump.jobs:
        if row.failures > plan.max_retries + 1 or row.crashes > plan.max_crashes + 1:
            yield f"I10 {row.id} failed {row.failures} times and crashed {row.crashes} times"


def _dead_letters(dump: Dump) -> Iterator[str]:
    rows = {row.id: row for row in dump.jobs}
    letters = Counter(letter.job for letter in dump.letters)
    for row in dump.jobs:
        if (row.state == "failed") != (letters[row.id] == 1):
            yield f"I11 {row.id} is {row.state} and has {letters[row.id]} dead letters"
    replays = Counter(row.replay_of for row in dump.jobs if row.replay_of is not None)
    for letter in dump.letters:
        row_of = rows.get(letter.job)
        if row_of is not None and row_of.payload != letter.payload:
            yield f"I11 the dead letter {letter.id} carries another payload than its job"
        if replays[letter.id] != (1 if letter.state == "replayed" else 0):
            yield f"I12 the dead letter {letter.id} is {letter.state}, and {replays[letter.id]} jobs came of it"


def _is_not_vacuous(facts: Facts, dump: Dump, plan: Plan) -> Iterator[str]:
    for kind, planned in (("kill", plan.kills), ("stop", plan.stops), ("outage", plan.outages)):
        if facts.count(kind) < planned:
            yield f"vacuous: {facts.count(kind)} of {planned} planned {kind}s happened"
    if facts.hit < plan.hits:
        yield f"vacuous: {facts.hit} faults met running handlers, {plan.hits} should have"
    if len(facts.acked) < plan.jobs:
        yield f"vacuous: {len(facts.acked)} jobs were acknowledged, {plan.jobs} should have been"
    if plan.zombies and not _stale_outcomes(facts):
        yield "vacuous: no outcome was refused as stale, although a zombie was planned"
    if len(dump.moves) < 2 * len(facts.acked):
        yield f"vacuous: the store remembers {len(dump.moves)} moves of {len(facts.acked)} jobs"


def _duplicates(facts: Facts) -> tuple[int, int]:
    """Extra starts, and how many of them repeated a handler that had ended before its outcome was written."""
    superseded = [start for starts in facts.starts.values() for start in starts[:-1]]
    return len(superseded), sum((start["job"], start["epoch"]) in facts.ended for start in superseded)


def _stale_outcomes(facts: Facts) -> int:
    return sum(answer.reply == "stale" for answer in facts.answers)


def _figures(facts: Facts, dump: Dump) -> Figures:
    acts = Counter(move.act for move in dump.moves)
    claims = ((move.worker, move.job, move.epoch) for move in dump.moves if move.act == "claim")
    robbed = {(move.old_worker, move.job, move.old_epoch) for move in dump.moves if move.act == "steal"}
    return Figures(
        jobs=len(facts.acked),
        kills=facts.count("kill"),
        stops=facts.count("stop"),
        outages=facts.count("outage"),
        hit=facts.hit,
        starts=sum(map(len, facts.starts.values())),
        duplicates=_duplicates(facts)[0],
        unacknowledged=_duplicates(facts)[1],
        steals=acts["steal"],
        releases=acts["release"],
        unheard=sum(claim not in facts.heard for claim in claims),
        stale_outcomes=_stale_outcomes(facts),
        stale_renewals=len(facts.lost & robbed),
        refused_enqueues=facts.refused,
        beats=len(facts.beats),
        worst_beat_ms=round(max(facts.beats, default=0.0) * 1000, 1),
    )
