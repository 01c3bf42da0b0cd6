"""More faults over any store: broken reads, races by acting in two steps, and the parts beside the jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mutants import Fault, Verb
from pydantic_core import from_json, to_json

from dispatch.dlq import DLQState, Replayed
from dispatch.entity import Page, Reply
from dispatch.events import Event
from dispatch.ids import JobID
from dispatch.jobs.model import (
    WAITING,
    Changed,
    Enqueued,
    Finished,
    JobState,
    ListOptions,
    NewJob,
    Transition,
    Verdict,
)
from dispatch.streams import StreamPage


def _nothing(answer: Any) -> Verb:
    """Does nothing and answers that."""

    async def instead(part: Any, *args: Any, **options: Any) -> Any:
        return answer

    return instead


def _also(verb: str, **changed: Any) -> Verb:
    """Does what was asked with some options changed."""

    async def instead(part: Any, *args: Any, **options: Any) -> Any:
        return await getattr(part, verb)(*args, **{**options, **changed})

    return instead


def _says(verb: str, answer: Any) -> Verb:
    """Does what was asked, but answers always the same."""

    async def instead(part: Any, *args: Any, **options: Any) -> Any:
        await getattr(part, verb)(*args, **options)
        return answer

    return instead


async def _enqueue_new_ids(jobs: Any, news: Any) -> Any:
    """An id that is there already is taken for another job's."""
    fresh = [replace(new, id=JobID.new()) if await jobs.get(new.id) else new for new in news]
    return await jobs.enqueue(fresh)


async def _enqueue_after_a_look(jobs: Any, news: Any) -> Any:
    """Looks for holders of the keys first and inserts later."""
    answers = []
    for new in news:
        page: Page[Any] = await jobs.list(ListOptions(limit=500))
        twin = next((job for job in page.items if new.unique and job.unique_key == new.unique.key), None)
        await asyncio.sleep(0.001)
        if twin is not None:
            answers.append(Enqueued(twin.id, created=False))
        else:
            answers += await jobs.enqueue([NewJob(new.id, new.name, new.payload, delay=new.delay)])
    return answers


async def _claim_and_steal(jobs: Any, worker_id: Any, **options: Any) -> Any:
    """A claim that takes lapsed rows too."""
    await jobs.steal(limit=100, max_crashes=99, delays=[0.0])
    return await jobs.claim(worker_id, **options)


async def _claim_without_a_hint(jobs: Any, worker_id: Any, **options: Any) -> Any:
    return replace(await jobs.claim(worker_id, **options), next_due=None)


async def _finish_json(jobs: Any, worker_id: Any, transitions: Any) -> Any:
    def rewritten(said: Any) -> Any:
        try:
            return replace(said, result=said.result and to_json(from_json(said.result)))
        except ValueError:
            return said

    return await jobs.finish(worker_id, [rewritten(said) for said in transitions])


async def _finish_after_a_look(jobs: Any, worker_id: Any, transitions: Any) -> Any:
    """Checks the fence first and writes later in whosever name it then is."""
    rows = [await jobs.get(said.job_id) for said in transitions]
    await asyncio.sleep(0.001)
    answers = await jobs.finish(worker_id, transitions)
    return [
        replace(answer, reply=Reply.APPLIED)
        if row and row.state is JobState.RUNNING and (row.worker_id, row.epoch) == (worker_id, said.epoch)
        else answer
        for row, said, answer in zip(rows, transitions, answers, strict=True)
    ]


def _finish_saying(change: Callable[[Transition], Transition]) -> dict[str, Verb]:
    """Finishes with other transitions than those given."""

    async def instead(jobs: Any, worker_id: Any, transitions: Any) -> Any:
        return await jobs.finish(worker_id, [change(said) for said in transitions])

    return {"jobs.finish": instead}


def _instead_of(this: Verdict, that: Verdict) -> dict[str, Verb]:
    return _finish_saying(lambda said: replace(said, verdict=that) if said.verdict is this else said)


async def _finish_in_time_only(jobs: Any, worker_id: Any, transitions: Any) -> Any:
    """A lapsed lease is as good as stolen."""
    now = (await jobs.claim(worker_id, queues={}, names=[], limit=0, lease=1.0)).now
    rows = [await jobs.get(said.job_id) for said in transitions]
    late = [bool(row and row.lease_until and row.lease_until < now) for row in rows]
    answers = await jobs.finish(
        worker_id, [said for said, is_late in zip(transitions, late, strict=True) if not is_late]
    )
    return [Finished(Reply.STALE) if is_late else answers.pop(0) for is_late in late]


async def _cancel_running_only(jobs: Any, job_id: Any, **options: Any) -> Any:
    row = await jobs.get(job_id)
    if row is not None and row.state in WAITING:
        return Changed(Reply.APPLIED, JobState.CANCELLED)
    return await jobs.cancel(job_id, **options)


