"""The names under which a run's visits are recorded: which are allowed, and what to do about a repeat."""

from __future__ import annotations

import re

from dispatch.errors import DuplicateStep, StepMisused

MARK = "~"
"""Stands in names that Dispatch makes from a user's name, and in no other."""
LONGEST = 128
_NUMBER = re.compile(r"[^A-Za-z0-9]+\d+$")


def check_name(name: object, verb: str) -> str:
    """The name; StepMisused when it cannot be one."""
    if not isinstance(name, str):
        raise StepMisused(f"{verb}: a name comes first, as text; {name!r} is none")
    if not name or len(name) > LONGEST or MARK in name or not name.isprintable():
        raise StepMisused(f"{verb}: {name!r} is no name: 1 to {LONGEST} printable characters without {MARK!r}")
    return name


def repeated(name: str, verb: str, *, default: bool) -> DuplicateStep:
    """What refuses a name that this run has used before, and suggests another."""
    stem = _NUMBER.sub("", name)
    advice = f'name=f"{stem}-{{i}}"' if default else f'f"{stem}-{{i}}"'
    why = "which is the name it gets by default" if default else "and checkpoints are found by their names"
    return DuplicateStep(
        f"{verb}: the name {name!r} is used twice in this run, {why}. Give each its own, such as {advice} in a loop"
    )


def undo_of(name: str) -> str:
    """The name under which the undo of a step is recorded."""
    return f"{name}{MARK}undo"


def skipped_of(name: str, number: int) -> str:
    """The name under which a wait records the n-th event that it had to skip."""
    return f"{name}{MARK}skipped-{number}"


def failed_of(name: str, number: int) -> str:
    """The name under which the n-th failure of a step is recorded that the body did not survive."""
    return f"{name}{MARK}failed-{number}"


def step_of_failure(name: str) -> str | None:
    """The step whose failure was recorded under that name because the body did not survive it, or None."""
    stem, mark, word = name.rpartition(MARK)
    return stem if mark and word.startswith("failed-") else None


def step_of_undo(name: str) -> str | None:
    """The step that this is the undo of, or None."""
    stem, mark, word = name.rpartition(MARK)
    return stem if mark and word == "undo" else None
