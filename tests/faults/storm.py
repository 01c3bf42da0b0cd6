"""Kills and stops workers again and again while they work, and brings them back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from .controller import Controller, Process

_LOOK = 0.01
_ZOMBIE_WRITES_WITHIN = 5.0


@dataclass(frozen=True, slots=True)
class Storm:
    """How hard it blows."""

    kills: int
    stops: int
    workers: int = 2
    every: float = 1.0
    """Seconds between two kills."""
    stopped_for: float = 3.0
    """Seconds that a stop lasts at least; it also lasts until somebody has stolen a job from the stopped worker."""
    most_stops: int = 5
    """How often a stop is tried that must end in a refused outcome, per planned stop."""
    feed: Callable[[], None] = lambda: None
    """Called before each fault, so that there is work for it to hit."""
    timeout: float = 120.0


@dataclass(slots=True)
class Stopped:
    process: Process
    since: float
    gate: bool
    """Whether it stands in the gate, so that nobody can write."""
    stale_before: int


class Weather:
    """Runs a storm; `gates` counts stops that hit a process inside the gate, `zombies` those that wrote too late."""

    def __init__(self, run: Controller, storm: Storm) -> None:
        self.run = run
        self.storm = storm
        self.gates = 0
        self.zombies = 0
        self._kills = 0
        self._stops = 0
        self._stopped: Stopped | None = None
        self._workers = [run.worker() for _ in range(storm.workers)]
        self._turn = 0

    def blow(self) -> None:
        """Does all that is planned."""
        storm, started = self.storm, time.monotonic()
        self.run.until(lambda: all(worker.worker for worker in self._workers), "all workers are ready")
        next_kill = time.monotonic()
        while self._kills < storm.kills or self._stop_is_due() or self._stopped is not None:
            if time.monotonic() - started > storm.timeout:
                raise AssertionError(f"the storm is not over: {self._kills} kills, {self._stops} stops, {self.gates=}")
            self.run.look()
            self._tend_the_stopped()
            if time.monotonic() >= next_kill and self._kills < storm.kills and self._kill_one():
                next_kill = max(next_kill + storm.every, time.monotonic() + storm.every / 2)
            if self._stopped is None and self._stop_is_due() and self._kills >= self._kills_before_stop():
                self._stop_one()
            time.sleep(_LOOK)

    def _stop_is_due(self) -> bool:
        return self.zombies < self.storm.stops and self._stops < self.storm.stops * self.storm.most_stops

    def _kills_before_stop(self) -> float:
        return self.storm.kills * (self.zombies + 1) / (self.storm.stops + 1)

    def _kill_one(self) -> bool:
        """Kills the next worker in turn that runs something."""
        if not (self._stopped and self._stopped.gate):
            self.storm.feed()
        for step in range(len(self._workers)):
            place = (self._turn + step) % len(self._workers)
            victim = self._workers[place]
            if not victim.open or (self._stopped and victim is self._stopped.process):
                continue
            self.run.kill(victim)
            self._workers[place] = self.run.worker()
            self._turn = place + 1
            self._kills += 1
            return True
        return False

    def _stop_one(self) -> None:
        """Stops a worker that runs handlers in threads: those cannot be cancelled, so it will write too late."""
        self.storm.feed()
        for worker in self._workers:
            if worker.worker is None or not _threads(worker):
                continue
            self.run.stop(worker)
            self.run.look()
            if not _threads(worker):
                self.run.resume(worker)
                continue
            self._stops += 1
            gate = self.run.ledger.held_up()
            if gate:
                self.gates += 1
                self.run.log.add("outage")
            self._stopped = Stopped(worker, time.monotonic(), gate, worker.stale)
            return

    def _tend_the_stopped(self) -> None:
        held = self._stopped
        if held is None:
            return
        lasted = time.monotonic() - held.since
        if held.process.stopped:
            enough = lasted > self.storm.stopped_for and (held.gate or self._was_robbed(held.process))
            if enough or lasted > 4 * self.storm.stopped_for:
                self.run.resume(held.process)
                if held.gate:
                    self.run.log.add("outage_over")
                held.since = time.monotonic()
            return
        if held.process.stale > held.stale_before:
            self.zombies += 1
            self._stopped = None
        elif lasted > _ZOMBIE_WRITES_WITHIN:
            self._stopped = None

    def _was_robbed(self, process: Process) -> bool:
        threads = {str(start["job"]) for start in _threads(process)}
        return not threads.isdisjoint(self.run.ledger.robbed(str(process.worker)))


def _threads(process: Process) -> list[dict[str, object]]:
    return [start for start in process.open.values() if start["name"] == "thread_nap"]
