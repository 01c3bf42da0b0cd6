"""Random workflow programs: made from a seed, played by a workflow, and foretold by a reference interpreter.

A program is a list of nodes, each a list: its verb, then what the verb takes. Names are unique in a program, children
included. `python -m workflows.programs URL NAMESPACE FOLDER` is a worker that plays them and notes effects in a file.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dispatch import Config, Dispatch, Fail, Limit, Registry, WorkflowContext, event
from dispatch.engine.run import RunOptions, run_worker
from dispatch.errors import EventTimeout, StepFailed
from dispatch.jobs.context import current_job

registry = Registry()
told = event("told", str)
CHILDREN = 2
"""How many children of a height, of one run and those that it started, may be open at once."""
EVER = datetime(2020, 1, 1, tzinfo=UTC)
"""Children begin after what they wait for may have been published."""
Program = list[list[Any]]
note: Callable[[str], object] = print
"""Where effects are noted: the test, or a worker's main, says."""
failed_before: Counter[str] = Counter()
"""How often a flaky step has failed in this process."""


# -- making ------------------------------------------------------------------------------------------------------------


class Maker:
    """Makes one program."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._names = 0

    def program(self) -> Program:
        """The whole of it: it may end by failing."""
        nodes = self._nodes(depth=2, length=self._rng.randint(2, 5))
        if self._rng.random() < 0.3:
            nodes.append(["fail"])
        return nodes

    def _nodes(self, *, depth: int, length: int) -> Program:
        return [self._node(depth) for _ in range(length)]

    def _node(self, depth: int) -> list[Any]:
        rng = self._rng
        verbs = {"step": 8, "flaky": 2, "bad": 0.5, "sleep": 1, "wait": 1.5, "never": 0.5, "random": 1, "enqueue": 0.7}
        verbs |= {"intent": 1, "fan": 1, "remote": 0.7}
        if depth:
            verbs |= {"parallel": 2, "catch": 3, "child": 1.5, "kids": 2}
        verb = rng.choices(list(verbs), list(verbs.values()))[0]
        match verb:
            case "step":
                return [verb, self._name(), rng.random() < 0.5]
            case "flaky":
                return [verb, self._name(), rng.randint(1, 2)]
            case "sleep":
                return [verb, self._name(), rng.choice([0.0, 0.01, 0.1])]
            case "fan":
                return [verb, self._name(), rng.randint(0, 4), rng.random() < 0.3, rng.random() < 0.5]
            case "child":
                return [verb, self._name(), self._nodes(depth=depth - 1, length=rng.randint(1, 3))]
            case "kids":
                parts = [self._nodes(depth=0, length=1) for _ in range(rng.randint(1, 4))]
                return [verb, self._name(), parts, rng.random() < 0.5]
            case "parallel":
                return [
                    verb,
                    [self._nodes(depth=depth - 1, length=rng.randint(1, 2)) for _ in range(rng.randint(2, 3))],
                ]
            case "catch":
                return [verb, [*self._nodes(depth=depth - 1, length=rng.randint(1, 2)), ["bad", self._name()]]]
            case _:
                return [verb, self._name()]

    def _name(self) -> str:
        self._names += 1
        return f"n{self._names}"


def events(nodes: Program) -> list[str]:
    """The names of all events that a program waits for and gets."""
    found = []
    for node in nodes:
        match node:
            case ["wait", name]:
                found.append(name)
            case ["child", _, inner] | ["catch", inner]:
                found += events(inner)
            case ["kids", _, parts, _] | ["parallel", parts]:
                found += [name for part in parts for name in events(part)]
    return found


def height(nodes: Program) -> int:
    """How many generations of children a program has. A child's is less than its parent's, so the key of one height is
    never waited for by who holds it."""
    most = 0
    for node in nodes:
        match node:
            case ["child", _, inner]:
                most = max(most, 1 + height(inner))
            case ["kids", _, parts, _]:
                most = max(most, *(1 + height(part) for part in parts))
            case ["catch", inner]:
                most = max(most, height(inner))
            case ["parallel", parts]:
                most = max(most, *(height(part) for part in parts))
    return most


# -- foretelling -------------------------------------------------------------------------------------------------------


class Ended(Exception):
    """The model's run, or a part of it, fails; `caught` when a `catch` would catch it."""

    def __init__(self, caught: bool = True) -> None:
        super().__init__()
        self.caught = caught


@dataclass
class Foretold:
    """What the model says of a program."""

    result: list[Any] | None = None
    """None: the run fails."""
    effects: set[str] = field(default_factory=set)
    undos: set[str] = field(default_factory=set)
    """Of the run and of its children that fail."""
    jobs: set[str] = field(default_factory=set)


