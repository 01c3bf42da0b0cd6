"""Stored runs: the public Run with what only the store knows, and the tables and indexes around them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, fields
from datetime import datetime
from operator import attrgetter

from dispatch.ids import EventID, JobID, RunID
from dispatch.scope import Scope
from dispatch.stores.memory.rows import Row, copy_json
from dispatch.workflows.model import TERMINAL, Checkpoint, ChildResult, Run, RunState, Wait

Channel = tuple[str, str | None, Scope]
"""Name, key and scope of a broadcast."""


@dataclass(slots=True, eq=False)
class OpenGroup:
    """A group that a parked run waits for: the steps whose children have not ended."""

    mode: str
    left: set[str]

    def hears(self, result: ChildResult) -> bool:
        """Notes that a child has ended; answers whether the group is satisfied by it."""
        if result.step not in self.left:
            return False
        self.left.discard(result.step)
        failed = self.mode == "all_or_failure" and result.state != "completed"
        return not self.left or self.mode == "any" or failed


@dataclass(slots=True, eq=False)
class RunRow(Run):
    """A Run and the store's own notes about it."""

    awaited: bool = True
    abandon: bool = False
    compensating: bool = False
    """It has begun to compensate, and goes on with that whenever its driver is claimed."""
    parked: bool = False
    blocked: str | None = None
    """Why it is BLOCKED; `reason` keeps what it was before."""
    journal: dict[str, Checkpoint] = field(default_factory=dict)
    """By name, in the order of their positions."""
    last_position: int = 0
    consumed: set[EventID] = field(default_factory=set)
    waits: dict[str, Wait] = field(default_factory=dict)
    results: dict[str, ChildResult] = field(default_factory=dict)
    groups: list[OpenGroup] = field(default_factory=list)
    child_runs: set[RunID] = field(default_factory=set)
    child_jobs: set[JobID] = field(default_factory=set)

    @property
    def standing(self) -> RunState:
        """Its state while it neither runs now, is blocked nor has ended."""
        if self.compensating:
            return RunState.COMPENSATING
        if self.parked:
            return RunState.WAITING
        return RunState.PENDING if self.started_at is None else RunState.RUNNING

    def unpark(self) -> None:
        """It is parked no longer."""
        self.parked = False
        self.wakes_at = None
        self.groups = []


_values = attrgetter(*(f.name for f in fields(Run)))


def copy_run(row: RunRow) -> Run:
    """A Run that shares nothing mutable with the stored one."""
    run = Run(*_values(row))
    run.metadata = copy_json(row.metadata)
    if row.state is RunState.BLOCKED:
        run.reason = row.blocked
    return run


def copy_listed(row: RunRow) -> Run:
    """As lists show it: without input and result."""
    run = copy_run(row)
    run.input, run.result = b"", None
    return run


class Runs:
    """All runs, those that ended in the order of their ends, how many are in each state, and who waits for what."""

    def __init__(self) -> None:
        self.rows: dict[RunID, RunRow] = {}
        self.order: list[RunID] = []
        self.ended: dict[RunState, OrderedDict[RunID, RunRow]] = {state: OrderedDict() for state in TERMINAL}
        """The longest ended first (but for `ended_anyhow`)."""
        self.ended_anyhow: set[RunState] = set()
        """States whose ended runs were loaded, and are to be sorted before somebody counts on their order."""
        self.unclaimed: dict[RunID, set[RunID]] = {}
        """Children that were loaded before their parent."""
        self.tallies: dict[tuple[str, Scope], dict[RunState, int]] = {}
        self.waiting: dict[Channel, dict[RunID, set[str]]] = {}
        """The names of the open waits for a broadcast, by run."""

    def find(self, run_id: RunID | None) -> RunRow | None:
        """The run, if there is one and it is still kept."""
        return None if run_id is None else self.rows.get(run_id)

    def driven_by(self, row: Row) -> RunRow | None:
        """The run that a job drives, if it is a driver."""
        return self.find(row.run_id) if row.kind == "workflow" else None

    def to_state(self, run: RunRow, state: RunState, now: datetime) -> None:
        """Changes the state, its counts and its place among those that ended."""
        counts = self._counts(run)
        counts[run.state] -= 1
        counts[state] += 1
        if run.state in TERMINAL:
            self.ended[run.state].pop(run.id, None)
        if state in TERMINAL:
            self.ended[state][run.id] = run
        run.state = state
        run.updated_at = now

    def count(self, run: RunRow, by: int) -> None:
        """A run came (1) or went (-1)."""
        self._counts(run)[run.state] += by

    def sort_ended(self) -> None:
        """Brings ended runs that were loaded into the order of their ends."""
        for state in self.ended_anyhow:
            runs = sorted(self.ended[state].values(), key=lambda run: (run.finished_at is not None, run.finished_at))
            self.ended[state] = OrderedDict((run.id, run) for run in runs)
        self.ended_anyhow.clear()

    def open(self, run: RunRow, wait: Wait) -> None:
        """Registers the wait, in place of one of the same name."""
        self.close(run, wait.name)
        run.waits[wait.name] = wait
        for event in wait.events:
            self.waiting.setdefault((event, wait.key, run.scope), {}).setdefault(run.id, set()).add(wait.name)

    def close(self, run: RunRow, name: str) -> None:
        """Forgets the open wait of that name, if there is one."""
        wait = run.waits.pop(name, None)
        if wait is None:
            return
        for event in wait.events:
            channel = (event, wait.key, run.scope)
            by_run = self.waiting.get(channel, {})
            names = by_run.get(run.id, set())
            names.discard(name)
            if not names:
                by_run.pop(run.id, None)
            if not by_run:
                self.waiting.pop(channel, None)

    def close_all(self, run: RunRow) -> None:
        """Forgets every open wait of the run."""
        for name in list(run.waits):
            self.close(run, name)

    def _counts(self, run: RunRow) -> dict[RunState, int]:
        key = (run.name, run.scope)
        counts = self.tallies.get(key)
        if counts is None:
            counts = self.tallies[key] = dict.fromkeys(RunState, 0)
        return counts