async def _report_for_anybody(jobs: Any, worker_id: Any, reports: Any) -> Any:
    replies = []
    for job_id, epoch, *rest in reports:
        row = await jobs.get(job_id)
        owner, now = (row.worker_id, row.epoch) if row and row.worker_id else (worker_id, epoch)
        replies += await jobs.progress(owner, [(job_id, now, *rest)])
    return replies


async def _release_for_anybody(jobs: Any, worker_id: Any, held: Any) -> Any:
    replies = []
    for job_id, epoch in held:
        row = await jobs.get(job_id)
        owner, now = (row.worker_id, row.epoch) if row and row.worker_id else (worker_id, epoch)
        replies += await jobs.release(owner, [(job_id, now)])
    return replies


async def _count_without_names(jobs: Any, options: Any) -> Any:
    return await jobs.count(replace(options, names=()))


async def _list_by_offset(part: Any, options: Any) -> Any:
    skip = int(options.cursor or 0)
    page = await part.list(replace(options, cursor=None, limit=500))
    more = len(page.items) > skip + options.limit
    return Page(page.items[skip : skip + options.limit], str(skip + options.limit) if more else None)


async def _list_any_tag(jobs: Any, options: Any) -> Any:
    return await jobs.list(replace(options, tags=()))


async def _replay_then_mark(dlq: Any, entry_id: Any, new_id: Any, **options: Any) -> Any:
    """Looks whether the entry is open, and decides later."""
    entry = await dlq.get(entry_id)
    await asyncio.sleep(0.001)
    answer = await dlq.replay(entry_id, new_id, **options)
    if entry is not None and entry.state is DLQState.OPEN:
        return Replayed(Reply.APPLIED, new_id, DLQState.REPLAYED)
    return answer


async def _publish_anew(events: Any, event: Event) -> Any:
    if await events.get(event.id):
        event = replace(event, id=Event("x").id)
    return await events.publish(event)


async def _events_of_any_tenant(events: Any, options: Any) -> Any:
    return await events.list(replace(options, scope=None))


async def _keep_everything(stream: Any, entries: Any) -> Any:
    for entry in entries:
        await stream.listen([entry.channel], "nobody", lease=0.000001)
    return await stream.append(entries)


async def _never_reset(stream: Any, channels: Any, position: int, **options: Any) -> StreamPage:
    page: StreamPage = await stream.read_after(channels, position, **options)
    return replace(page, gaps=frozenset())


async def _one_channel(stream: Any, channels: Any, position: int, **options: Any) -> StreamPage:
    page: StreamPage = await stream.read_after(sorted(channels)[:1], position, **options)
    return page


async def _prune_what_counts(stream: Any, **options: Any) -> int:
    count: int = await stream.prune(**{**options, "dry_run": False})
    return count


async def _list_with_no_tokens(queues: Any) -> Any:
    return [replace(info, tokens=None if info.tokens is None else 0.0) for info in await queues.list()]


async def _finish_without_due(jobs: Any, worker_id: Any, transitions: Any) -> Any:
    return [replace(answer, run_at=None) for answer in await jobs.finish(worker_id, transitions)]