def foretell(nodes: Program) -> Foretold:
    """Interprets the program."""
    told = Foretold()
    try:
        told.result = _run(nodes, told)
    except Ended:
        told.result = None
    return told


def _run(nodes: Program, told: Foretold) -> list[Any]:
    """One run: when it fails, what it has done is taken back."""
    undos: set[str] = set()
    try:
        return _part(nodes, told, undos)
    except Ended:
        told.undos |= undos
        raise


def _part(nodes: Program, told: Foretold, undos: set[str]) -> list[Any]:
    return [_one(node, told, undos) for node in nodes]


def _one(node: list[Any], told: Foretold, undos: set[str]) -> Any:
    match node:
        case ["step", name, undone]:
            told.effects.add(name)
            undos |= {name} if undone else set()
            return name
        case ["flaky", name, _] | ["remote", name]:
            told.effects.add(name)
            return name
        case ["bad", _] | ["never", _]:
            raise Ended
        case ["fail"]:
            raise Ended(caught=False)
        case ["sleep", *_] | ["random", _]:
            return None
        case ["wait", name]:
            return f"event {name}"
        case ["enqueue", name]:
            told.jobs.add(name)
            return None
        case ["intent", name]:
            undos.add(name)
            return None
        case ["fan", name, number, broken, collect]:
            told.effects |= {f"{name}[{n}]" for n in range(number) if not (broken and n == 0)}
            if broken and number and not collect:
                raise Ended
            return ["failed" if broken and n == 0 else f"{name}[{n}]" for n in range(number)]
        case ["child", _, inner]:
            return _child(inner, told)
        case ["kids", _, parts, collect]:
            return _kids(parts, told, collect=collect)
        case ["parallel", parts]:
            return _all([lambda part=part: _part(part, told, undos) for part in parts])
        case ["catch", inner]:
            try:
                return _part(inner, told, undos)
            except Ended as error:
                if not error.caught:
                    raise
                return "caught"
    raise AssertionError(f"the model does not know {node}")


def _child(inner: Program, told: Foretold) -> list[Any]:
    try:
        return _run(inner, told)
    except Ended:
        raise Ended from None  # whatever it failed of, the parent meets a ChildFailed


def _kids(parts: list[Program], told: Foretold, *, collect: bool) -> list[Any]:
    results: list[Any] = []
    for part in parts:
        try:
            results.append(_child(part, told))
        except Ended:
            results.append("failed")
    if "failed" in results and not collect:
        raise Ended
    return results


def _all(parts: list[Callable[[], Any]]) -> list[Any]:
    """Every branch to its end, then the first error in order."""
    results, errors = [], []
    for part in parts:
        try:
            results.append(part())
        except Ended as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return results


# -- playing -----------------------------------------------------------------------------------------------------------


async def effect(run: str, name: str) -> str:
    """What a step does."""
    note(f"{run} did {name}")
    return name


async def take_back(result: str, run: str) -> None:
    """Its undo; and an intent's."""
    note(f"{run} undid {result}")


async def intend(name: str, run: str) -> None:
    """What an intent does."""
    note(f"{run} undid {name}")


async def flaky(run: str, name: str, times: int) -> str:
    """Fails so often, in each process."""
    if failed_before[f"{run} {name}"] < times:
        failed_before[f"{run} {name}"] += 1
        raise ConnectionError(name)
    return await effect(run, name)


async def break_down(name: str) -> str:
    """Fails always."""
    raise ValueError(name)


async def seen(run: str, name: str, value: float) -> None:
    """Notes a value that must come out the same each time."""
    note(f"{run} saw {name} {value!r}")


async def item(number: int, run: str, name: str, broken: bool) -> str:
    """One item of a fan_out."""
    if broken and number == 0:
        raise ValueError(name)
    return await effect(run, f"{name}[{number}]")


@registry.job(max_retries=0)
async def remote(run: str, name: str) -> str:
    """A step on the workers."""
    return await effect(run, name)


@registry.job(max_retries=0)
async def queued(run: str, what: str) -> None:
    """A job that a run has queued."""
    note(f"{run} job {what} {current_job().job.id}")


@registry.workflow(max_retries=0)
async def play(ctx: WorkflowContext, run: str, nodes: Program) -> list[Any]:
    """Plays a program."""
    return await _play(ctx, run, nodes)


@registry.workflow(max_retries=0, concurrency=Limit(key=lambda nodes, run: f"{run} {height(nodes)}", max=CHILDREN))
async def part(ctx: WorkflowContext, nodes: Program, run: str) -> list[Any]:
    """A child: plays a part of one."""
    return await _play(ctx, run, nodes)


