"""Jobs, definitions' places and outcomes as JSON documents, for the way to a worker subprocess and back."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import Any

from dispatch.clock import from_micros, micros
from dispatch.engine.outcome import Raised, Wish
from dispatch.ids import DLQID, JobID, WorkerID
from dispatch.jobs.definition import JobDefinition
from dispatch.jobs.model import Failure, Job, JobState
from dispatch.scope import Scope

_PLAIN = [
    "name",
    "queue",
    "kind",
    "lane",
    "priority",
    "failures",
    "crashes",
    "epoch",
    "max_retries",
    "timeout",
    "backoff",
    "keep_result",
    "reason",
    "cancel_requested",
    "unique_key",
    "effect_key",
    "metadata",
    "progress",
    "progress_note",
    "set_aside",
    "concurrency_key",
    "concurrency_max",
    "blocked",
]
_TIMES = [
    "created_at",
    "updated_at",
    "run_at",
    "lease_until",
    "started_at",
    "finished_at",
    "scheduled_at",
    "expires_at",
]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a definition's function can be imported from."""

    name: str
    qualname: str
    module: str
    main: bool = False
    """Whether it stands in the program that is running."""
    file: str | None = None
    """Of a program that was started as a file: that file."""


def place_of(definition: JobDefinition[..., Any]) -> Place:
    """Where a definition of this process can be found by another one."""
    function = definition.function
    module = function.__module__
    if module != "__main__":
        return Place(definition.name, function.__qualname__, module)
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return Place(definition.name, function.__qualname__, spec.name, main=True)
    return Place(definition.name, function.__qualname__, module, main=True, file=getattr(main, "__file__", None))


def job_document(job: Job) -> dict[str, Any]:
    """A job without its payload (which travels beside it) and result (which a running job has none of)."""
    document: dict[str, Any] = {name: getattr(job, name) for name in _PLAIN}
    for name in _TIMES:
        moment = getattr(job, name)
        document[name] = None if moment is None else micros(moment)
    document |= {
        "id": job.id,
        "state": job.state,
        "worker_id": job.worker_id,
        "error": None if job.error is None else asdict(job.error),
        "tags": job.tags,
        "scope": job.scope,
        "behind": job.behind,
        "replay_of": job.replay_of,
    }
    return document


def job_of(document: dict[str, Any], payload: bytes) -> Job:
    """The job of a document and its payload."""
    facts = dict(document)
    for name in _TIMES:
        facts[name] = None if facts[name] is None else from_micros(facts[name])
    for name, kind in (("worker_id", WorkerID), ("behind", JobID), ("replay_of", DLQID)):
        facts[name] = None if facts[name] is None else kind(facts[name])
    return Job(
        **{
            **facts,
            "id": JobID(facts["id"]),
            "state": JobState(facts["state"]),
            "payload": payload,
            "error": None if facts["error"] is None else Failure(**facts["error"]),
            "tags": tuple(facts["tags"]),
            "scope": Scope(*facts["scope"]),
        }
    )


def raised_document(raised: Raised) -> dict[str, Any]:
    """What was raised."""
    return asdict(raised)


def raised_of(document: dict[str, Any]) -> Raised:
    """What was raised, of its document."""
    return Raised(**{**document, "failure": Failure(**document["failure"]), "wish": Wish(document["wish"])})
