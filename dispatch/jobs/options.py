"""The options of a job: what the decorator and `.options()` share, and how they become a NewJob."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, TypedDict, get_args
from uuid import UUID

from pydantic_core import PydanticSerializationError, to_jsonable_python

from dispatch import backoff as backoffs
from dispatch.clock import LONGEST, Duration, seconds
from dispatch.errors import InvalidArguments
from dispatch.ids import JobID
from dispatch.jobs.base import NAME
from dispatch.jobs.limit import Limit
from dispatch.jobs.model import Idempotency, NewJob, OnConflict, Unique, UniqueUntil
from dispatch.scope import Scope

UniqueRule = bool | str | int | Callable[..., object]
"""True: unique by all arguments. A function: by what it makes of the arguments. Anything else: by that value."""

LARGEST_READABLE_KEY = 128
MOST_RETRIES = 1_000_000
MOST_TAGS = 64
LONGEST_TAG = 256
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_KINDS: dict[str, type] = {
    "queue": str,
    "priority": int,
    "run_at": datetime,
    "max_retries": int,
    "idempotency_key": str,
    "metadata": Mapping,
    "scope": Scope,
    "keep_result": bool,
}
_WORDS = {"on_conflict": get_args(OnConflict), "unique_until": get_args(UniqueUntil)}


class OptionsDict(TypedDict, total=False):
    """The keyword arguments of `@job(...)` and `.options(...)`; durations are seconds, timedelta or "30s"."""

    queue: str
    priority: int
    delay: Duration
    run_at: datetime
    expires_in: Duration
    timeout: Duration
    max_retries: int
    backoff: backoffs.Strategy
    unique: UniqueRule
    on_conflict: OnConflict
    unique_for: Duration
    unique_until: UniqueUntil
    idempotency_key: str
    tags: Sequence[str]
    metadata: Mapping[str, Any]
    scope: Scope
    keep_result: bool
    concurrency: Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueOptions:
    """Options as given; None means nobody said."""

    queue: str | None = None
    priority: int | None = None
    delay: Duration | None = None
    run_at: datetime | None = None
    expires_in: Duration | None = None
    timeout: Duration | None = None
    max_retries: int | None = None
    backoff: backoffs.Strategy | None = None
    unique: UniqueRule | None = None
    on_conflict: OnConflict | None = None
    unique_for: Duration | None = None
    unique_until: UniqueUntil | None = None
    idempotency_key: str | None = None
    tags: Sequence[str] | None = None
    metadata: Mapping[str, Any] | None = None
    scope: Scope | None = None
    keep_result: bool | None = None
    concurrency: Limit | None = None

    def __post_init__(self) -> None:
        for name in ("delay", "expires_in", "timeout", "unique_for"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _duration(name, value))
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise InvalidArguments(f"{name} is {value!r}; it must be of type {kind.__name__}")
        if self.run_at is not None and self.run_at.tzinfo is None:
            raise InvalidArguments("run_at has no time zone; use an aware datetime, such as datetime.now(UTC) + ...")
        if self.run_at is not None:
            object.__setattr__(self, "run_at", _utc(self.run_at))
        if self.run_at is not None and self.delay is not None:
            raise InvalidArguments("delay and run_at both say when; give one of them")
        if self.timeout == 0:
            raise InvalidArguments("timeout is 0, which no attempt can meet; leave it out for no timeout")
        if self.queue is not None and not NAME.fullmatch(self.queue):
            raise InvalidArguments(f"{self.queue!r} is no queue name: 1 to 128 of letters, digits and _ . : -")
        for name, words in _WORDS.items():
            value = getattr(self, name)
            if value is not None and value not in words:
                raise InvalidArguments(f"{name} is {value!r}; it is one of {', '.join(words)}")
        if self.concurrency is not None:
            object.__setattr__(self, "concurrency", Limit.of(self.concurrency))
        if self.max_retries is not None and not 0 <= self.max_retries <= MOST_RETRIES:
            raise InvalidArguments(f"max_retries is {self.max_retries}; it must lie between 0 and {MOST_RETRIES:,}")
        if isinstance(self.tags, str):
            raise InvalidArguments(f"tags is the text {self.tags!r}; give a list of texts")
        if self.tags is not None and not _are_texts(self.tags):
            raise InvalidArguments(f"tags is {self.tags!r}; give a list of texts")
        if self.tags is not None:
            _check_tags(self.tags)
        for name in ("unique", "idempotency_key"):
            if getattr(self, name) == "":
                raise InvalidArguments(f"{name} is empty, which would make one key of all such calls; leave it out")
        if self.priority is not None and not -32768 <= self.priority <= 32767:
            raise InvalidArguments(f"priority is {self.priority}; it must lie between -32768 and 32767")

    def over(self, base: EnqueueOptions) -> EnqueueOptions:
        """These options where they say something, else those of `base`; metadata and tags add up."""
        if self is NOTHING or base is NOTHING:
            return base if self is NOTHING else self
        merged = {f: getattr(base, f) if getattr(self, f) is None else getattr(self, f) for f in _FIELDS}
        if self.delay is not None and self.run_at is None:
            merged["run_at"] = None
        if self.run_at is not None and self.delay is None:
            merged["delay"] = None
        if base.metadata and self.metadata:
            merged["metadata"] = {**base.metadata, **self.metadata}
        if base.tags and self.tags:
            merged["tags"] = list(dict.fromkeys([*base.tags, *self.tags]))
        return EnqueueOptions(**merged)

    @classmethod
    def of(cls, given: OptionsDict) -> EnqueueOptions:
        """The options in a mapping; InvalidArguments names the nearest one for a name that is none."""
        for name in given:
            if name not in _FIELDS:
                near = difflib.get_close_matches(name, _FIELDS, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_FIELDS)}"
                raise InvalidArguments(f"there is no option {name!r}; {hint}")
        return cls(**given)


_FIELDS = tuple(f.name for f in fields(EnqueueOptions))
NOTHING = EnqueueOptions()
"""No options at all."""


def build_job(
    *,
    name: str,
    payload: bytes,
    options: EnqueueOptions,
    row: EnqueueOptions,
    scope: Scope,
    idempotency_ttl: float,
    unique_value: object = None,
    concurrency_value: object = None,
    default_queue: str = "default",
    metadata: Mapping[str, Any] | None = None,
) -> NewJob:
    """The NewJob of a call; `unique_value` is what a function given as `unique` made of the arguments, and
    `concurrency_value` what the key of a Limit made of them.

    `options` decide queue, time and keys; of what a worker can take from its own definition (retries, timeout,
    backoff, keep_result) only `row`, the options of this very call, is stored.
    """
    job_id = JobID.new()
    if options is NOTHING and row is NOTHING and unique_value is None and not metadata:
        return NewJob(job_id, name, payload, default_queue, scope=scope)
    if (
        options.delay is not None
        and options.expires_in is not None
        and seconds(options.expires_in) <= seconds(options.delay)
    ):
        raise InvalidArguments(
            f"{name}: expires_in ({options.expires_in} s) ends before the job is due (delay {options.delay} s), "
            "so it could never start"
        )
    owner = options.scope if options.scope is not None else scope
    return NewJob(
        id=job_id,
        name=name,
        payload=payload,
        queue=options.queue or default_queue,
        priority=options.priority or 0,
        run_at=options.run_at,
        delay=None if options.delay is None else seconds(options.delay),
        expires_in=None if options.expires_in is None else seconds(options.expires_in),
        max_retries=row.max_retries,
        timeout=None if row.timeout is None else seconds(row.timeout),
        backoff=None if row.backoff is None else backoffs.to_json(row.backoff),
        keep_result=row.keep_result,
        metadata={**(options.metadata or {}), **(metadata or {})},
        tags=tuple(options.tags or ()),
        scope=owner,
        unique=_unique(name, payload, options, unique_value, owner),
        idempotency=_idempotency(name, payload, options, owner, idempotency_ttl),
        concurrency_key=_concurrency_key(name, options.concurrency, concurrency_value, owner),
        concurrency_max=None if options.concurrency is None else options.concurrency.max,
    )


def _concurrency_key(name: str, limit: Limit | None, value: object, scope: Scope) -> str | None:
    if limit is None:
        return None
    chosen = limit.key if value is None else value
    text = "" if chosen is None or callable(chosen) else _short(_key_text(name, chosen, "concurrency key"))
    return f"{scope.tenant}|{limit.name or name}|{text}"


def _short(text: str) -> str:
    """The text, or its digest when nobody would read it to the end, or not every store could keep it."""
    if len(text) <= LARGEST_READABLE_KEY and not _UNSTORABLE.search(text):
        return text
    return "#" + hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def _unique(name: str, payload: bytes, options: EnqueueOptions, value: object, scope: Scope) -> Unique | None:
    rule = options.unique
    if rule is None or rule is False:
        return None
    if rule is True:
        text = "*" + hashlib.sha256(json.dumps(json.loads(payload), sort_keys=True).encode()).hexdigest()[:32]
    else:
        text = _short(_key_text(name, rule if value is None else value, "unique key"))
    return Unique(
        key=f"{scope.tenant}|{name}|{text}",
        on_conflict=options.on_conflict or "return",
        until=options.unique_until or "finish",
        hold_for=None if options.unique_for is None else seconds(options.unique_for),
    )


def _key_text(name: str, value: object, what: str) -> str:
    """The same text for equal values in every process, which a set's or a plain object's own text is not."""
    if isinstance(value, str | int | UUID):
        return str(value)
    try:
        plain = to_jsonable_python(sorted(value, key=repr) if isinstance(value, set | frozenset) else value)
    except PydanticSerializationError as error:
        raise InvalidArguments(f"{name}: {type(value).__name__} cannot be a {what}: {error}") from None
    return plain if isinstance(plain, str) else json.dumps(plain, sort_keys=True)


def _idempotency(name: str, payload: bytes, options: EnqueueOptions, scope: Scope, ttl: float) -> Idempotency | None:
    if options.idempotency_key is None:
        return None
    fingerprint = hashlib.sha256(name.encode() + b"\0" + payload).hexdigest()
    return Idempotency(key=f"{scope.tenant}|{options.idempotency_key}", fingerprint=fingerprint, ttl=ttl)


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except (OverflowError, ValueError):
        raise InvalidArguments(f"run_at is {moment.isoformat()}, which lies outside of the years 1 to 9999") from None


def _are_texts(tags: object) -> bool:
    return isinstance(tags, Iterable) and all(isinstance(tag, str) for tag in tags)


def _check_tags(tags: Sequence[str]) -> None:
    if len(tags) > MOST_TAGS:
        raise InvalidArguments(f"there are {len(tags)} tags; a job has at most {MOST_TAGS}")
    for tag in tags:
        if not tag or len(tag) > LONGEST_TAG:
            raise InvalidArguments(f"the tag {tag[:40]!r} has {len(tag)} characters; a tag has 1 to {LONGEST_TAG}")


def _duration(name: str, value: Duration) -> float:
    try:
        result = seconds(value)
    except (ValueError, TypeError) as error:
        raise InvalidArguments(f"{name}: {error}") from None
    if not 0 <= result < float("inf"):
        raise InvalidArguments(f"{name} is {value!r}; it must be a finite duration that is not negative")
    if result > LONGEST:
        raise InvalidArguments(f"{name} is {value!r}; a duration is at most a hundred years")
    return result