async def _play(ctx: WorkflowContext, run: str, nodes: Program) -> list[Any]:
    return [await _verb(ctx, run, node) for node in nodes]


async def _verb(ctx: WorkflowContext, run: str, node: list[Any]) -> Any:
    match node:
        case ["step", name, undone]:
            step = ctx.step(name, effect, run, name)
            return await (step.compensate(take_back, run) if undone else step)
        case ["flaky", name, times]:
            return await ctx.step(name, flaky, run, name, times).retry(times)
        case ["bad", name]:
            return await ctx.step(name, break_down, name)
        case ["fail"]:
            raise Fail("as it should", dead_letter=False)
        case ["sleep", name, length]:
            return await ctx.sleep(length, name=name)
        case ["random", name]:
            return await ctx.step(f"{name} seen", seen, run, name, ctx.random(name=name))
        case ["wait", name]:
            return await ctx.wait_for_event(told, key=f"{run}/{name}", since=EVER, name=name)
        case ["never", name]:
            return await ctx.wait_for_event("never", key=f"{run}/{name}", timeout=0.02, name=name)
        case ["enqueue", name]:
            await ctx.enqueue(queued, run, name, name=name)
            return None
        case ["intent", name]:
            return await ctx.on_failure(name, intend, name, run)
        case ["fan", name, number, broken, collect]:
            fan = ctx.fan_out(name, item, range(number), run, name, broken).limit(2)
            return _told(await (fan.on_error("collect") if collect else fan))
        case ["remote", name]:
            return await ctx.step(name, remote, run, name).on_workers()
        case ["child", name, inner]:
            return await ctx.run_child(part, inner, run, name=name)
        case ["kids", name, parts, collect]:
            kids = ctx.fan_out(name, part, parts, run)
            return _told(await (kids.on_error("collect") if collect else kids))
        case ["parallel", parts]:
            return list(await ctx.parallel(*(_play(ctx, run, inner) for inner in parts)))
        case ["catch", inner]:
            try:
                return await _play(ctx, run, inner)
            except (StepFailed, EventTimeout):
                return "caught"
    raise AssertionError(f"nobody plays {node}")


def _told(results: list[Any]) -> list[Any]:
    return ["failed" if isinstance(result, StepFailed) else result for result in results]


# -- judging -----------------------------------------------------------------------------------------------------------


def judge(
    run: str, nodes: Program, lines: list[str], *, result: list[Any] | None, order: list[str], faults: int
) -> None:
    """Compares what happened with what was foretold.

    Args:
        run: how the run is called in the notes.
        lines: the notes.
        result: what it returned; None: it failed.
        order: the names that it recorded, newest first.
        faults: how often a worker may have been lost during one visit.
    """
    told = foretell(nodes)
    assert result == told.result, f"{run}: {nodes}"
    mine = [line.split() for line in lines if line.startswith(f"{run} ")]
    did = Counter(words[2] for words in mine if words[1] == "did")
    undid = Counter(words[2] for words in mine if words[1] == "undid")
    assert set(did) == told.effects, f"{run}: {nodes}"
    assert set(undid) == told.undos, f"{run}: {nodes}"
    assert max([*did.values(), *undid.values()], default=1) <= 1 + faults, f"{run}: {nodes}"
    jobs = {name: {words[3] for words in mine if words[1] == "job" and words[2] == name} for name in told.jobs}
    assert all(len(ids) == 1 for ids in jobs.values()), f"{run}: {nodes}: {jobs}"
    values: dict[str, set[str]] = {}
    for words in mine:
        if words[1] == "saw":
            values.setdefault(words[2], set()).add(words[3])
    assert all(len(same) == 1 for same in values.values()), f"{run}: {nodes}: {values}"
    own = list(dict.fromkeys(words[2] for words in mine if words[1] == "undid" and words[2] in order))
    assert own == [name for name in order if name in undid], f"{run}: {nodes}"


# -- a worker ----------------------------------------------------------------------------------------------------------


async def main(url: str, namespace: str, folder: Path) -> None:
    """Works until a signal ends it."""
    global note
    log = (folder / "log").open("ab", buffering=0)
    note = lambda line: log.write(f"{line}\n".encode())  # noqa: E731
    times = {
        "heartbeat_interval": "0.3s",
        "lease": "2.5s",
        "poll_interval": "0.1s",
        "grace": "0s",
        "park_after": "0.05s",
        "max_crashes": 30,  # more than anybody is killed
    }
    config = Config.model_validate({**times, "namespace": namespace})
    async with Dispatch(url, config=config, registry=registry) as app:
        await run_worker(app, RunOptions(queues={"default": 0}, concurrency=50))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
