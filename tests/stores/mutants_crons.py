"""Faults of cron entries and ticks: over any store, in the rules that all share, and in the SQL."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mutants import Fault, Verb
from mutants_memory import _around, _constant
from mutants_more import _also, _nothing
from mutants_sqlite import _sql

from dispatch.crons.model import Due
from dispatch.entity import Reply
from dispatch.stores.memory import crons as memory_crons

_HERE = ("crons", "crons_code")


def _anywhere(name: str, invariant: str, verb: str, instead: Verb) -> Fault:
    return Fault(name, invariant, _HERE, {f"crons.{verb}": instead})


async def _fire_the_present(crons: Any, fires: Any) -> Any:
    """Fires whatever the entry is by now."""
    present = {entry.id: entry for entry in (await crons.due(limit=500)).entries}
    return await crons.fire(
        [
            replace(fire, revision=present[fire.entry_id].revision, expected=present[fire.entry_id].next_fire_at)
            if fire.entry_id in present
            else fire
            for fire in fires
        ]
    )


async def _fire_without_overlap(crons: Any, fires: Any) -> Any:
    def alone(tick: Any) -> Any:
        run = tick.run and replace(tick.run, driver=replace(tick.run.driver, unique=None))
        return replace(tick, job=tick.job and replace(tick.job, unique=None), run=run)

    return await crons.fire([replace(fire, ticks=[alone(tick) for tick in fire.ticks]) for fire in fires])


async def _fire_without_runs(crons: Any, fires: Any) -> Any:
    return await crons.fire([replace(fire, ticks=[replace(t, run=None) for t in fire.ticks]) for fire in fires])


async def _fire_without_cancel(crons: Any, fires: Any) -> Any:
    return await crons.fire(
        [replace(fire, ticks=[replace(tick, cancel_old=False) for tick in fire.ticks]) for fire in fires]
    )


async def _fire_in_two_steps(crons: Any, fires: Any) -> Any:
    """Moves the schedule on, then makes the jobs: nothing keeps a second leader from the second step."""
    for fire in fires:
        for tick in fire.ticks:
            await crons.trigger((await _name(crons, fire.entry_id)), tick)
    return await crons.fire([replace(fire, ticks=[]) for fire in fires])


async def _name(crons: Any, entry_id: Any) -> str:
    from dispatch.crons.model import ListOptions

    entries = (await crons.list(ListOptions(limit=500))).items
    return next((entry.name for entry in entries if entry.id == entry_id), "")


async def _due_but_blind_to_the_rest(crons: Any, **options: Any) -> Due:
    due: Due = await crons.due(**options)
    return replace(due, next_at=None)


CRONS = (
    _anywhere("a fire takes the entry as it is by now", "I14 I16", "fire", _fire_the_present),
    _anywhere("overlap unheeded", "I15", "fire", _fire_without_overlap),
    _anywhere("the old one goes on", "I15", "fire", _fire_without_cancel),
    _anywhere("a fire in two steps", "I14", "fire", _fire_in_two_steps),
    _anywhere("a disable that does nothing", "I16", "disable", _nothing(Reply.APPLIED)),
    _anywhere("nobody knows when the next is due", "I15", "due", _due_but_blind_to_the_rest),
    _anywhere("a code entry is deleted at once", "", "settle", _nothing([])),
    _anywhere("a dry prune of ticks prunes", "", "prune", _also("prune", dry_run=False)),
)

CRONS_MEMORY = (
    Fault("the disabled fire", "I16", _HERE, plant=_around(memory_crons, "may_fire", _constant(True))),
    Fault("no tick is known", "I14", _HERE, plant=_around(memory_crons, "_made", _constant(None))),
    Fault("nobody's code wins", "I15", _HERE, plant=_around(memory_crons, "_winning", _constant({}))),
)

CRONS_SQLITE = (
    _sql("a fire looks at no revision", "I16", "crons", ("advance_cron", "AND revision = :revision", "")),
    _sql("a fire looks at no time", "I14", "crons", ("advance_cron", "AND next_fire_at = :expected", "")),
    _sql("a fire looks at no switch", "I16", "crons", ("advance_cron", "NOT orphaned AND", "1 OR")),
    _sql("the silent speak", "I15", "crons_code", ("live_cron_codes", "+ workers.lease >= :now", "> 0")),
    _sql("the retired speak", "I15", "crons_code", ("live_cron_codes", "workers.state <> 'dead'", "1")),
    _sql("last fired goes back", "I14", "crons", ("note_cron_fired", "SET last_fired_at = :fired_at", "SET id = id")),
    _sql("ticks outlive their entry", "", "crons_code", ("delete_cron_ticks", "WHERE", "WHERE 0 AND")),
)
CRON_RUNS = (
    Fault("a tick forgets its run", "I14", ("run_ticks",), {"crons.fire": _fire_without_runs}),
    Fault("overlap unheeded by runs", "I15", ("run_ticks",), {"crons.fire": _fire_without_overlap}),
    Fault("runs are fired by what stands now", "I14", ("run_ticks",), {"crons.fire": _fire_the_present}),
    Fault("the old run goes on", "I15", ("run_ticks",), {"crons.fire": _fire_without_cancel}),
)
CRON_RUNS_MEMORY = (
    Fault("the old run is not told", "I15", ("run_ticks",), plant=_around(memory_crons, "cancel_run", _constant(True))),
)
CRON_RUNS_SQLITE = (
    _sql("a run takes another's place", "I15", "run_ticks", ("state_of_driven", "j.id = :id AND", "0 AND")),
    _sql("a cancelled run stays in line", "I15", "run_ticks", ("free_driver", "behind = NULL,", "")),
    _sql("a moved run jumps the line", "I15", "run_ticks", ("migrate_driver", "behind IS NOT NULL", "0")),
    _sql("all that came are begun", "I15", "run_ticks", ("state_of_driven", "SELECT r.state", "SELECT 'running'")),
)
