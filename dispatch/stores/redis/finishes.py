"""Finish: a flush is cut into scripts of a bounded number of transitions; each transition is applied whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dispatch.clock import from_micros
from dispatch.entity import Reply
from dispatch.errors import DataRejected
from dispatch.ids import DLQID, WorkerID
from dispatch.jobs.model import WAITING, Finished, JobState, Transition, Verdict
from dispatch.stores.redis.client import RedisClient
from dispatch.stores.redis.rows import STATES, duration, new_job

_VERDICTS = {
    Verdict.COMPLETE: "C",
    Verdict.RETRY: "R",
    Verdict.SNOOZE: "S",
    Verdict.RELEASE: "L",
    Verdict.FAIL: "F",
    Verdict.CANCEL: "X",
}
_REPLIES = {b"a": Reply.APPLIED, b"s": Reply.STALE, b"c": Reply.CONFLICT, b"m": Reply.MISSING}
_COMPLETED = Finished(Reply.APPLIED, JobState.COMPLETED)
_SIZED = (bytes, str)
_BYTES_AT_ONCE = 4 * 1024 * 1024


async def finish(
    client: RedisClient, worker_id: WorkerID, transitions: Sequence[Transition], *, at_once: int
) -> list[Finished]:
    """The verb."""
    given = [_arguments(said) for said in transitions]
    calls = [(worker_id, *chunk) for chunk in chunks(given, at_once)]
    if not calls:
        return []
    return [answer for reply in await client.run_all("finish", calls) for answer in _answers(reply)]


def chunks(given: Sequence[list[Any]], at_once: int) -> Iterator[list[Any]]:
    """Arguments of requests, so many to a script, and fewer where they are large."""
    chunk: list[Any] = []
    count = size = 0
    for arguments in given:
        large = sum([len(part) for part in arguments if isinstance(part, _SIZED)])
        if chunk and (count >= at_once or size + large > _BYTES_AT_ONCE):
            yield chunk
            chunk, count, size = [], 0, 0
        chunk += arguments
        count += 1
        size += large
    if chunk:
        yield chunk


def _arguments(said: Transition) -> list[Any]:
    """A transition as finish.lua reads it."""
    flags = ""
    fields: list[Any] = []
    if said.verdict is Verdict.COMPLETE and said.result is not None:
        if type(said.result) is not bytes:
            raise DataRejected(
                f"the result of job {said.job_id} is {type(said.result).__name__}, not bytes; nothing was written"
            )
        flags += "r"
        fields.append(said.result)
    if said.failure is not None:
        flags += "f"
        fields += (said.failure.type, said.failure.message)
        if said.failure.traceback is not None:
            flags += "t"
            fields.append(said.failure.traceback)
    if said.delay:
        flags += "w"
        fields.append(duration(said.delay, f"the delay of job {said.job_id}"))
    if said.reason is not None:
        flags += "s"
        fields.append(said.reason)
    if said.dead_letter and said.verdict is Verdict.FAIL:
        flags += "d"
        fields.append(DLQID.new())
    if said.then:
        flags += "n"
        fields.append(len(said.then))
        for new in said.then:
            fields += new_job(new)
    return [said.job_id, said.epoch, _VERDICTS[said.verdict] + flags, *fields]


def _answers(reply: int | Sequence[bytes]) -> list[Finished]:
    """The answers of a script, where those of completions alone are told in short: by their number."""
    return [_COMPLETED] * reply if isinstance(reply, int) else [_finished(answer) for answer in reply]


def _finished(answer: bytes) -> Finished:
    """A reply, the row's state, and what that state brings: a dead letter, or the time when the row is due again."""
    if answer == b"aC":
        return _COMPLETED
    reply, more = _REPLIES[answer[:1]], answer[2:]
    state = STATES[answer[1:2]] if len(answer) > 1 else None
    if more and state in WAITING:
        return Finished(reply, state, run_at=from_micros(int(more)))
    return Finished(reply, state, DLQID(more.decode()) if more else None)
