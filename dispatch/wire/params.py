"""What each method of the wire protocol takes, as its data."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from dispatch.entity import LARGEST_PAGE, PAGE_SIZE
from dispatch.jobs.model import JobState
from dispatch.workflows.model import RunState

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:\-]{1,128}$")]
Key = Annotated[str, Meta(min_length=1, max_length=500)]
Text = Annotated[str, Meta(max_length=300)]
Limit = Annotated[int, Meta(ge=1, le=LARGEST_PAGE)]
Seconds = Annotated[float, Meta(ge=0, le=3_155_760_000)]
Names = Annotated[list[Name], Meta(max_length=50)]


class Params(Struct, kw_only=True, forbid_unknown_fields=True):
    """The data of a request."""


class Enqueue(Params):
    """job.enqueue"""

    name: Name
    payload: Any = None
    queue: Name | None = None
    priority: int | None = None
    run_at: datetime | None = None
    delay: Seconds | None = None
    unique: Key | bool | None = None
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class OneJob(Params):
    """job.get, job.cancel"""

    job_id: Text


class ManyJobs(Params):
    """job.list"""

    state: list[JobState] = []
    queue: Names = []
    name: Names = []
    tag: Annotated[list[Text], Meta(max_length=50)] = []
    limit: Limit = PAGE_SIZE
    cursor: Text | None = None


class Start(Params):
    """workflow.start"""

    name: Name
    input: Any = None
    version: Annotated[int, Meta(ge=1, le=2**31)] | None = None
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class OneRun(Params):
    """workflow.get, workflow.cancel, workflow.timeline"""

    run_id: Text


class ManyRuns(Params):
    """workflow.list"""

    state: list[RunState] = []
    name: Names = []
    limit: Limit = PAGE_SIZE
    cursor: Text | None = None


class Publish(Params):
    """workflow.event"""

    name: Name
    payload: Any = None
    key: Text | int | None = None
    run_id: Text | None = None


class Replay(Params):
    """workflow.replay"""

    run_id: Text
    from_step: Text


class ManyCrons(Params):
    """cron.list"""

    enabled: bool | None = None
    name: Annotated[list[Text], Meta(max_length=50)] = []
    limit: Limit = PAGE_SIZE
    cursor: Text | None = None


class ManyLetters(Params):
    """dlq.list"""

    queue: Names = []
    name: Names = []
    limit: Limit = PAGE_SIZE
    cursor: Text | None = None


class OneLetter(Params):
    """dlq.replay; older clients say `id`"""

    dlq_id: Text = ""
    id: Text = ""


class Nothing(Params):
    """stats"""


class Subscribe(Params):
    """subscribe"""

    channel: Text
    credits: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    after: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None


class Unsubscribe(Params):
    """unsubscribe"""

    channel: Text = ""
    subscription_id: Text = ""


class Auth(Params):
    """auth"""

    token: Annotated[str, Meta(max_length=1000)] = ""
    format: Annotated[str, Meta(max_length=20)] = "json"
