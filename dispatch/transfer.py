"""Transfer: everything a store keeps for good, as plain documents that any other store can take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, get_args

from dispatch.entity import Page
from dispatch.errors import DataRejected
from dispatch.jobs.model import JobState, Verdict

TransferKind = Literal[
    "definitions",
    "queues",
    "runs",
    "checkpoints",
    "child_results",
    "waits",
    "jobs",
    "unique_keys",
    "idempotency",
    "dlq",
    "events",
    "records",
    "cron_codes",
    "crons",
    "cron_ticks",
]
KINDS: tuple[TransferKind, ...] = get_args(TransferKind)
"""The kinds in the order in which they are to be loaded: a run comes before its driver, so that nobody claims it before
its journal is there. Workers, leases of slots, the leader and the stream stay."""
RUN_KINDS: tuple[TransferKind, ...] = ("runs", "checkpoints", "child_results", "waits")
"""The kinds that hold workflow runs but for their drivers."""

Document = dict[str, Any]
"""One row: fields by name. Times are whole microseconds since 1970, UTC; payloads, results and values are bytes; ids,
states and kinds are text; `metadata`, `backoff`, `schema`, `options`, `spec` are objects, `tags`, `groups` and (of
waits) `events` lists; the rest are scalars. None stands for what is open or unknown; flags are true or false."""

_ERROR = ("error_type", "error_message", "error_traceback")
_SCOPE = ("app_id", "org_id")
_OPTIONS = ("priority", "max_retries", "timeout", "backoff", "keep_result")

FIELDS: Mapping[TransferKind, tuple[str, ...]] = {
    "definitions": ("name", "kind", "version", "queue", "schema", "options"),
    "queues": (
        *("name", "max_concurrency", "rate_limit", "rate_burst", "fair", "tenant_concurrency"),
        *("paused_at", "paused_until", "paused_by", "pause_reason"),
    ),
    "runs": (
        *("id", "created_at", "updated_at", "name", "version", "state", "driver", "reason", "blocked"),
        *("compensating", "compensated", "compensation_failed", "parked", "wake_seq", "parent", "step", "awaited"),
        *("abandon", "forked_from", *_SCOPE, "started_at", "finished_at", "wakes_at", *_ERROR, "result", "groups"),
    ),
    "checkpoints": (
        *("run_id", "position", "id", "name", "kind", "attempt", "worker_id", "event_id", "inherited"),
        *("started_at", "created_at", "updated_at", "data"),
    ),
    "child_results": ("run_id", "step", "child", "state", *_ERROR, "result"),
    "waits": ("run_id", "name", "events", "key", "since", "deadline"),
    "jobs": (
        *("id", "created_at", "updated_at", "name", "queue", "state", "payload", "run_at", "kind", "lane"),
        *("failures", "crashes", "epoch", "worker_id", "lease_until", "started_at", "finished_at", "scheduled_at"),
        *("expires_at", *_OPTIONS, "result", *_ERROR, "reason", "cancel_reason"),
        *("unique_key", "unique_until", "hold_until", "effect_key", "metadata", "tags", *_SCOPE),
        *("progress", "progress_note", "set_aside", "behind", "replay_of", "concurrency_key", "concurrency_max"),
        *("left_as", "run_id", "step", "attempts"),
    ),
    "unique_keys": ("key", "job_id", "live", "hold_until"),
    "idempotency": ("tenant", "key", "job_id", "fingerprint", "expires_at"),
    "dlq": (
        *("id", "created_at", "updated_at", "job_id", "job_name", "queue", "kind", "lane", "state", "reason"),
        *(*_ERROR, "payload", "failures", "crashes", *_OPTIONS, "unique_key", "unique_until", "effect_key"),
        *("metadata", "tags", *_SCOPE, "replayed_as", "concurrency_key", "concurrency_max"),
    ),
    "events": ("id", "created_at", "name", "key", "run_id", *_SCOPE, "payload", "consumed"),
    "records": ("namespace", "key", "value", "version", "created_at", "updated_at", "expires_at"),
    "cron_codes": ("digest", "spec", "first_seen"),
    "crons": (
        *("id", "spec", "enabled", "disabled_until", "disabled_reason", "disabled_by", "revision", "code_hash"),
        *("orphaned", "anchor", "last_fired_at", "next_fire_at", "created_at", "updated_at"),
    ),
    "cron_ticks": ("entry_id", "scheduled_at", "outcome", "fired_at", "job_id", "run_id", "note"),
}
"""The fields of each kind's documents. Of jobs: `unique_until` and `hold_until` are set with a `unique_key` only;
`cancel_reason` is set when cancellation was requested; `left_as` is "worker:epoch:verdict" of the transition that ended
the latest claim; `attempts` are documents with ATTEMPT_FIELDS, oldest first. Of runs: queue, tags, metadata and input
are those of the job that is its `driver`; `blocked` says why it is, while it is; `groups` are what a parked run waits
for, objects with `mode` and `steps`, those whose children have not ended, sorted. Of events: `consumed` marks a signal
that its run has taken."""

KEYS: Mapping[TransferKind, tuple[str, ...]] = {
    "definitions": ("name", "kind", "version"),
    "queues": ("name",),
    "runs": ("id",),
    "checkpoints": ("run_id", "position"),
    "child_results": ("run_id", "step"),
    "waits": ("run_id", "name"),
    "jobs": ("id",),
    "unique_keys": ("key",),
    "idempotency": ("tenant", "key"),
    "dlq": ("id",),
    "events": ("id",),
    "records": ("namespace", "key"),
    "cron_codes": ("digest",),
    "crons": ("id",),
    "cron_ticks": ("entry_id", "scheduled_at"),
}
"""The fields that make a document's key; exports are in their order, texts compared by code point."""

