"""What happened in a run, put in order for the checker: faults as spans of time, starts, answers, claims heard."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .events import Event

Claim = tuple[str, int]
"""(job, epoch)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was done to a process (or, with pid None, to the store), from when to when."""

    kind: str
    pid: int | None
    since: float
    until: float
    mono: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker was told about one outcome."""

    job: str
    epoch: int
    verdict: str
    reply: str
    worker: str


@dataclass(slots=True)
class Facts:
    """The event log, read."""

    acked: dict[str, str] = field(default_factory=dict)
    """Job → serial."""
    asked: set[str] = field(default_factory=set)
    refused: int = 0
    faults: list[Fault] = field(default_factory=list)
    pids: dict[str, int] = field(default_factory=dict)
    """Worker → its process."""
    starts: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    """Job → its starts."""
    ended: set[Claim] = field(default_factory=set)
    heard: set[tuple[str, str, int]] = field(default_factory=set)
    """(worker, job, epoch) of claims whose reply arrived."""
    answers: list[Answer] = field(default_factory=list)
    lost: set[tuple[str, str, int]] = field(default_factory=set)
    """(worker, job, epoch) of leases that a beat could not renew."""
    beats: list[float] = field(default_factory=list)
    hit: int = 0
    """Kills and stops that met at least one running handler."""

    def faults_of(self, worker: str | None) -> Iterable[Fault]:
        """What was done to that worker, or to the store."""
        pid = self.pids.get(worker or "")
        return [fault for fault in self.faults if fault.pid is None or fault.pid == pid]

    def explained(self, worker: str | None, since: float, until: float) -> bool:
        """Whether a fault of that worker falls into the time from `since` to `until` (microseconds)."""
        return any(fault.since <= until and fault.until >= since for fault in self.faults_of(worker))

    def count(self, kind: str) -> int:
        """How many faults of that kind there were."""
        return sum(fault.kind == kind for fault in self.faults)


_ENDED_BY = {"stop": "cont", "term": "dead", "outage": "outage_over"}
_FOR_GOOD = ("kill", "suicide")
"""A process that was killed may have had a claim under way, which its server gets to later."""


def read(events: Sequence[Event]) -> Facts:
    """Sorts the events by time and reads them."""
    facts = Facts()
    running: dict[int, set[Claim]] = defaultdict(set)
    cuts: list[Event] = []
    ordered = sorted(events, key=lambda event: float(event["mono"]))
    for number, event in enumerate(ordered):
        match event["kind"]:
            case "asked":
                facts.asked.update(event["serials"])
            case "acked":
                facts.acked.update((job, serial) for serial, job in event["jobs"])
            case "refused":
                facts.refused += 1
            case "ready":
                facts.pids[event["worker"]] = event["by"]
            case "claimed":
                facts.heard.update((event["worker"], job, epoch) for job, epoch in event["jobs"])
            case "start":
                facts.starts[event["job"]].append(event)
                facts.pids.setdefault(event["worker"], event["by"])
                running[event["by"]].add((event["job"], event["epoch"]))
            case "end":
                facts.ended.add((event["job"], event["epoch"]))
                running[event["by"]].discard((event["job"], event["epoch"]))
            case "broken_off":
                running[event["by"]].discard((event["job"], event["epoch"]))
            case "answered":
                facts.answers += [
                    Answer(job, epoch, verdict, reply, event["worker"])
                    for job, epoch, verdict, reply in event["answers"]
                ]
            case "beat":
                facts.beats.append(event["took"])
                facts.lost.update((event["worker"], job, epoch) for job, epoch in event["lost"])
            case "cut":
                cuts.append(event)
            case "beat_failed":
                facts.beats.append(event["took"])
            case "kill" | "stop" | "term" | "suicide" | "outage" as kind:
                pid = event.get("pid")
                until = _end_of(kind, pid, ordered[number:])
                facts.faults.append(Fault(kind, pid, event["at"], until, event["mono"]))
                if kind in ("kill", "stop") and running[event["pid"]]:
                    facts.hit += 1
    facts.faults += [Fault("cut", facts.pids.get(cut["worker"], -1), cut["at"], cut["at"], cut["mono"]) for cut in cuts]
    return facts


def _end_of(kind: str, pid: int | None, later: Sequence[Event]) -> float:
    if kind in _FOR_GOOD:
        return math.inf
    ends = (e for e in later if e["kind"] in (_ENDED_BY[kind], "dead" if pid else "") and e.get("pid") == pid)
    return float(next((event["at"] for event in ends), math.inf))
