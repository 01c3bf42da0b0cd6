"""Listing, counting and placing jobs: reads that stay quick with a million rows."""

from __future__ import annotations

import heapq
from typing import Any

from dispatch.clock import micros
from dispatch.entity import LARGEST_PAGE, Page
from dispatch.ids import JobID
from dispatch.jobs.model import CountOptions, Job, JobState, ListOptions
from dispatch.stores.sql.plan import Plan, Rows, first
from dispatch.stores.sql.rows import job_of, names_text, optional_names, scope_params, to_text

AFTER_ANY_ID = "\U0010ffff"


def page_limit(limit: int) -> int:
    return max(1, min(limit, LARGEST_PAGE))


def list_jobs(options: ListOptions) -> Plan[Page[Job]]:
    """The plan of JobStore.list: one walk by id, or one short walk a state and kind, merged."""
    limit = page_limit(options.limit)
    tag = next(iter(options.tags), None)
    params: dict[str, Any] = {
        "cursor": options.cursor,
        "kinds": names_text(options.kinds),
        "queues": optional_names(options.queues),
        "names": optional_names(options.names),
        "tags": optional_names(options.tags),
        "tag_text": None if tag is None else to_text(tag),
        "created_after": None if options.created_after is None else micros(options.created_after),
        "created_before": None if options.created_before is None else micros(options.created_before),
        "limit": limit + 1,
        **scope_params(options.scope),
    }
    if not (options.states or options.queues or options.names or options.scope):
        rows = yield Rows("list_jobs", params)
    else:
        params["cursor"] = options.cursor or AFTER_ANY_ID
        walks = []
        for state in dict.fromkeys(options.states or JobState):
            for kind in dict.fromkeys(options.kinds):
                name = "list_running_jobs" if state == JobState.RUNNING else "list_jobs_in_state"
                walks.append((yield Rows(name, {**params, "state": str(state), "kind": kind})))
        rows = list(heapq.merge(*walks, key=lambda row: row[0], reverse=True))
    return page_of(rows, limit)


def page_of(rows: list[tuple[Any, ...]], limit: int) -> Page[Job]:
    items = [job_of(row) for row in rows[:limit]]
    return Page(items, str(items[-1].id) if len(rows) > limit else None)


def count_jobs(options: CountOptions) -> Plan[dict[JobState, int]]:
    """The plan of JobStore.count."""
    rows = yield Rows(
        "count_jobs",
        {
            "kinds": names_text(options.kinds),
            "queues": optional_names(options.queues),
            "names": optional_names(options.names),
            **scope_params(options.scope),
        },
    )
    return dict.fromkeys(JobState, 0) | {JobState(state): count for state, count in rows}


def ahead(job_id: JobID, limit: int, now: int) -> Plan[int]:
    """The plan of JobStore.ahead: higher priorities as a whole, then those of its own that come first."""
    place = first((yield Rows("job_place", {"id": str(job_id)})))
    if place is None:
        return 0
    queue, lane, own, run_at = place
    found = 0
    params = {"queue": queue, "lane": lane, "now": now, "run_at": run_at, "id": str(job_id)}
    for (priority,) in (yield Rows("priorities", {"queue": queue, "lane": lane})):
        if priority < own or found >= limit:
            break
        name = "count_due" if priority > own else "count_before"
        rows = yield Rows(name, {**params, "priority": priority, "limit": limit - found})
        found += rows[0][0]
    return found
