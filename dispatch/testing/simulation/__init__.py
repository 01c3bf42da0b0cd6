"""`simulate`: a workflow under crashes, lost and repeated messages, delays and reordering, seed by seed."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dispatch.errors import UsageError
from dispatch.registry import Registry, default_registry
from dispatch.testing.simulation.faults import Faults
from dispatch.testing.simulation.world import Outcome, Outside, Stuck, World
from dispatch.workflows.definition import BoundWorkflow, WorkflowDefinition

__all__ = ["Faults", "Outcome", "Simulation", "SimulationFailed", "simulate"]

_SHOWN = 25
"""Lines of a failing world's trace that are shown."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """What some worlds went through."""

    seeds: int
    faults: Faults
    """Of all worlds together."""
    digest: str
    """Of all that happened: the same for the same code and seeds."""


class SimulationFailed(AssertionError):
    """A world broke an invariant, or its run never ended.

    `seed` plays it again: `simulate(..., seeds=[seed])`.
    """

    def __init__(self, message: str, *, seed: int, trace: Iterable[str]) -> None:
        super().__init__(message)
        self.seed = seed
        self.trace = tuple(trace)


def simulate(
    workflow: WorkflowDefinition[..., Any] | BoundWorkflow[..., Any],
    *args: Any,
    seeds: int | Iterable[int] = 200,
    invariant: Callable[[Outcome], object] | None = None,
    always: Callable[[], object] | None = None,
    setup: Callable[[], object] | None = None,
    outside: Outside | None = None,
    registry: Registry | None = None,
    nodes: int = 3,
    **kwargs: Any,
) -> Simulation:
    """Plays a workflow again and again, each time in another world, and checks what must hold in all of them.

    A world has a store in memory, some workers, and a clock of its own that skips every wait. Its seed decides which
    workers crash, and at which await; which stand still for longer than their lease; which messages to the store are
    slow, lost, done although nobody hears of it, or done twice; and which of the tasks that are ready runs first. The
    same seed does the same again. Steps run in place, on the loop: give them fakes instead of networks and threads.

    Args:
        workflow: what to start, with `args` and `kwargs`.
        seeds: how many worlds (seeds 0, 1, 2 …), or which seeds.
        invariant: called with each Outcome; it raises, or answers False, when something is wrong.
        always: called after everything that happens in the store; it raises, or answers False, likewise.
        setup: called before each world; it empties what fakes have kept of the one before.
        outside: `async def` that plays the rest of the world, called with the run's handle: it publishes events,
            signals, sleeps (`asyncio.sleep`, on the world's clock), cancels.
        registry: what the workers know (default: the one that `@workflow` fills).
        nodes: how many workers.

    Raises:
        SimulationFailed: an invariant does not hold, or the run never ends; it tells the seed and how to replay it.
        InvalidArguments, UsageError.

    >>> simulate(checkout, order, setup=bank.clear, invariant=charged_once)  # doctest: +SKIP
    """
    call = workflow.call(*args, **kwargs)
    known = default_registry if registry is None else registry
    if known.workflows.get((call.definition.name, call.definition.version)) is not call.definition:
        raise UsageError(f"the registry does not know {call.definition.name}; pass the one that does: registry=...")
    if nodes < 1:
        raise UsageError(f"nodes={nodes}; at least one worker must do the work")
    faults, digest = Faults(), hashlib.sha256()
    number = 0

    def one(seed: int) -> Outcome:
        if setup is not None:
            setup()
        world = World(call, seed, registry=known, nodes=nodes, outside=outside, always=always)
        try:
            outcome = world.play()
            if invariant is not None and invariant(outcome) is False:
                raise AssertionError("`invariant` answered False")
        except UsageError:
            raise
        except Exception as error:
            raise _failed(call.definition.name, seed, world, error) from error
        return outcome

    for seed in range(seeds) if isinstance(seeds, int) else seeds:
        outcome = _off_loop(one, seed)
        number += 1
        faults += outcome.faults
        digest.update("\n".join([str(seed), *outcome.trace]).encode())
    return Simulation(number, faults, digest.hexdigest())


def _failed(name: str, seed: int, world: World, error: Exception) -> SimulationFailed:
    what = str(error) if isinstance(error, Stuck) else f"{type(error).__name__}: {error}"
    tail = world.trace[-_SHOWN:]
    lines = [
        f"{name} failed under seed {seed} ({world.fate.seen}): {what}",
        f"Replay it: simulate({name}, ..., seeds=[{seed}])",
        *([f"The last of {len(world.trace)} things that happened:", *tail] if tail else []),
    ]
    return SimulationFailed("\n".join(lines), seed=seed, trace=world.trace)


def _off_loop(play: Callable[[int], Outcome], seed: int) -> Outcome:
    """Plays in this thread, or in another one where this one's loop is running."""
    if not _on_a_loop():
        return play(seed)
    answer: list[Outcome] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            answer.append(play(seed))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="dispatch simulation")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return answer[0]


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
