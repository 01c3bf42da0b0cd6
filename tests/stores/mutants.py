"""Planted faults: each breaks one rule of a store, so that the conformance suite can be seen to notice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import from_json, to_json

from dispatch.dlq import DLQState
from dispatch.entity import Reply
from dispatch.jobs.model import Changed, Enqueued, JobState, NewJob, Transition, Verdict
from dispatch.scope import Scope

Verb = Callable[..., Awaitable[Any]]
Plant = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Fault:
    """A broken rule, where to look for the case that notices, and how to plant it."""

    name: str
    invariant: str
    """The one it breaks; empty: plain behaviour."""
    modules: tuple[str, ...]
    """Modules of the suite whose cases for that invariant are tried."""
    verbs: dict[str, Verb] | None = None
    """Over any store: "part.verb" → what it does instead, given the true part first."""
    plant: Plant | None = None
    """Inside one store: a context in which it is broken."""


class Sabotaged:
    """A store, or a part of one, some of whose verbs do something else."""

    def __init__(self, inner: Any, verbs: dict[str, Verb], part: str = "") -> None:
        self._inner = inner
        self._verbs = verbs
        self._part = part

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not self._part and any(key.startswith(f"{name}.") for key in self._verbs):
            return Sabotaged(value, self._verbs, f"{name}.")
        instead = self._verbs.get(self._part + name)
        if instead is None:
            return value
        return lambda *args, **options: instead(self._inner, *args, **options)

    def sibling(self) -> Sabotaged:
        return Sabotaged(self._inner.sibling(), self._verbs)


async def _finish_without_fence(jobs: Any, worker_id: Any, transitions: Any) -> Any:
    answers = []
    for said in transitions:
        row = await jobs.get(said.job_id)
        held = row is not None and row.state is JobState.RUNNING
        epoch, owner = (row.epoch, row.worker_id) if held else (said.epoch, worker_id)
        answers += await jobs.finish(owner, [replace(said, epoch=epoch)])
    return answers


async def _finish_without_epoch(jobs: Any, worker_id: Any, transitions: Any) -> Any:
    rows = [await jobs.get(said.job_id) for said in transitions]
    return await jobs.finish(
        worker_id,
        [replace(said, epoch=row.epoch if row else said.epoch) for said, row in zip(transitions, rows, strict=True)],
    )


async def _finish_in_two_steps(jobs: Any, worker_id: Any, transitions: Any) -> Any:
    """The follow-ups first, whatever becomes of the transition."""
    for said in transitions:
        await jobs.enqueue([replace(new, unique=None) for new in said.then])
    return await jobs.finish(worker_id, [replace(said, then=()) for said in transitions])


async def _finish_without_follow_ups(jobs: Any, worker_id: Any, transitions: Any) -> Any:
    return await jobs.finish(worker_id, [replace(said, then=()) for said in transitions])


async def _finish_once(jobs: Any, worker_id: Any, transitions: Any) -> Any:
    """A repeated transition is told stale."""
    rows = [await jobs.get(said.job_id) for said in transitions]
    answers = await jobs.finish(worker_id, transitions)
    return [
        replace(answer, reply=Reply.STALE) if row is not None and row.state is not JobState.RUNNING else answer
        for row, answer in zip(rows, answers, strict=True)
    ]


async def _release_that_counts(jobs: Any, worker_id: Any, held: Any) -> Any:
    answers = await jobs.finish(worker_id, [Transition(*pair, Verdict.RETRY) for pair in held])
    return [answer.reply for answer in answers]


async def _claim_one_more(jobs: Any, worker_id: Any, *, limit: int, **options: Any) -> Any:
    return await jobs.claim(worker_id, limit=limit + 1, **options)


async def _claim_and_forget_some(jobs: Any, worker_id: Any, **options: Any) -> Any:
    answer = await jobs.claim(worker_id, **options)
    return replace(answer, jobs=answer.jobs[:-1] if len(answer.jobs) > 2 else answer.jobs)


async def _claim_with_a_short_lease(jobs: Any, worker_id: Any, *, lease: float, **options: Any) -> Any:
    return await jobs.claim(worker_id, lease=lease / 2, **options)


async def _claim_greedily(jobs: Any, worker_id: Any, *, queues: Any, limit: int, **options: Any) -> Any:
    answer = await jobs.claim(worker_id, queues={}, limit=limit, **options)
    for queue, share in queues.items():
        left = limit - len(answer.jobs)
        more = await jobs.claim(worker_id, queues={queue: share}, limit=left, **options)
        answer = replace(more, jobs=answer.jobs + more.jobs)
    return answer


async def _enqueue_with(jobs: Any, news: Any, **changed: Any) -> Any:
    return await jobs.enqueue([replace(new, **changed) for new in news])


def _enqueuing(**changed: Any) -> dict[str, Verb]:
    return {"jobs.enqueue": lambda jobs, news: _enqueue_with(jobs, news, **changed)}


async def _enqueue_json(jobs: Any, news: Any) -> Any:
    """As a jsonb column would."""

    def rewritten(new: NewJob) -> NewJob:
        try:
            return replace(new, payload=to_json(from_json(new.payload)))
        except ValueError:
            return new

    return await jobs.enqueue([rewritten(new) for new in news])


async def _enqueue_one_by_one(jobs: Any, news: Any) -> list[Enqueued]:
    return [(await jobs.enqueue([new]))[0] for new in news]


async def _forgetful_renew(jobs: Any, worker_id: Any, held: Any, *, lease: float) -> Any:
    return replace(await jobs.renew(worker_id, held, lease=lease), unnamed=[])


async def _renew_that_lies(jobs: Any, worker_id: Any, held: Any, *, lease: float) -> Any:
    answer = await jobs.renew(worker_id, held, lease=lease)
    return replace(answer, held=[job_id for job_id, _ in held], lost=[])


async def _steal_for_ever(jobs: Any, *, max_crashes: int, **options: Any) -> Any:
    return await jobs.steal(max_crashes=1_000_000, **options)


async def _steal_at_once(jobs: Any, *, delays: Any, **options: Any) -> Any:
    return await jobs.steal(delays=[0.0], **options)


async def _cancel_none_of_many(jobs: Any, job_ids: Any, **options: Any) -> Any:
    return [Changed(Reply.APPLIED, JobState.CANCELLED) for _ in job_ids]


async def _cancel_waiting_only(jobs: Any, job_id: Any, **options: Any) -> Any:
    row = await jobs.get(job_id)
    if row is not None and row.state is JobState.RUNNING:
        return Changed(Reply.APPLIED, JobState.RUNNING)
    return await jobs.cancel(job_id, **options)


async def _cancel_after_the_end(jobs: Any, job_id: Any, **options: Any) -> Any:
    answer = await jobs.cancel(job_id, **options)
    return replace(answer, reply=Reply.APPLIED) if answer.reply is Reply.CONFLICT else answer


def _any_tenant(verb: str) -> Verb:
    async def instead(part: Any, *args: Any, scope: Any = None, **options: Any) -> Any:
        return await getattr(part, verb)(*args, **options)

    return instead


async def _list_any_tenant(part: Any, options: Any) -> Any:
    return await part.list(replace(options, scope=None))


async def _nothing_aside(jobs: Any, **options: Any) -> int:
    return 0


async def _configure_without(queues: Any, config: Any, **changed: Any) -> None:
    await queues.configure(replace(config, **changed))


def _configuring(**changed: Any) -> dict[str, Verb]:
    return {"queues.configure": lambda queues, config: _configure_without(queues, config, **changed)}


async def _leads_always(cluster: Any, worker_id: Any, *, lease: float) -> Any:
    return replace(await cluster.acquire_leadership(worker_id, lease=lease), leader=worker_id)


async def _renews_any_term(cluster: Any, worker_id: Any, term: int, *, lease: float) -> Reply:
    await cluster.renew_leadership(worker_id, term, lease=lease)
    return Reply.APPLIED


async def _replay_unedited(dlq: Any, *which: Any, payload: Any = None, **options: Any) -> Any:
    """The new job carries what the old one did, whatever was said."""
    return await dlq.replay(*which, **options)


async def _replay_again(dlq: Any, entry_id: Any, new_id: Any, **options: Any) -> Any:
    """An entry that was replayed answers that it was replayed anew."""
    answer = await dlq.replay(entry_id, new_id, **options)
    if answer.reply is Reply.CONFLICT and answer.state is DLQState.REPLAYED:
        return replace(answer, reply=Reply.APPLIED, job_id=new_id)
    return answer


async def _discard_always(dlq: Any, entry_id: Any, **options: Any) -> Any:
    answer = await dlq.discard(entry_id, **options)
    return Reply.APPLIED if answer is Reply.CONFLICT else answer


async def _offset_pages(dlq: Any, options: Any) -> Any:
    """The cursor is how many were shown."""
    skip = int(options.cursor or 0)
    page = await dlq.list(replace(options, cursor=None, limit=500))
    shown = page.items[skip : skip + options.limit]
    more = len(page.items) > skip + options.limit
    return replace(page, items=shown, next_cursor=str(skip + options.limit) if more else None)


ANYWHERE = (
    Fault("finish drops worker and epoch", "I4", ("jobs_fence",), {"jobs.finish": _finish_without_fence}),
    Fault("finish drops the epoch", "I4", ("jobs_fence",), {"jobs.finish": _finish_without_epoch}),
    Fault("follow-ups before the transition", "I4", ("followups",), {"jobs.finish": _finish_in_two_steps}),
    Fault("follow-ups lost", "I1", ("followups",), {"jobs.finish": _finish_without_follow_ups}),
    Fault("a repeated finish is stale", "I2", ("jobs_finish",), {"jobs.finish": _finish_once}),
    Fault("release counts an attempt", "I30", ("jobs_lease",), {"jobs.release": _release_that_counts}),
    Fault("claim takes one more", "I7", ("jobs_claim",), {"jobs.claim": _claim_one_more}),
    Fault("claim marks more than it returns", "I7", ("jobs_claim",), {"jobs.claim": _claim_and_forget_some}),
    Fault("leases half as long", "I29", ("steal", "jobs_lease"), {"jobs.claim": _claim_with_a_short_lease}),
    Fault("the first queue starves the others", "I29", ("jobs_claim",), {"jobs.claim": _claim_greedily}),
    Fault("run_at ignored", "I6", ("jobs_claim",), _enqueuing(run_at=None, delay=None)),
    Fault("priority ignored", "I6", ("jobs_claim",), _enqueuing(priority=0)),
    Fault("unique keys ignored", "I1", ("unique",), _enqueuing(unique=None)),
    Fault("idempotency lost", "I2", ("idempotency",), _enqueuing(idempotency=None)),
    Fault("expiry ignored", "I1", ("jobs_gates",), _enqueuing(expires_in=None)),
    Fault("tenant lost", "I31", ("jobs_read",), _enqueuing(scope=Scope())),
    Fault("payload rewritten as JSON", "I11", ("payloads",), {"jobs.enqueue": _enqueue_json}),
    Fault("an enqueue of many is many enqueues", "I1", ("unique",), {"jobs.enqueue": _enqueue_one_by_one}),
    Fault("renew does not tell of lost claims", "I8", ("jobs_lease",), {"jobs.renew": _forgetful_renew}),
    Fault("renew says held of what was stolen", "I4", ("jobs_lease",), {"jobs.renew": _renew_that_lies}),
    Fault("crashes never bury", "I10", ("steal",), {"jobs.steal": _steal_for_ever}),
    Fault("a stolen job is due at once", "I10", ("steal",), {"jobs.steal": _steal_at_once}),
    Fault("cancel flag ignored", "I5", ("jobs_cancel",), {"jobs.cancel": _cancel_waiting_only}),
    Fault("many are cancelled in name only", "I5", ("jobs_cancel",), {"jobs.cancel_many": _cancel_none_of_many}),
    Fault("cancel after the end", "I5", ("jobs_cancel",), {"jobs.cancel": _cancel_after_the_end}),
    Fault("get sees every tenant", "I31", ("jobs_read",), {"jobs.get": _any_tenant("get")}),
    Fault("list sees every tenant", "I31", ("jobs_read",), {"jobs.list": _list_any_tenant}),
    Fault("cancel sees every tenant", "I31", ("jobs_cancel",), {"jobs.cancel": _any_tenant("cancel")}),
    Fault("replay sees every tenant", "I31", ("dlq",), {"dlq.replay": _any_tenant("replay")}),
    Fault("dead letters of every tenant listed", "I31", ("dlq_read",), {"dlq.list": _list_any_tenant}),
    Fault("events of every tenant", "I31", ("events",), {"events.get": _any_tenant("get")}),
    Fault("unserved jobs stay in the way", "I29", ("aside",), {"jobs.set_aside": _nothing_aside}),
    Fault("queue limit ignored", "I28", ("jobs_gates",), _configuring(max_concurrency=None)),
    Fault("tenant limit ignored", "I28", ("jobs_gates",), _configuring(tenant_concurrency=None)),
    Fault("no turns for tenants", "I29", ("jobs_gates",), _configuring(fair=False)),
    Fault("two leaders", "I26", ("leadership",), {"cluster.acquire_leadership": _leads_always}),
    Fault("an old term is renewed", "I26", ("leadership",), {"cluster.renew_leadership": _renews_any_term}),
    Fault("another payload forgotten", "I11", ("dlq",), {"dlq.replay": _replay_unedited}),
    Fault("a second replay applied", "I12", ("dlq",), {"dlq.replay": _replay_again}),
    Fault("a decided entry discarded", "I12", ("dlq",), {"dlq.discard": _discard_always}),
    Fault("pages by offset", "I12", ("dlq_read",), {"dlq.list": _offset_pages}),
)
