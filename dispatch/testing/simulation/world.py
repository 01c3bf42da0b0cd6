"""One seed, played: some nodes, one store, a clock that jumps, and the faults that the seed holds."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from dispatch.app import Dispatch
from dispatch.config import Config
from dispatch.current import using_app
from dispatch.engine.lifespans import Lifespans
from dispatch.engine.settings import Settings
from dispatch.errors import UsageError
from dispatch.jobs.model import CountOptions, JobKind, JobState
from dispatch.registry import Registry
from dispatch.store import Store
from dispatch.stores.memory import MemoryStore
from dispatch.testing.simulation.faults import Fate, Faults
from dispatch.testing.simulation.link import Link
from dispatch.testing.simulation.loop import VirtualLoop, owner_of
from dispatch.testing.simulation.node import Node
from dispatch.workflows.definition import WorkflowCall
from dispatch.workflows.model import TERMINAL, Checkpoint, ListOptions, Run, RunState

T = TypeVar("T")

START = datetime(2026, 1, 1, tzinfo=UTC)
_TURNS = 200_000
"""More than any world needs that gets anywhere."""
_HOUR = 3600.0
_LONGEST = timedelta(days=3650).total_seconds()
_silent = logging.getLogger("dispatch.simulation")
_silent.setLevel(logging.CRITICAL + 1)
_LIVE = (JobState.PENDING, JobState.RETRYING, JobState.RUNNING)
_KINDS: tuple[JobKind, ...] = ("job", "workflow")
Outside = Callable[..., Awaitable[object]]


class Stuck(Exception):
    """The world came to rest before its run had ended."""


@dataclass(slots=True)
class Outcome:
    """How a run came out under one seed: what an invariant looks at."""

    seed: int
    run: Run
    """The run as it ended."""
    result: Any
    """What it returned, typed; None unless it completed."""
    timeline: Sequence[Checkpoint]
    """What it recorded."""
    faults: Faults
    """What went wrong around it."""
    trace: Sequence[str] = field(default=(), repr=False)
    """What happened, a line each, with the virtual time; the same for the same seed."""

    @property
    def state(self) -> RunState:
        """How it ended: completed, failed or cancelled."""
        return self.run.state


class _LoopClock:
    """The store's clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.time())


