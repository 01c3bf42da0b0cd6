"""Whether a worker makes progress, and whether it may be counted on: decided from its vital signs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_SLACK = 15.0
"""Seconds above the longest store call and pause that a round of claiming may take."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """A worker's signs at one moment; ages and limits in seconds."""

    loops: Mapping[str, bool]
    """Loop → whether it lives."""
    beating: bool
    """Whether the thread that renews leases lives."""
    claim_age: float
    """Since the claiming loop last came round."""
    beat_age: float
    """Since the last beat that the store answered."""
    call_timeout: float
    lease: float
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """What the signs mean."""

    live: bool
    """It makes progress, or would if the store answered: restarting the process would not help."""
    ready: bool
    """It takes jobs, and the store knows of it."""
    reasons: tuple[str, ...] = ()
    """Why it is not, in words."""


STARTING = Health(live=True, ready=False, reasons=("starting",))


def judge(vitals: Vitals) -> Health:
    """Live unless a loop has died or stands still; ready unless it is stopping or the store has not answered for long.

    A store that is down makes a worker unready, not dead: it goes on by itself when the store is back.
    """
    if vitals.stopping:
        return Health(live=True, ready=False, reasons=("stopping",))
    dead = [f"the loop {name} has ended" for name, lives in vitals.loops.items() if not lives]
    if not vitals.beating:
        dead.append("the heartbeat has ended")
    if vitals.claim_age > vitals.call_timeout + _SLACK:
        dead.append(f"the claiming loop stands still since {vitals.claim_age:.0f} s")
    away = [f"no beat for {vitals.beat_age:.0f} s: the store does not answer"] if vitals.beat_age > vitals.lease else []
    return Health(live=not dead, ready=not dead and not away, reasons=(*dead, *away))
