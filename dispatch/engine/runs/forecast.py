"""What would become of a run under other code: its journal replayed against it, in memory, without an effect."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NoReturn

from dispatch.engine.execution import Execution
from dispatch.engine.outcome import Policy
from dispatch.engine.report import Report
from dispatch.engine.runs.ledger import Means
from dispatch.engine.runs.patience import Patience
from dispatch.engine.runs.performance import Performance
from dispatch.engine.runs.playing import error_of, let_go, play
from dispatch.engine.runs.report import RunReport
from dispatch.engine.runs.runner import unprepared
from dispatch.engine.runs.step_runner import StepRunner
from dispatch.engine.runs.writer import RunWriter
from dispatch.errors import ChildFailed, EventTimeout, HandlerSignal, InvalidArguments, StepFailed
from dispatch.ids import CheckpointID, WorkerID
from dispatch.jobs.model import Job
from dispatch.plugins import PluginManager
from dispatch.services.deploy import Problem
from dispatch.stores.memory import MemoryStore
from dispatch.workflows import documents
from dispatch.workflows.definition import WorkflowDefinition
from dispatch.workflows.model import Activation, Checkpoint, CheckpointKind, Run, RunState, Wait
from dispatch.workflows.names import MARK

_PATIENCE = 1.0
"""Seconds that a body's raw awaits get."""
_LIMIT = 10.0
"""Seconds that one replay may take."""
_LOOKS = 20
"""How many new steps are passed to see what the body meets after them."""
_silent = logging.getLogger("dispatch.forecast")
_silent.setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that the new code would do to a run."""

    problem: Problem
    step: str
    """The name that it is about; "" when it is about the whole run."""
    text: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would become of one run."""

    troubles: Sequence[Trouble]
    next: Sequence[str] = ()
    """The names of the verbs that would act next."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What one replay has shown."""

    mismatch: str | None
    error: BaseException | None
    new: Sequence[str]
    """The verbs at which it stopped, as nothing is recorded for them."""
    met: Mapping[str, _Visit]


@dataclass(frozen=True, slots=True)
class _Visit:
    """How the body met a name."""

    kinds: tuple[CheckpointKind, ...]
    before: frozenset[str]
    """What the same branch had met by then."""


