"""Random workflow programs: made from a seed, foretold by a reference interpreter, and judged by what it foretold.

A program is a list of nodes, each a list: its verb, then what the verb takes. Names are unique in a program, children
included.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Program = list[list[Any]]


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
