"""Faults of runs: over any store, inside the memory store, and in the SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from mutants import Fault, Verb, _any_tenant
from mutants_memory import _around, _constant
from mutants_sqlite import NOWHERE, UNCOUNTED, _sql

from dispatch.entity import Reply
from dispatch.stores.memory import data as memory_data
from dispatch.stores.memory import events, journal, parking, run_changes, wakes
from dispatch.stores.memory import finish as memory_finish
from dispatch.stores.memory.channels import Channels
from dispatch.stores.memory.runs import OpenGroup, Runs
from dispatch.stores.sql import claim, finish, leases, workflow_ends
from dispatch.stores.sql.workflow_rows import Driver
from dispatch.workflows.model import RunState, WaitFor

SCOPED = "AND (:app_id IS NULL OR (runs.app_id = :app_id AND runs.org_id = :org_id))"


def _anywhere(name: str, invariant: str, module: str, verb: str, instead: Verb) -> Fault:
    return Fault(name, invariant, (module,), {f"workflows.{verb}": instead})


async def _park_over_what_happened(flows: Any, worker_id: Any, parks: Any) -> Any:
    runs = [(await flows.get(said.run_id)) for said in parks]
    return await flows.park(
        worker_id, [replace(said, seen_seq=run.wake_seq) for said, run in zip(parks, runs, strict=True)]
    )


async def _park_on_nobody(flows: Any, worker_id: Any, parks: Any) -> Any:
    return await flows.park(worker_id, [replace(said, children=()) for said in parks])


async def _park_for_ever(flows: Any, worker_id: Any, parks: Any) -> Any:
    return await flows.park(worker_id, [replace(said, until=None) for said in parks])


async def _wait_without_a_key(flows: Any, worker_id: Any, waits: Any) -> Any:
    return await flows.wait(worker_id, [replace(asked, key=None) for asked in waits])


async def _wait_without_end(flows: Any, worker_id: Any, waits: Any) -> Any:
    return await flows.wait(worker_id, [replace(asked, timeout=None) for asked in waits])


async def _look_only(flows: Any, worker_id: Any, waits: list[WaitFor]) -> Any:
    """Answers without keeping the wait open."""
    answers = await flows.wait(worker_id, waits)
    for asked in waits:
        for wait in await flows.waits(asked.run_id):
            if wait.deadline is None:
                await flows.wait(worker_id, [replace(asked, name=wait.name, events=("nothing",), key="nobody")])
    return answers


async def _record_one_by_one(flows: Any, worker_id: Any, records: Any) -> Any:
    return [answer for said in records for answer in await flows.record(worker_id, [said])]


async def _record_without_children(flows: Any, worker_id: Any, records: Any) -> Any:
    return await flows.record(
        worker_id,
        [replace(s, checkpoints=[replace(new, jobs=(), runs=()) for new in s.checkpoints]) for s in records],
    )


async def _create_one_by_one(flows: Any, runs: Any) -> Any:
    return [answer for run in runs for answer in await flows.create([run])]


async def _finish_without_follow_ups(flows: Any, worker_id: Any, ends: Any) -> Any:
    return await flows.finish(worker_id, [replace(end, then=()) for end in ends])


async def _finish_completed(flows: Any, worker_id: Any, ends: Any) -> Any:
    return await flows.finish(worker_id, [replace(end, state="completed") for end in ends])


async def _finish_once(flows: Any, worker_id: Any, ends: Any) -> Any:
    before = [(await flows.get(end.run_id)).state for end in ends]
    answers = await flows.finish(worker_id, ends)
    return [
        replace(answer, reply=Reply.STALE) if state.terminal else answer
        for state, answer in zip(before, answers, strict=True)
    ]


async def _load_without_children(flows: Any, drivers: Any) -> Any:
    return [replace(found, children={}) for found in await flows.load(drivers)]


async def _load_half(flows: Any, drivers: Any) -> Any:
    return [replace(found, checkpoints=found.checkpoints[:1]) for found in await flows.load(drivers)]


async def _nothing_said(flows: Any, *args: Any, **options: Any) -> Reply:
    return Reply.APPLIED


async def _migrate_nothing(flows: Any, run_id: Any, *, version: int, scope: Any = None) -> Any:
    run = await flows.get(run_id)
    return await flows.migrate(run_id, version=run.version if run else version, scope=scope)


async def _fork_without_edits(flows: Any, run_id: Any, *, edits: Any, **options: Any) -> Any:
    return await flows.fork(run_id, edits={}, **options)


async def _ended_is_counted_twice(flows: Any, **options: Any) -> Any:
    found = await flows.count(**options)
    return {**found, RunState.COMPLETED: found[RunState.COMPLETED] * 2}


RUNS = (
    _anywhere("park overtakes a wake", "I22", "run_waits", "park", _park_over_what_happened),
    _anywhere("park overtakes a child", "I23", "run_children", "park", _park_over_what_happened),
    _anywhere("park forgets its children", "I23", "run_children", "park", _park_on_nobody),
    _anywhere("park forgets its time", "I21", "run_parking", "park", _park_for_ever),
    _anywhere("waits have no key", "I22", "run_waits", "wait", _wait_without_a_key),
    _anywhere("waits have no end", "I21", "run_waits", "wait", _wait_without_end),
    _anywhere("waits only look", "I22", "run_waits", "wait", _look_only),
    _anywhere("a batch of records is none", "", "run_journal", "record", _record_one_by_one),
    _anywhere("checkpoints bring nothing", "I23", "run_journal", "record", _record_without_children),
    _anywhere("a batch of runs is none", "", "runs", "create", _create_one_by_one),
    _anywhere("ends without follow-ups", "I1", "runs", "finish", _finish_without_follow_ups),
    _anywhere("every end is a success", "I11", "runs", "finish", _finish_completed),
    _anywhere("a repeated end is stale", "I5", "runs", "finish", _finish_once),
    _anywhere("activations know no children", "I23", "run_children", "load", _load_without_children),
    _anywhere("activations know half the journal", "I18", "run_journal", "load", _load_half),
    _anywhere("compensate does nothing", "I24", "run_ends", "compensate", _nothing_said),
    _anywhere("undoing is not noted", "I24", "run_ends", "undoing", _nothing_said),
    _anywhere("block does nothing", "I25", "run_ends", "block", _nothing_said),
    _anywhere("migrate keeps the version", "I19", "run_ends", "migrate", _migrate_nothing),
    _anywhere("fork forgets the edits", "I18", "run_forks", "fork", _fork_without_edits),
    _anywhere("count counts ended runs twice", "I31", "runs", "count", _ended_is_counted_twice),
    _anywhere("get sees every tenant", "I31", "runs", "get", _any_tenant("get")),
    _anywhere("cancel sees every tenant", "I31", "run_ends", "cancel", _any_tenant("cancel")),
    _anywhere("retry sees every tenant", "I24", "run_ends", "retry", _any_tenant("retry")),
    _anywhere("migrate sees every tenant", "I31", "run_ends", "migrate", _any_tenant("migrate")),
    _anywhere("fork sees every tenant", "I31", "run_forks", "fork", _any_tenant("fork")),
)


def _any_epoch(true: Any) -> Any:
    def fence(data: Any, worker_id: Any, driver: Any, epoch: int, *rest: Any) -> Any:
        row = data.rows.get(driver)
        return true(data, worker_id, driver, row.epoch if row else epoch, *rest)

    return fence


def _any_worker(true: Any) -> Any:
    def fence(data: Any, worker_id: Any, driver: Any, *rest: Any) -> Any:
        row = data.rows.get(driver)
        return true(data, row.worker_id if row else worker_id, driver, *rest)

    return fence


def _deaf(true: Any) -> Any:
    """The group notes the end, and is never satisfied."""

    def hears(self: Any, result: Any) -> bool:
        true(self, result)
        return False

    return hears


def _rewritten(true: Any) -> Any:
    def child_ended(data: Any, parent_id: Any, step: Any, *rest: Any) -> None:
        if parent_id in data.runs.rows:
            data.runs.rows[parent_id].results.pop(step, None)
        true(data, parent_id, step, *rest)

    return child_ended


def _still_asked(true: Any) -> Any:
    def compensates(data: Any, row: Any, run: Any, reason: Any, now: Any) -> None:
        true(data, row, run, reason, now)
        row.cancel_requested = True

    return compensates


def _any_satisfied_group_open(true: Any) -> Any:
    def open_group(run: Any, group: Any) -> OpenGroup:
        found: OpenGroup = true(run, group) or OpenGroup(group.mode, set(group.steps))
        return found

    return open_group


def _wakes_from_backoff(true: Any) -> Any:
    def wake(data: Any, run: Any, now: Any) -> None:
        run.parked = True
        true(data, run, now)

    return wake


def _plant(name: str, invariant: str, module: str, where: Any, what: str, instead: Callable[[Any], Any]) -> Fault:
    return Fault(name, invariant, (module,), plant=_around(where, what, instead))


RUNS_MEMORY = (
    _plant("any epoch writes the journal", "I4", "run_journal", journal, "fence", _any_epoch),
    _plant("any worker writes the journal", "I4", "run_journal", journal, "fence", _any_worker),
    _plant("any epoch parks", "I4", "run_journal", parking, "fence", _any_epoch),
    _plant("any worker parks", "I4", "run_journal", parking, "fence", _any_worker),
    _plant("no group is satisfied", "I23", "run_children", OpenGroup, "hears", _deaf),
    _plant("every end wakes", "I23", "run_children", OpenGroup, "hears", _constant(True)),
    _plant("a satisfied group parks", "I23", "run_children", parking, "open_group", _any_satisfied_group_open),
    _plant("child results rewritten", "I23", "run_children", wakes, "child_ended", _rewritten),
    _plant("child jobs tell nothing", "I23", "run_children", memory_data.wakes, "child_job_ended", _constant(None)),
    _plant("child runs tell nothing", "I23", "run_children", memory_finish.wakes, "child_ended", _constant(None)),
    _plant("children go on", "I23", "run_families", memory_finish.wakes, "cancel_run", _constant(True)),
    _plant("wakes move backoffs", "I22", "run_parking", events, "wake", _wakes_from_backoff),
    _plant("signals are consumed twice", "I22", "run_waits", Channels, "consume", _constant(None)),
    _plant("no mail is kept", "I22", "run_waits", Channels, "unread", _constant(False)),
    _plant("waits are not kept", "I22", "run_waits", Runs, "open", _constant(None)),
    _plant("waits stay open", "I22", "run_ends", Runs, "close_all", _constant(None)),
    _plant("cancel flags outlive compensation", "I24", "run_ends", wakes, "compensates", _still_asked),
    _plant("open children are inherited", "I23", "run_forks", run_changes, "_is_open_child", _constant(False)),
)


def _without(what: str, reason: str) -> Callable[[Any, str, int], bool]:
    def held_by(self: Any, worker_id: str, epoch: int) -> bool:
        right = {"worker_id": self.worker_id == worker_id, "epoch": self.epoch == epoch, "state": True}
        right["state"] = self.state == "running"
        return all(holds for name, holds in right.items() if name != what)

    held_by.__doc__ = reason
    return held_by


def _silent(*args: Any) -> Any:
    """A plan that does nothing."""
    return None
    yield


def _mute(module: Any) -> Fault:
    name = module.__name__.rpartition(".")[2]
    return Fault(
        f"children that end in {name} tell nothing",
        "I23",
        ("run_children",),
        plant=lambda: patch.object(module, "jobs_ended" if module is finish else "job_ended", _silent),
    )


RUNS_SQLITE = (
    *(
        Fault(
            f"drivers are fenced without {what}",
            "I4",
            ("run_journal",),
            plant=lambda what=what: patch.object(Driver, "held_by", _without(what, "")),
        )
        for what in ("worker_id", "epoch")
    ),
    *map(_mute, (claim, finish, leases, workflow_ends)),
    _sql(
        "checkpoints overwrite",
        "I18",
        "run_journal",
        ("add_checkpoint", "ON CONFLICT DO NOTHING", "ON CONFLICT (run_id, name) DO UPDATE SET data = excluded.data"),
    ),
    _sql("progress resets nothing", "I10", "run_journal", ("reset_driver", *NOWHERE)),
    _sql("the deadline restarts", "I21", "run_waits", ("open_waits", "deadline FROM", "NULL FROM")),
    _sql("any key matches", "I22", "run_waits", ("oldest_broadcast", "key IS :key AND", "")),
    _sql("any key wakes", "I22", "run_waits", ("runs_waiting", "key IS :key AND", "")),
    _sql(
        "tenants share events",
        "I22",
        "run_waits",
        ("oldest_broadcast", "app_id = :app_id AND org_id = :org_id", "1"),
    ),
    _sql(
        "a tenant wakes another's runs",
        "I22",
        "run_waits",
        ("runs_waiting", "app_id = :app_id AND org_id = :org_id AND", ""),
    ),
    _sql("events are consumed twice", "I22", "run_waits", ("oldest_broadcast", "events.id", "''")),
    _sql("signals are consumed twice", "I22", "run_waits", ("consume_signal", *NOWHERE)),
    _sql("the youngest event first", "I22", "run_waits", ("oldest_broadcast", "BY created_at", "BY created_at DESC")),
    _sql("events from before the run", "I22", "run_waits", ("oldest_broadcast", "AND created_at >= :since", "")),
    _sql("signals wake nobody", "I22", "run_waits", ("waits_for_signal", *NOWHERE)),
    _sql("no mail is kept", "I22", "run_waits", ("prune_events", "runs.finished_at IS NULL", "0")),
    _sql("mail outlives its run", "I22", "run_waits", ("forget_mail", *NOWHERE)),
    _sql("a wake is not counted", "I22", "run_waits", ("wake_runs", "wake_seq + 1", "wake_seq")),
    _sql("a wake moves nobody", "I22", "run_waits", ("wake_drivers", *NOWHERE)),
    _sql(
        "wakes move backoffs",
        "I22",
        "run_parking",
        ("wake_drivers", "AND parked = 1", ""),
        ("wake_drivers", "state = 'pending'", "state = 'retrying'"),
    ),
    _sql("wakes move what is due", "I22", "run_parking", ("wake_drivers", "AND run_at > :now", "")),
    _sql("parks count", "I10", "run_parking", ("park_driver", "failures = 0, crashes = 0,", "")),
    _sql(
        "parks keep the error",
        "I21",
        "run_errors",
        ("park_run", "CASE WHEN compensating THEN error_type END", "error_type"),
    ),
    _sql("undos hide why it compensates", "I24", "run_errors", ("note_run_error", "AND compensating = 0", "")),
    _sql("parks lose why it compensates", "I21", "run_errors", ("park_run", "THEN error_type END", "THEN NULL END")),
    _sql("parks keep the lease", "I21", "run_parking", ("park_driver", "worker_id = NULL,", "")),
    _sql("parks are not known again", "I4", "run_parking", ("park_driver", "left_as = :left_as,", "")),
    _sql("completed children take the short way", "I23", "run_children", ("complete_jobs", "AND run_id IS NULL", "")),
    _sql(
        "child results rewritten",
        "I23",
        "run_children",
        ("add_child_result", "DO NOTHING", "DO UPDATE SET state = excluded.state, result = excluded.result"),
    ),
    _sql("an end is not heard", "I23", "run_children", ("hear_child", *NOWHERE)),
    _sql("no group is satisfied", "I23", "run_children", ("count_down", "remaining - 1", "remaining")),
    _sql("every end wakes", "I23", "run_children", ("satisfied_groups", "remaining = 0", "remaining >= 0")),
    _sql("failures are no reason to wake", "I23", "run_children", ("count_down", "AND :failed", "AND NOT :failed")),
    _sql("ended children are not seen", "I23", "run_children", ("children_ended", *UNCOUNTED)),
    _sql(
        "old groups stay",
        "I23",
        "run_children",
        ("drop_groups", *NOWHERE),
        ("drop_group_steps", *NOWHERE),
        ("add_group", "INSERT", "INSERT OR IGNORE"),
        ("add_group_steps", "INSERT", "INSERT OR IGNORE"),
    ),
    _sql("child jobs go on", "I23", "run_families", ("open_child_jobs", "'pending'", "'none'")),
    _sql(
        "child runs go on",
        "I23",
        "run_families",
        ("open_child_runs", "runs.finished_at IS NULL", "runs.finished_at IS NOT NULL"),
    ),
    _sql("abandoned children end", "I23", "run_families", ("open_child_runs", "AND NOT abandon", "")),
    _sql("spawned children end", "I23", "run_families", ("open_child_runs", "AND (awaited OR :all)", "")),
    _sql(
        "runs with a live parent go",
        "I23",
        "run_families",
        ("ended_runs", "parents.finished_at IS NULL", "0"),
        ("count_ended_runs", "parents.finished_at IS NULL", "0"),
    ),
    _sql("jobs of a live parent go", "I23", "run_families", ("ended_jobs", "runs.finished_at IS NULL", "0")),
    _sql("compensation is forgotten", "I24", "run_ends", ("claim_run", "WHEN compensating OR", "WHEN")),
    _sql("an expired run starts", "I24", "run_ends", ("claim_run", ":expired", "0 * :expired")),
    _sql("cancel flags outlive compensation", "I24", "run_ends", ("free_driver", "cancel_reason = NULL,", "")),
    _sql("cancel flags outlive compensate", "I24", "run_ends", ("calm_driver", "cancel_reason = NULL", "lane = lane")),
    _sql("compensation stays asleep", "I24", "run_ends", ("free_driver", "run_at = :now,", "")),
    _sql("undoing is not noted", "I24", "run_ends", ("begin_undoing", *NOWHERE)),
    _sql(
        "a failed compensation starts over",
        "I24",
        "run_ends",
        ("revive_run", "compensating = compensation_failed,", "compensating = 0,"),
        ("revive_run", "WHEN compensation_failed THEN 'compensating'", "WHEN 0 THEN ''"),
    ),
    _sql("waits stay open", "I22", "run_ends", ("close_waits", *NOWHERE)),
    _sql("blocked runs go on", "I25", "run_ends", ("block_driver", "ready = 0", "ready = 1")),
    _sql("blocked runs are buried", "I25", "run_ends", ("long_aside", "AND kind <> 'workflow'", "")),
    _sql("blocked runs stay blocked", "I25", "run_ends", ("unblock_runs", *NOWHERE)),
    _sql("unserved versions do not block", "I25", "run_ends", ("block_aside", *NOWHERE)),
    _sql("retry leaves the driver aside", "I25", "run_ends", ("take_up_driver", *NOWHERE)),
    _sql("migrate keeps the epoch", "I4", "run_ends", ("migrate_driver", "epoch = epoch + 1,", "")),
    _sql("a fork copies everything", "I18", "run_forks", ("journal_before", "AND position < :position", "")),
    _sql("open children are inherited", "I23", "run_forks", ("journal_before", "OR NOT (", "OR 1 OR NOT (")),
    _sql("a fork loses results", "I23", "run_forks", ("copy_child_results", *NOWHERE)),
    _sql("a fork consumes again", "I22", "run_forks", ("add_checkpoint", ":event_id", "NULL")),
    _sql("get sees every tenant", "I31", "runs", ("get_run", SCOPED, "")),
    _sql("journals outlive their runs", "", "runs", ("forget_journals", *NOWHERE)),
    _sql("drivers outlive their runs", "", "runs", ("forget_drivers", *NOWHERE)),
)