ATTEMPT_FIELDS = ("number", "kind", *_ERROR, "worker_id", "epoch", "started_at", "ended_at")


class TransferStore(Protocol):
    """The transfer part of a Store: what moves from store to store."""

    async def count(self) -> dict[TransferKind, int]:
        """How many documents of each kind there are; every kind is a key."""
        ...

    async def export(self, kind: TransferKind, *, after: str | None = None, limit: int = 500) -> Page[Document]:
        """Documents of a kind in the order of their keys, from the first one behind the cursor `after` on.

        The order is that of ids or names and does not depend on when a row was written or changed, so that a walk
        meets every row that is there all the while exactly once. A page may hold fewer than `limit` when rows are
        large, but at least one; `next_cursor` is None only on a page without documents: nothing was left. Nobody
        else's work is held up.
        """
        ...

    async def load(self, kind: TransferKind, documents: Sequence[Document]) -> int:
        """Writes documents as they are, all or none, in one durable transaction; answers how many were not there yet.

        A row with the same id (name, key) stays as it is, so that the same call again changes nothing. Jobs take their
        place at once: waiting ones are claimable (within their concurrency keys, whose maximum is that of the
        unfinished job loaded last), running ones may be finished by their worker and epoch, or stolen when their lease
        lapses; drivers go on with their runs, parked ones wake as before. The kinds are loaded in the order of KINDS.

        Raises:
            DataRejected: a document has other fields than FIELDS names, or values that no row can hold; nothing was
                written.
        """
        ...


def checked(kind: TransferKind, documents: Sequence[Document]) -> Sequence[Document]:
    """The documents, each with exactly the fields of its kind.

    Raises:
        DataRejected: one has others.
    """
    wanted = frozenset(FIELDS[kind])
    for document in documents:
        if document.keys() != wanted:
            odd = ", ".join(sorted(document.keys() ^ wanted))
            raise DataRejected(f"a document of {kind} lacks or has in excess: {odd}; nothing was written")
    return documents


def left_as(job: Document) -> str | None:
    """How the latest claim ended: a plain completion is not written down, and what ended an earlier claim is over.

    Takes `state`, `worker_id`, `epoch` and what was written down as `left_as`; answers what the document says, the same
    whatever store the job is in.
    """
    kept: str | None = job["left_as"]
    worker, epoch, state = job["worker_id"], job["epoch"], job["state"]
    if kept is not None and state != JobState.RUNNING and kept.split(":")[1:2] == [str(epoch)]:
        return kept
    if state == JobState.COMPLETED and worker is not None:
        return f"{worker}:{epoch}:{Verdict.COMPLETE.value}"
    return None