FAULTS = (
    Fault("a known id makes a second job", "I2", ("jobs_enqueue", "races"), {"jobs.enqueue": _enqueue_new_ids}),
    Fault("unique: look, then insert", "I2", ("races",), {"jobs.enqueue": _enqueue_after_a_look}),
    Fault("claim steals", "I3", ("jobs_claim",), {"jobs.claim": _claim_and_steal}),
    Fault("claim takes other names", "I7", ("jobs_claim",), {"jobs.claim": _also("claim", names=["work", "other"])}),
    Fault("claim has no next_due", "", ("jobs_claim",), {"jobs.claim": _claim_without_a_hint}),
    Fault("results rewritten as JSON", "I11", ("payloads",), {"jobs.finish": _finish_json}),
    Fault("finish: look, then write", "I4", ("races",), {"jobs.finish": _finish_after_a_look}),
    Fault("results dropped", "I1", ("jobs_finish",), _finish_saying(lambda said: replace(said, result=None))),
    Fault(
        "every death has a letter",
        "I11",
        ("jobs_finish",),
        _finish_saying(lambda said: replace(said, dead_letter=True)),
    ),
    Fault("delays ignored", "I10", ("jobs_finish",), _finish_saying(lambda said: replace(said, delay=0.0))),
    Fault("snooze counts", "I10", ("jobs_finish",), _instead_of(Verdict.SNOOZE, Verdict.RETRY)),
    Fault("cancel is failure", "I5", ("jobs_finish",), _instead_of(Verdict.CANCEL, Verdict.FAIL)),
    Fault("a lapsed claim is stale", "I3", ("jobs_finish",), {"jobs.finish": _finish_in_time_only}),
    Fault("waiting jobs are not cancelled", "I5", ("jobs_cancel",), {"jobs.cancel": _cancel_running_only}),
    Fault(
        "retry does nothing", "", ("jobs_retry",), {"jobs.retry": _nothing(Changed(Reply.APPLIED, JobState.PENDING))}
    ),
    Fault("progress in any name", "I4", ("jobs_lease",), {"jobs.progress": _report_for_anybody}),
    Fault("progress dropped", "", ("jobs_lease",), {"jobs.progress": _nothing([Reply.APPLIED])}),
    Fault("release in any name", "I4", ("jobs_lease",), {"jobs.release": _release_for_anybody}),
    Fault("renew extends nothing", "I3", ("jobs_lease",), {"jobs.renew": _also("renew", lease=0.0)}),
    Fault("counts of all names", "", ("jobs_read",), {"jobs.count": _count_without_names}),
    Fault("job pages by offset", "", ("jobs_read",), {"jobs.list": _list_by_offset}),
    Fault("tags ignored", "", ("jobs_read",), {"jobs.list": _list_any_tag}),
    Fault("nobody is ahead", "", ("jobs_read",), {"jobs.ahead": _nothing(0)}),
    Fault("steal knows no limit", "I29", ("steal",), {"jobs.steal": _also("steal", limit=1000)}),
    Fault("quarantine never due", "I10", ("jobs_gates",), {"jobs.quarantined": _nothing(False)}),
    Fault("nobody is buried unserved", "I11", ("aside",), {"jobs.bury_unserved": _nothing([])}),
    Fault("replay: look, then mark", "I12", ("races",), {"dlq.replay": _replay_then_mark}),
    Fault("purge knows no age", "I12", ("dlq",), {"dlq.purge": _also("purge", older_than=0.0)}),
    Fault("purge knows no state", "I12", ("dlq",), {"dlq.purge": _also("purge", states=())}),
    Fault("no dead letter groups", "", ("dlq_read",), {"dlq.groups": _nothing([])}),
    Fault("a pause is forgotten", "", ("jobs_gates",), {"queues.pause": _nothing(None)}),
    Fault("a pause has no end", "", ("jobs_gates", "queues"), {"queues.pause": _also("pause", duration=None)}),
    Fault("anybody ends a pause earlier", "", ("queues",), {"queues.pause": _also("pause", force=True)}),
    Fault("slots without a limit", "I28", ("queues",), {"queues.take_slot": _nothing(Reply.APPLIED)}),
    Fault("slots are never free", "I28", ("queues",), {"queues.free_slot": _nothing(Reply.APPLIED)}),
    Fault("a lapsed slot is renewed", "I28", ("queues",), {"queues.renew_slot": _says("renew_slot", Reply.APPLIED)}),
    Fault("no slot is renewed", "I28", ("queues",), {"queues.renew_slot": _nothing(Reply.APPLIED)}),
    Fault("a rate's tokens do not refill for the eye", "", ("queues",), {"queues.list": _list_with_no_tokens}),
    Fault("when a retry is due is kept secret", "", ("jobs_finish",), {"jobs.finish": _finish_without_due}),
    Fault("beats are lost", "", ("cluster",), {"cluster.beat": _nothing(Reply.APPLIED)}),
    Fault("nobody retires", "", ("cluster",), {"cluster.retire": _nothing(Reply.APPLIED)}),
    Fault("nobody drains", "", ("cluster",), {"cluster.drain": _nothing(Reply.APPLIED)}),
    Fault("the dead are listed as live", "", ("cluster",), {"cluster.list": _also("list", live=False)}),
    Fault("announcements are lost", "", ("cluster",), {"cluster.announce": _nothing(None)}),
    Fault("nobody resigns", "I26", ("leadership",), {"cluster.resign": _nothing(Reply.APPLIED)}),
    Fault("no term is extended", "I26", ("leadership",), {"cluster.renew_leadership": _nothing(Reply.APPLIED)}),
    Fault("versions are not compared", "", ("records",), {"records.put": _also("put", if_version=None)}),
    Fault("records for ever", "", ("records",), {"records.put": _also("put", expires_in=None)}),
    Fault("delete compares no version", "", ("records",), {"records.delete": _also("delete", if_version=None)}),
    Fault("records go one way only", "", ("records",), {"records.list": _also("list", descending=False)}),
    Fault("delete takes any state", "", ("retention",), {"jobs.delete": _also("delete", states=None)}),
    Fault("no prefix", "", ("records",), {"records.list": _also("list", prefix="")}),
    Fault("entries nobody listens to are kept", "", ("stream",), {"stream.append": _keep_everything}),
    Fault("a gap is not told", "", ("stream",), {"stream.read_after": _never_reset}),
    Fault("reads without a bound", "", ("stream",), {"stream.read_after": _also("read_after", limit=1000)}),
    Fault("one channel is read", "", ("stream",), {"stream.read_after": _one_channel}),
    Fault("counting prunes the feed", "", ("stream",), {"stream.prune": _prune_what_counts}),
    Fault("nobody leaves", "", ("stream",), {"stream.unlisten": _nothing(None)}),
    Fault("an event twice", "I2", ("events",), {"events.publish": _publish_anew}),
    Fault("event lists of every tenant", "I31", ("events",), {"events.list": _events_of_any_tenant}),
    Fault("event pages by offset", "", ("events",), {"events.list": _list_by_offset}),
    Fault("events for ever", "", ("events",), {"events.prune": _nothing(0)}),
)