class Rehearsal(Performance):
    """A replay that keeps how each name was met."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.visits: dict[str, _Visit] = {}
        self._branches: dict[asyncio.Task[Any] | None, list[str]] = {}

    def find(self, name: str, verb: str, *kinds: CheckpointKind) -> Checkpoint | None:
        branch = self._branches.setdefault(self.stage.branch, [])
        self.visits.setdefault(name, _Visit(kinds, frozenset(branch)))
        branch.append(name)
        return super().find(name, verb, *kinds)


async def forecast(
    job: Job, loaded: Activation, waits: Sequence[Wait], definition: WorkflowDefinition[..., Any]
) -> Forecast:
    """Replays what the run has recorded against the definition, as far as its first verb that is not recorded.

    Sleeps are taken to be over; no step, undo or child runs. A handle that the body gets is of the app of this context.

    Args:
        job: the run's driver.
        loaded: what a worker would load.
        waits: the run's open waits for events.
        definition: the code of its version.
    """
    try:
        arguments = definition.signature.load(job.payload)
    except InvalidArguments as error:
        kind, fate = (
            (Problem.BLOCKED, "its input does not fit any more") if loaded.checkpoints else (Problem.INVALID, "")
        )
        return Forecast([Trouble(kind, "", f"{fate}: {error}" if fate else str(error))])
    loaded = replace(loaded, now=_after_its_sleeps(loaded))
    first = look = await _look(job, loaded, definition, arguments)
    if first.mismatch is not None:
        return Forecast([Trouble(Problem.BLOCKED, _named_in(first.mismatch, loaded), first.mismatch)])
    reached: dict[str, CheckpointKind] = {c.name: c.kind for c in loaded.checkpoints if MARK not in c.name}
    reached.update({wait.name: "wait" for wait in waits})
    late: set[str] = set()
    while (unmet := _unmet(reached, look)) and len(loaded.checkpoints) < len(reached) + _LOOKS:
        steps = [name for name in look.new if "step" in look.met[name].kinds]
        if not steps:
            break
        stand_in = next((c for c in loaded.checkpoints if c.name in unmet and c.kind == "step"), None)
        data = b"null" if stand_in is None else stand_in.data
        loaded = replace(loaded, checkpoints=[*loaded.checkpoints, *(_planted(loaded, name, data) for name in steps)])
        further = await _look(job, loaded, definition, arguments)
        if further.mismatch is not None or further.error is not None:
            break  # what stands in for the new step's result has misled the body
        if _unmet(reached, further) != unmet:
            late.update(steps)
        look = further
    troubles = _changes(reached, look, late) if _unmet(reached, first) and first.error is None else []
    return Forecast([*troubles, *_broken(first, loaded.run)], first.new)


async def _look(job: Job, loaded: Activation, definition: WorkflowDefinition[..., Any], arguments: Any) -> _Look:
    """One replay."""
    execution = Execution(middleware=[], processes=_no_processes)
    performance = Rehearsal(loaded, job, _means(execution), acts=False)
    patience = Patience(_PATIENCE)
    new: list[str] = []

    async def rest() -> None:
        if await patience.hold(performance.stage, None) is None:
            new.extend(waiting.name for waiting in performance.stage.waits if waiting.kind == "never")
            performance.stage.unwind("is being looked at")

    try:
        async with asyncio.timeout(_LIMIT):
            main = await play(performance, definition, *arguments, rest=rest)
        error = None if let_go(main) else error_of(main) or performance.never_awaited()
    except TimeoutError:
        error = TimeoutError(f"its body got nowhere within {_LIMIT:g} s")
        if performance.stage.main is not None:
            performance.stage.main.cancel()
    finally:
        execution.close()
    stopped = [name for name in new if name in performance.visits and name not in performance.journal.recorded]
    return _Look(performance.mismatch, error, stopped, performance.visits)


def _after_its_sleeps(loaded: Activation) -> datetime:
    """A time at which all sleeps that the run has begun are over."""
    ends = [documents.read_time(c, "until") for c in loaded.checkpoints if c.kind == "sleep"]
    return max([loaded.now, *ends])


def _unmet(reached: Mapping[str, CheckpointKind], look: _Look) -> list[str]:
    return [name for name in reached if name not in look.met]


def _changes(reached: Mapping[str, CheckpointKind], look: _Look, late: Collection[str]) -> list[Trouble]:
    """Steps that were renamed, inserted or taken out in the part of the body which the run has behind it.

    `late` are those behind which the body came to more of what is recorded. A sleep, wait or child at which it stops
    with all of that behind it is just what comes next.
    """
    unmet = _unmet(reached, look)
    stopped = frozenset(look.new if unmet else ())
    order = {name: place for place, name in enumerate(reached)}
    troubles = []
    open_end = False
    for name, visit in look.met.items():
        if name in reached:
            continue
        since = max((order[n] for n in visit.before if n in order), default=-1)
        old = next((n for n in unmet if reached[n] in visit.kinds and order[n] > since), None)
        if old is not None:
            unmet.remove(old)
            text = f"{old!r} is recorded, the code has {name!r} in its place, which would act as if nothing were done"
            troubles.append(Trouble(Problem.RENAMED, name, text))
        elif name in late or (name in stopped and "step" not in visit.kinds):
            open_end = open_end or name in stopped
            text = f"{name!r} comes before what the run has recorded; it would act now, after it"
            troubles.append(Trouble(Problem.INSERTED, name, text))
    text = "{!r} is recorded, the code does not come to it; an undo of it would not run"
    return troubles + [Trouble(Problem.DROPPED, name, text.format(name)) for name in unmet if not open_end]


def _broken(look: _Look, run: Run) -> list[Trouble]:
    """Whether the body raises on the way what it did not raise under the old code, as far as the run can tell."""
    error = look.error
    if error is None or run.state is RunState.COMPENSATING:
        return []
    if isinstance(error, ChildFailed | EventTimeout | HandlerSignal):
        return []
    if run.error is not None and run.error.type == type(error).__name__:
        return []
    if isinstance(error, StepFailed) and error.__cause__ is None and error.type != "StepMisused":
        return []
    return [Trouble(Problem.FAILS, "", f"the body raises {type(error).__name__}: {error}")]


def _named_in(mismatch: str, loaded: Activation) -> str:
    """The checkpoint that a mismatch is about."""
    return next((c.name for c in loaded.checkpoints if mismatch.startswith(repr(c.name))), "")


def _planted(loaded: Activation, name: str, data: bytes) -> Checkpoint:
    """What stands in for the record of a new step."""
    return Checkpoint(CheckpointID.new(), loaded.now, loaded.now, loaded.run.id, name, "step", data)


def _means(execution: Execution) -> Means:
    """Means of a replay: nothing that acts is ever asked for."""
    plugins = PluginManager()
    writer = RunWriter(
        MemoryStore().workflows, WorkerID.new(), give_up=lambda: True, call_timeout=_LIMIT, logger=_silent
    )
    steps = StepRunner(
        execution=execution,
        resources=(),
        policy=Policy(),
        result_limit=0,
        progress=lambda job, share, note: None,
        pause=asyncio.sleep,
    )
    return Means(
        writer=writer,
        steps=steps,
        report=RunReport(Report(plugins, logger=_silent), plugins, logger=_silent),
        prepare=unprepared,
        idempotency_ttl=0.0,
        elapsed=lambda: 0.0,
    )


def _no_processes() -> NoReturn:
    raise AssertionError("a replay runs no step")