class World:
    """Plays one call of a workflow under one seed."""

    def __init__(
        self,
        call: WorkflowCall[Any],
        seed: int,
        *,
        registry: Registry,
        nodes: int,
        outside: Outside | None,
        always: Callable[[], object] | None,
    ) -> None:
        self.fate = Fate(seed)
        self.trace: list[str] = []
        self._call = call
        self._seed = seed
        self._registry = registry
        self._number = nodes
        self._outside = outside
        self._always = always
        self._over = False
        self._stuck = False
        """Nothing is ready, and nothing ever will be."""
        self._turns = 0
        self._version = 0
        self._born = 0
        self._nodes: list[Node] = []
        self._loop = VirtualLoop(self._turn, self._idle)
        self._store = MemoryStore(clock=_LoopClock(self._loop))
        self._changed = asyncio.Event()
        self._broken: BaseException | None = None
        self._settings = Settings(
            queues=dict.fromkeys(["default", *registry.queues], 0),
            poll_interval=30.0,
            heartbeat_interval=3.0,
            lease=10.0,
            max_crashes=10,
        )
        self._logger = _silent

    def play(self) -> Outcome:
        """The run's end. Raises Stuck, and what `always` or the outside world raise."""
        kept = random.getstate()
        random.seed(self._seed)
        try:
            return self._loop.run_until_complete(self._play())
        finally:
            self._loop.bury()
            random.setstate(kept)
            self._loop.close()

    # -- the story -----------------------------------------------------------------------------------------------

    async def _play(self) -> Outcome:
        app = Dispatch(cast("Store", self._store), registry=self._registry, config=Config())
        lifespans = Lifespans()
        async with app:
            with using_app(app):
                await lifespans.enter(self._registry.lifespans.values())
                try:
                    return await self._story(app, lifespans.resources)
                finally:
                    self._over = True
                    for node in self._nodes:
                        node.dead = True
                    await lifespans.leave()

    async def _story(self, app: Dispatch, resources: Sequence[object]) -> Outcome:
        for _ in range(self._number):
            self._bear(app, resources)
        (handle,) = await app.start_runs([self._call])
        others = [asyncio.ensure_future(self._outside(handle))] if self._outside is not None else []
        try:
            await self._until_over(others)
        finally:
            for other in others:
                other.cancel()
        run = await app.workflows.get(handle.id)
        if run.state not in TERMINAL:
            raise Stuck(await self._why(app, run))
        result = self._call.definition.signature.load_result(run.result) if run.result is not None else None
        timeline = await app.workflows.timeline(run.id)
        return Outcome(self._seed, run, result, timeline, self.fate.seen, self.trace)

    async def _until_over(self, others: Sequence[asyncio.Future[object]]) -> None:
        """Until nothing is left to do: by anybody's doing, or because nothing will ever happen."""
        while self._broken is None:
            self._changed.clear()
            for other in others:
                if other.done():
                    other.result()
            if not await self._unfinished() and all(other.done() for other in others):
                return
            if self._stuck:
                return
            await self._changed.wait()
        raise self._broken

    async def _unfinished(self) -> bool:
        runs = await self._store.workflows.count()
        jobs = await self._store.jobs.count(CountOptions())
        live = [state for state in RunState if state not in TERMINAL and state is not RunState.BLOCKED]
        return any(runs[state] for state in live) or any(jobs[state] for state in _LIVE)

    async def _why(self, app: Dispatch, run: Run) -> str:
        waits = [name for wait in await app.workflows.waits(run.id) for name in wait.events]
        if run.state is RunState.BLOCKED:
            return f"the run is blocked: {run.reason}"
        for_what = f"for {', '.join(waits)}, which never came; publish it in `outside`" if waits else "for ever"
        others = await app.workflows.list(ListOptions(parent=run.id))
        children = [f"{child.name} ({child.state})" for child in others.items if child.state not in TERMINAL]
        return f"the run is {run.state} {for_what}{f'; its children: {children}' if children else ''}"

    # -- nodes ---------------------------------------------------------------------------------------------------

    def _bear(self, app: Dispatch, resources: Sequence[object]) -> None:
        self._born += 1
        name = f"node-{self._born}"

        def told(what: str, how: str) -> None:
            self._note(f"{name}: {what}: {how}")
            if how.startswith("done"):
                self._spread()

        node = Node(
            name,
            cast("Store", Link(cast("Store", self._store), fate=self.fate, told=told)),
            registry=self._registry,
            resources=resources,
            settings=self._settings,
            prepare=app.jobs.prepared,
            logger=self._logger,
        )
        self._again = lambda: self._bear(app, resources)
        self._nodes.append(node)
        node.start()

    def _kill(self, node: Node) -> None:
        node.dead = True
        self._nodes.remove(node)
        self._note(f"{node.name}: crashes")
        self._loop.call_later(self.fate.absence(), self._again)

    def _halt(self, node: Node, seconds: float) -> None:
        node.held_back = []
        self._note(f"{node.name}: stands still for {seconds:.1f} s")
        self._loop.call_later(seconds, self._go_on, node)

    def _go_on(self, node: Node) -> None:
        held, node.held_back = node.held_back or [], None
        self._note(f"{node.name}: goes on")
        ready: Any = self._loop._ready  # type: ignore[attr-defined]
        ready.extend(held)

    def _spread(self) -> None:
        """Something was done in the store: where that changed something, everybody hears of it, nodes after a while."""
        version = self._store.wakeups.version
        if version == self._version:
            return
        self._version = version
        self._changed.set()
        for node in self._nodes:
            self._loop.call_later(self.fate.delay(), node.nudge)
        if self._always is not None and self._broken is None:
            try:
                if self._always() is False:
                    raise AssertionError("`always` answered False")
            except Exception as error:
                self._broken = error

    # -- the loop ------------------------------------------------------------------------------------------------

    def _turn(self, ready: list[asyncio.Handle]) -> list[asyncio.Handle]:
        self._count()
        at_work = [node for node in self._nodes if node.at_work and node.held_back is None]
        if at_work:
            if self.fate.crash():
                self._kill(at_work[self.fate.which(len(at_work))])
            elif (seconds := self.fate.stall(self._settings.lease)) is not None:
                self._halt(at_work[self.fate.which(len(at_work))], seconds)
        chosen: list[Any] = []
        for handle in ready:
            node = owner_of(handle)
            if not isinstance(node, Node):
                chosen.append(handle)
            elif node.held_back is not None:
                node.held_back.append(handle)
            elif not node.dead:
                chosen.append(handle)
        self.fate.order(chosen)
        return chosen

    def _idle(self, seconds: float) -> float:
        """How long the pause is: where all nodes have nothing to do, up to when there is something."""
        self._count()
        if self._over or seconds < 1.0 or not self._all_idle():
            return min(seconds, _HOUR)
        now = self._loop.time()
        due = [when for when, whose in self._loop.timers() if whose is None]
        due += [node.worker.next_due for node in self._nodes if node.worker.next_due is not None]
        self._stuck = not due
        self._changed.set()
        left = min(due, default=now) - now
        return min(left, _LONGEST) if left > 0 else min(seconds, _HOUR)

    def _count(self) -> None:
        self._turns += 1
        if self._turns > _TURNS:
            raise UsageError(f"the world of seed {self._seed} did not end within {_TURNS:,} turns")

    def _all_idle(self) -> bool:
        """Whether every node is there and has nothing to do, and the store counts nothing as theirs."""
        if len(self._nodes) < self._number or not all(node.idle for node in self._nodes):
            return False
        return not at_once(self._store.jobs.count(CountOptions(kinds=_KINDS)))[JobState.RUNNING]

    def _note(self, what: str) -> None:
        self.trace.append(f"{self._loop.time():12.3f}  {what}")


def at_once(call: Coroutine[Any, Any, T]) -> T:
    """The answer of a store in memory, whose verbs never wait."""
    try:
        call.send(None)
    except StopIteration as done:
        answer: T = done.value
        return answer
    call.close()
    raise AssertionError("a verb of the memory store waits")
