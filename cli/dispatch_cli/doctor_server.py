"""What `dispatch doctor` makes of what a store's server says of itself."""

from __future__ import annotations

from collections.abc import Mapping

from dispatch_cli.findings import Check

_CLOCK_APART = 1.0
_OPEN_FOR_LONG = 600
_NEARLY = 0.9
_MB = 1_000_000


def of_server(facts: Mapping[str, str], *, pooler: bool = False) -> list[Check]:
    """A check for each fact that is known; `pooler`: what the configuration says of one in between."""
    if not facts:
        return []
    checks = [Check("server", "ok", facts["server"])]
    if "fsync" in facts:
        checks += _postgres(facts, pooler=pooler)
    if "innodb_flush_log_at_trx_commit" in facts:
        checks += _mysql(facts)
    if "maxmemory_policy" in facts:
        checks += _redis(facts)
    if "used_memory" in facts and "maxmemory" in facts:
        checks.append(_memory(int(facts["used_memory"]), int(facts["maxmemory"])))
    return [*checks, _clock(float(facts["clock_offset"]))]


def _postgres(facts: Mapping[str, str], *, pooler: bool) -> list[Check]:
    fsync, commit, oldest = facts["fsync"], facts["synchronous_commit"], int(facts["oldest_transaction"])
    pooled = facts["pooled"] == "on"
    checks = [
        Check("fsync", "ok", "on")
        if fsync == "on"
        else Check("fsync", "warn", f"{fsync}: a crash of the machine may damage everything", "set fsync = on"),
        Check("synchronous_commit", "ok", commit)
        if commit not in ("off", "false")
        else Check(
            "synchronous_commit",
            "warn",
            f"{commit}: what was acknowledged last may be lost in a crash of the server",
            "set synchronous_commit = on for this user unless that is meant",
        ),
        Check("oldest transaction", "ok", f"open for {oldest} s")
        if oldest < _OPEN_FOR_LONG
        else Check(
            "oldest transaction",
            "warn",
            f"open for {oldest} s: dead rows cannot be removed meanwhile, and claims become slower",
            "look for it in pg_stat_activity (xact_start); set idle_in_transaction_session_timeout",
        ),
    ]
    if pooled and not pooler:
        text = "connections come from a pooler that hands them out by transaction"
        checks.append(Check("pooler", "warn", text, "set pooler = true in [postgres]"))
    return checks


def _mysql(facts: Mapping[str, str]) -> list[Check]:
    flush = facts["innodb_flush_log_at_trx_commit"]
    isolation = facts["transaction_isolation"]
    return [
        Check("innodb_flush_log_at_trx_commit", "ok", "1: what was acknowledged survives a power failure")
        if flush == "1"
        else Check(
            "innodb_flush_log_at_trx_commit",
            "warn",
            f"{flush}: what was acknowledged in the last second may be lost",
            "set innodb_flush_log_at_trx_commit = 1 unless that is meant",
        ),
        Check("isolation", "ok", f"{isolation} by default; the store's transactions say their own"),
    ]


def _redis(facts: Mapping[str, str]) -> list[Check]:
    policy, keeps, sync = facts["maxmemory_policy"], facts["appendonly"] == "yes", facts.get("appendfsync")
    eviction = (
        Check("maxmemory-policy", "ok", policy)
        if policy == "noeviction"
        else Check(
            "maxmemory-policy",
            "warn",
            f"{policy}: the server throws jobs away when its memory is full, which allow_eviction accepts",
            "set maxmemory-policy noeviction, or use a server of its own",
        )
    )
    if not keeps:
        text = "no: only what the last snapshot holds survives a restart of the server"
        return [eviction, Check("appendonly", "warn", text, "set appendonly yes, appendfsync always")]
    if sync is not None and sync != "always":
        text = f"appendfsync {sync}: a crash of the machine may undo the last second"
        return [eviction, Check("appendonly", "warn", text, "set appendfsync always unless that is meant")]
    return [eviction, Check("appendonly", "ok", "yes" if sync is None else f"yes, appendfsync {sync}")]


def _memory(used: int, limit: int) -> Check:
    if not limit:
        return Check("memory", "ok", f"{used / _MB:,.1f} MB used, without a maxmemory")
    text = f"{used / _MB:,.1f} MB used of maxmemory {limit / _MB:,.1f} MB ({100 * used // limit} %)"
    advice = "raise maxmemory, let workers finish jobs, or shorten [retention]"
    if used >= limit:
        return Check("memory", "fail", f"{text}: new jobs are refused", advice)
    if used >= _NEARLY * limit:
        return Check("memory", "warn", f"{text}: at the limit new jobs are refused", advice)
    return Check("memory", "ok", text)


def _clock(offset: float) -> Check:
    text = f"the server's is {abs(offset):.1f} s {'ahead of' if offset > 0 else 'behind'} this machine's"
    if abs(offset) < _CLOCK_APART:
        return Check("clock", "ok", "the server's and this machine's agree")
    advice = "run NTP on both; run_at, leases and cron follow the server's, your own timestamps this machine's"
    return Check("clock", "warn", text, advice)
