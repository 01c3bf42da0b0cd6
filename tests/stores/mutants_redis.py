"""Faults planted inside the Redis store by changing the text of its scripts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from mutants import Fault, Plant

from dispatch.stores.redis import client, scripts


def _changed(name: str, old: str, new: str) -> Plant:
    """Replaces text in the scripts of these names; fails when it is not there, so that no fault is planted in vain."""

    @contextmanager
    def planted() -> Iterator[None]:
        sound = scripts.load
        for script in name.split():  # now, and not within a case, which would only look red
            assert old in sound(script).source, f"the script {script} has no {old!r} any more"

        def load(wanted: str) -> scripts.Script:
            found = sound(wanted)
            if wanted not in name.split():
                return found
            head, _, body = found.source.partition("\n")
            return scripts.made(name, head.partition("flags=")[2], [], body.replace(old, new))

        with patch.object(client, "load", load):
            yield

    return planted


def _lua(name: str, invariant: str, module: str, script: str, old: str, new: str) -> Fault:
    return Fault(name, invariant, (module,), plant=_changed(script, old, new))


REDIS = (
    _lua("a moved run jumps the line", "I15", "run_ticks", "migrate_run", "elseif not row.b then", "else"),
    _lua("a run takes another's place", "I15", "run_ticks", "cron_fire", "or driver[1] == 'workflow' then", "then"),
    _lua("no run is asked to stop", "I15", "run_ticks", "cron_fire", "if run then", "if run and false then"),
    _lua("completion drops the epoch", "I4", "jobs_fence", "finish", "hold.epoch == epoch and", ""),
    _lua("completion drops the worker", "I4", "jobs_fence", "finish", "or row.w ~= worker or", "or"),
    _lua("completion drops the state", "I5", "jobs_finish", "finish", "row.st ~= 'R' or", ""),
    _lua(
        "a completed job stays held",
        "I8",
        "jobs_lease",
        "finish",
        "call('HDEL', P .. 'h:' .. worker, unpack(freed))",
        "",
    ),
    _lua("a stolen job stays held", "I4", "jobs_fence", "steal", "call('HDEL', P .. 'h:' .. row.w, id)", ""),
    _lua(
        "a completion overlooks that it was to end",
        "I5",
        "jobs_cancel",
        "cancel",
        "call('HSET', P .. 'h:' .. row.w, id, (row.e or '0') .. ':')",
        "",
    ),
    _lua("a completion overlooks a key", "I1", "unique", "claim", "local odd = row.uk or", "local odd ="),
    _lua("a completion overlooks a parent", "I23", "run_children", "claim", "sp = true, ", ""),
    _lua(
        "late is a repetition",
        "I4",
        "jobs_fence",
        "finish",
        "local repeated = row.e == said.epoch and",
        "local repeated = true or",
    ),
    _lua(
        "many are cancelled for anyone",
        "I31",
        "jobs_cancel",
        "cancel",
        " and in_scope(row, ARGV[2] == '1', ARGV[3], ARGV[4])",
        "",
    ),
    _lua("lost claims not named", "I8", "jobs_lease", "renew", "if ARGV[4] == '1' then", "if false then"),
    _lua("renewal drops the epoch", "I4", "jobs_lease", "renew", "and (row[3] or '0') == ARGV[i + 1]", ""),
    _lua("steal ignores the lease", "I29", "steal", "lapsed steal", "'(' .. NOW_TEXT", "'+inf'"),
    _lua(
        "a loss hides why it compensates",
        "I24",
        "run_errors",
        "steal",
        "not run.co or (crashes > max_crashes",
        "true or (crashes",
    ),
    _lua(
        "a lost compensation hides that",
        "I10",
        "run_errors",
        "steal",
        "not run.co or (crashes > max_crashes and not run.et)",
        "not run.co",
    ),
    _lua("an undo hides why it compensates", "I24", "run_errors", "finish", "if run and not run.co and", "if run and"),
    _lua("a loss hides a cancellation", "I5", "run_errors", "steal", "not row.cr and (", "("),
    _lua("a park keeps the error", "I21", "run_errors", "park", "run.et and not run.co", "false"),
    _lua("a park loses why it compensates", "I21", "run_errors", "park", "run.et and not run.co", "run.et"),
    _lua("no crash count", "I10", "steal", "steal", "call('HSET', job_key(id), 'x', text(crashes))", ""),
    _lua("no quarantine", "I10", "jobs_gates", "steal", "local QUARANTINE_FROM = 2", "local QUARANTINE_FROM = 1000"),
    _lua(
        "claim pops then forgets the row",
        "I7",
        "jobs_claim",
        "claim",
        " or not start_plain(member:sub(19), cell, true) then",
        " then",
    ),
    _lua("claim ignores run_at", "I6", "jobs_claim", "enqueue_plain", "    if when == '' then", "    if true then"),
    _lua(
        "the lowest priority first",
        "I6",
        "jobs_claim",
        "enqueue_plain",
        "to.members[#to.members + 1] = -priority",
        "to.members[#to.members + 1] = priority",
    ),
    _lua(
        "claim takes any name",
        "I7",
        "jobs_claim",
        "claim",
        "local queues, names = {}, {}",
        "local queues, names = {}, setmetatable({}, {__index = function() return true end})",
    ),
    _lua(
        "claimed rows stay ready",
        "I3",
        "jobs_claim",
        "claim",
        "call('ZREMRANGEBYRANK', key, 0, count - 1)",
        "",
    ),
    _lua(
        "claimed rows of an odd lane stay ready",
        "I29 I1",
        "jobs_gates",
        "claim",
        "call('ZREMRANGEBYRANK', cursor.key, 0, #cursor.gone - 1)",
        "",
    ),
    _lua("ids are not looked up", "I2", "jobs_enqueue", "enqueue_now", "unpack(keys)) == 0", "unpack(keys)) >= 0"),
    _lua("an id counts twice in a call", "I2", "jobs_enqueue", "enqueue_now", "if seen[id] or not", "if not"),
    _lua("an id alone is not looked up", "I2", "jobs_enqueue", "enqueue_now", "lane, key, P", "lane, P"),
    _lua(
        "no lane is opened for many", "I7", "jobs_claim", "enqueue_now", "if call('EXISTS', cell, lane) < 2", "if false"
    ),
    _lua("no lane is opened for one", "I7", "jobs_claim", "enqueue_now", "if found < 6 then", "if false then"),
    _lua("expiry is overlooked", "I7", "jobs_gates", "claim", "ex = true, ", ""),
    _lua("keys are overlooked", "I28", "concurrency", "claim", "ODD = {ck = true,", "ODD = {"),
    _lua("what is held until the start is overlooked", "I1", "unique", "claim", "uu = true, ", ""),
    _lua("drivers are overlooked", "I19", "runs", "claim", ", k = true}", "}"),
    _lua("tenants are overlooked", "I28", "jobs_gates", "claim", "ap = true, og = true, ", ""),
    _lua(
        "epoch is the clock",
        "I3",
        "jobs_retry",
        "claim",
        "if epoch and epoch > epoch_floor then",
        "if false then",
    ),
    _lua("running rows not counted", "I28", "jobs_gates", "claim", "most - running_in(queue) -", "most -"),
    _lua("leased slots not counted", "I28", "queues", "claim", "- live_slots(queue)", ""),
    _lua(
        "running rows of tenants not counted",
        "I28",
        "jobs_gates",
        "claim",
        "return call('SCARD', P .. 'tr:'",
        "return 0 * call('SCARD', P .. 'tr:'",
    ),
    _lua("running rows of keys not counted", "I28", "concurrency", "claim", "- call('SCARD', P .. 'kr:' .. key)", ""),
    _lua("nobody is let in", "I28", "concurrency", "finish", "if room > 0 then", "if false then"),
    _lua("successor lost", "I1", "successors", "finish", "place_row(front.id, front.row)", ""),
    _lua("an expired job keeps its key", "I1", "expired_holders", "enqueue", "if not overdue then", "if true then"),
    _lua("an expired run keeps its key", "I1", "expired_holders", "create_runs", "if not overdue then", "if true then"),
    _lua("a cancelled run expires", "I1", "expired_holders", "create_runs", "return not undone,", "return true,"),
    _lua(
        "who waits behind an expired run is lost",
        "I1",
        "expired_lines",
        "create_runs",
        "hand_over(id, row)\n  else",
        "give_up_key(row.uk, id)\n  else",
    ),
    _lua("a fork inherits undos", "I24", "run_forks", "fork_run", "whole and parts[3] == 'undo'", "false"),
    _lua("retried beside another", "I1", "expired_lines", "retry_run", "live_twin(row.uk)", "nil"),
    _lua("a refused retry sets nobody free", "I1", "expired_lines", "retry", "if #overdue > 0 then", "if false then"),
    _lua("keys never freed", "I1", "unique", "finish", "give_up_key(row.uk, id)\n", ""),
    _lua(
        "idempotency lost",
        "I2",
        "idempotency",
        "enqueue",
        "this.steps[#this.steps + 1] = {\n      remembers",
        "local nothing = {\n      remembers",
    ),
    _lua("idempotency for ever", "I2", "idempotency", "enqueue", "if tonumber(expires) <= NOW then", "if false then"),
    _lua("cancel flag ignored", "I5", "jobs_cancel", "cancel", "call('HSETNX', job_key(id), 'cr', reason)", ""),
    _lua("retry leaves the dead letter", "I11", "jobs_retry", "retry", "decide_letter(row.dl, 'R')", ""),
    _lua(
        "retry keeps the counts",
        "I10",
        "jobs_retry",
        "retry",
        "'cr', 'f', 'x')\n  row.f, row.x, row.dl = nil, nil, nil",
        "'cr')",
    ),
    _lua("another payload forgotten", "I11", "dlq", "replay", "ARGV[7] or letter.p", "letter.p"),
    _lua("replay does not mark", "I12", "dlq", "replay", "decide_letter(id, 'P', new_id)", ""),
    _lua("no dead letter", "I11", "jobs_finish", "finish", "bury(id, row, said.reason or 'failed', said.letter)", ""),
    _lua("terms stand still", "I26", "leadership", "acquire", "text(tonumber(row[2] or 0) + 1)", "row[2] or '1'"),
    _lua("an old term is extended", "I26", "leadership", "extend_term", "or row[2] ~= ARGV[3]", ""),
    _lua("get sees every tenant", "I31", "jobs_read", "get_job", "not scoped or", "true or"),
    _lua(
        "a tick fires twice",
        "I14",
        "crons",
        "cron_fire",
        "local known = call('HGET', P .. 'ct:' .. id, time)",
        "local known = nil",
    ),
    _lua("a stale fire fires", "I16", "crons", "cron_fire", "entry.revision ~= ARGV[3] or", ""),
)
