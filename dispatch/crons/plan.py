"""What a due entry does now: which of its ticks fire, which are missed, and when the next one comes. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

from dispatch.crons.model import CronEntry, CronSpec, Fire, NewTick, Outcome
from dispatch.crons.schedule import Schedule, parse
from dispatch.ids import CronID, JobID, RunID
from dispatch.jobs.model import NewJob, OnConflict, Unique
from dispatch.workflows.model import NewRun, driver_id, driver_name

CAP = 100
"""Ticks that one firing makes up for at most, and that it lists as missed."""
STEP = 10
"""Ticks that one firing makes jobs of at most; the rest is due at once. It keeps each transaction short."""
_INSTANT = timedelta(microseconds=1)
_COLUMNS = (
    *("queue", "priority", "expires_in", "max_retries", "timeout", "backoff", "keep_result", "metadata", "tags"),
    *("concurrency_key", "concurrency_max"),
)
_ON_CONFLICT: Mapping[str, OnConflict] = {"skip": "skip", "queue": "replace", "cancel_old": "replace"}


@dataclass(frozen=True, slots=True)
class Rules:
    """What applies where an entry says nothing; seconds."""

    misfire_window: float = 3600.0
    on_time: float = 30.0
    """A tick is late, and falls under the misfire rule, once it is older than this."""


def schedule_of(entry: CronEntry) -> Schedule:
    """The entry's schedule; periods of "@every" are counted on from the next tick, as every tick lies on their grid."""
    return parse(entry.spec.schedule, entry.spec.timezone, anchor=entry.next_fire_at or entry.anchor)


def first_fire(spec: CronSpec, now: datetime) -> datetime | None:
    """When an entry that is made now ticks first."""
    return parse(spec.schedule, spec.timezone, anchor=now).after(now)


def plan(entry: CronEntry, now: datetime, rules: Rules) -> Fire:
    """The firing of an entry whose next_fire_at has come: on-time ticks fire each; of late ones inside the window those
    that its misfire rule wants; the rest is missed. Many fire step by step: each begins where the last ended."""
    schedule = schedule_of(entry)
    window = rules.misfire_window if entry.spec.misfire_window is None else entry.spec.misfire_window
    oldest = now - timedelta(seconds=max(window, rules.on_time))
    forgotten, first = _forgotten(entry, schedule, oldest)
    due, coming = ([], schedule.after(now)) if first is None else _latest(schedule, first, now)
    punctual = now - timedelta(seconds=rules.on_time)
    late = [tick for tick in due if tick < punctual]
    made_up = {"skip": [], "once": late[-1:], "all": late}[entry.spec.misfire]
    fired = sorted({*made_up, *(tick for tick in due if tick >= punctual)})[-CAP:]
    missed = [tick for tick in [*forgotten, *due] if tick not in set(fired)][-CAP:]
    following = fired[STEP] if len(fired) > STEP else None
    new = [
        *(NewTick(tick, "missed") for tick in missed if following is None or tick < following),
        *(new_tick(entry, tick, now) for tick in fired[:STEP]),
    ]
    return Fire(
        entry.id,
        entry.revision,
        entry.next_fire_at,
        sorted(new, key=lambda tick: tick.scheduled_at),
        following or coming,
    )


def _forgotten(entry: CronEntry, schedule: Schedule, oldest: datetime) -> tuple[list[datetime], datetime | None]:
    """The first ticks that are too old to fire, and the first one that is not."""
    tick = entry.next_fire_at
    if tick is not None and not entry.enabled and entry.disabled_until is not None and tick <= entry.disabled_until:
        tick = schedule.after(entry.disabled_until)
    found: list[datetime] = []
    while tick is not None and tick < oldest:
        found.append(tick)
        if len(found) == CAP:
            return found, schedule.after(oldest - _INSTANT)
        tick = schedule.after(tick)
    return found, tick


def _latest(schedule: Schedule, first: datetime, now: datetime) -> tuple[list[datetime], datetime | None]:
    """The latest ticks from the first up to now, all of them or a few more than a firing can list; and the next."""
    if first > now:
        return [], first
    back = timedelta(minutes=1)
    while True:
        begin = max(first, now - back)
        found = [first] if begin == first else []
        for tick in schedule.walk(begin):
            found.append(tick)
            if tick > now:
                break
        coming = found.pop() if found and found[-1] > now else None
        if begin == first or len(found) > 3 * CAP:
            return found, coming
        back *= 4


def new_tick(entry: CronEntry, moment: datetime, now: datetime) -> NewTick:
    """The tick of that moment with the job or run it makes, spread over the entry's jitter."""
    run_at = moment + jitter(entry.id, moment, entry.spec.jitter)
    job = job_of(entry, moment, run_at=run_at if run_at > now else None)
    return _tick(entry, moment, "fired", job, cancel_old=entry.spec.overlap == "cancel_old")


def manual_tick(entry: CronEntry, now: datetime) -> NewTick:
    """A tick by hand: it happens now, whatever else of the entry is not over."""
    return _tick(entry, now, "manual", replace(job_of(entry, now), unique=None))


def carrying(tick: NewTick, metadata: Mapping[str, Any]) -> NewTick:
    """The tick with metadata added to the job or run that it makes."""
    if tick.job is not None:
        return replace(tick, job=replace(tick.job, metadata={**tick.job.metadata, **metadata}))
    if tick.run is not None:
        driver = tick.run.driver
        return replace(tick, run=replace(tick.run, driver=replace(driver, metadata={**driver.metadata, **metadata})))
    return tick


def _tick(entry: CronEntry, moment: datetime, outcome: Outcome, job: NewJob, *, cancel_old: bool = False) -> NewTick:
    spec = entry.spec
    if spec.kind == "job":
        return NewTick(moment, outcome, job=job, cancel_old=cancel_old)
    run_id, version = RunID.new(), spec.version or 1
    driver = replace(job, id=driver_id(run_id), name=driver_name(spec.target, version), kind="workflow", run_id=run_id)
    return NewTick(moment, outcome, run=NewRun(run_id, spec.target, version, driver), cancel_old=cancel_old)


def job_of(entry: CronEntry, moment: datetime, *, run_at: datetime | None = None) -> NewJob:
    """The job that an entry makes, or what drives its run; its unique key carries the overlap rule."""
    spec = entry.spec
    given = {name: value for name, value in spec.options.items() if name in _COLUMNS}
    if "tags" in given:
        given["tags"] = tuple(given["tags"])
    on_conflict = _ON_CONFLICT.get(spec.overlap)
    return NewJob(
        JobID.new(),
        spec.target,
        spec.payload,
        run_at=run_at,
        scheduled_at=moment,
        scope=spec.scope,
        unique=None if on_conflict is None else Unique(f"cron:{entry.id}", on_conflict=on_conflict),
        **given,
    )


def options_of(job: NewJob) -> dict[str, Any]:
    """What of a call's NewJob an entry keeps: the columns that are not as by default."""
    defaults = {field.name: field.default for field in fields(NewJob)}
    found = {name: getattr(job, name) for name in _COLUMNS}
    kept = {name: value for name, value in found.items() if value != defaults[name] and value not in ({}, ())}
    if "tags" in kept:
        kept["tags"] = list(kept["tags"])
    return kept


def jitter(entry_id: CronID, moment: datetime, longest: float) -> timedelta:
    """A delay between 0 and `longest` seconds, always the same for one tick of one entry."""
    if not longest:
        return timedelta()
    digest = hashlib.blake2b(f"{entry_id}|{moment.isoformat()}".encode(), digest_size=8).digest()
    return timedelta(seconds=longest * int.from_bytes(digest) / 2**64)
