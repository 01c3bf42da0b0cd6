"""The workflows part of the Redis store: each verb is a script, or a few of the same where many rows are meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dispatch.clock import from_micros, micros
from dispatch.entity import LARGEST_PAGE, Page, Reply
from dispatch.ids import DLQID, CheckpointID, EventID, JobID, RunID, WorkerID
from dispatch.jobs.model import Failure
from dispatch.scope import Scope
from dispatch.stores.redis import prune, run_requests, run_rows
from dispatch.stores.redis.client import RedisClient
from dispatch.stores.redis.enqueues import enqueued
from dispatch.stores.redis.events import event_of
from dispatch.stores.redis.finishes import chunks
from dispatch.stores.redis.rows import filters, moment, scoped
from dispatch.stores.redis.run_rows import RUN_CODES, RUN_STATES
from dispatch.workflows.model import (
    Activation,
    Checkpoint,
    ChildResult,
    CreatedRun,
    FinishRun,
    ListOptions,
    NewRun,
    Park,
    Parked,
    Record,
    Recorded,
    Run,
    RunChanged,
    RunFinished,
    RunState,
    Wait,
    Waited,
    WaitFor,
    driven_by,
    driver_name,
)

if TYPE_CHECKING:
    from builtins import list as List

_AT_ONCE = 50
"""Runs that one script changes."""
_CREATED_AT_ONCE = 200


class RedisWorkflows:
    """The verbs of WorkflowStore."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def create(self, runs: Sequence[NewRun]) -> List[CreatedRun]:
        given = [run_requests.new_run(new) for new in runs]
        if not given:
            return []
        cut = [_flat(given[at : at + _CREATED_AT_ONCE]) for at in range(0, len(given), _CREATED_AT_ONCE)]
        if len(cut) == 1:
            replies = [await self._client.run("create_runs", "whole", "", *cut[0])]
        else:
            token = DLQID.new()
            calls = [("check", token, *_flat(given)), *(("part", token, *part) for part in cut)]
            replies = await self._client.run_all("create_runs", calls, together=True)
        return [_created(answer) for reply in replies for answer in enqueued(reply)]

    async def load(self, drivers: Sequence[JobID]) -> List[Activation]:
        calls = [drivers[at : at + _AT_ONCE] for at in range(0, len(drivers), _AT_ONCE)]
        replies = await self._client.run_all("load_runs", calls) if calls else []
        return [run_rows.activation_of(one, from_micros(int(now))) for now, *found in replies for one in found]

    async def record(self, worker_id: WorkerID, records: Sequence[Record]) -> List[Recorded]:
        answers = await self._each("record", worker_id, [run_requests.record(said) for said in records])
        return [
            Recorded(
                Reply(reply.decode()), [run_rows.checkpoint_of(said.run_id, one) for one in stand if one is not None]
            )
            for said, (reply, *stand) in zip(records, answers, strict=True)
        ]

    async def wait(self, worker_id: WorkerID, waits: Sequence[WaitFor]) -> List[Waited]:
        answers = await self._each("wait_for", worker_id, [run_requests.wait_for(asked) for asked in waits])
        return [_waited(asked.run_id, answer) for asked, answer in zip(waits, answers, strict=True)]

    async def park(self, worker_id: WorkerID, parks: Sequence[Park]) -> List[Parked]:
        answers = await self._each("park", worker_id, [run_requests.park(said) for said in parks])
        return [Parked(Reply(answer.decode())) for answer in answers]

    async def compensate(
        self, worker_id: WorkerID, driver: JobID, epoch: int, *, failure: Failure | None, reason: str
    ) -> Reply:
        failed = run_requests.failure(failure)
        return Reply((await self._client.run("compensate", worker_id, driver, epoch, reason, *failed)).decode())

    async def undoing(self, worker_id: WorkerID, driver: JobID, epoch: int) -> Reply:
        return Reply((await self._client.run("undoing", worker_id, driver, epoch)).decode())

    async def finish(self, worker_id: WorkerID, ends: Sequence[FinishRun]) -> List[RunFinished]:
        answers = await self._each("finish_runs", worker_id, [run_requests.finish(said) for said in ends])
        return [
            RunFinished(Reply(reply.decode()), RUN_STATES.get(state), DLQID(letter.decode()) if letter else None)
            for reply, state, letter in answers
        ]

    async def block(self, worker_id: WorkerID, driver: JobID, epoch: int, *, reason: str) -> Reply:
        return Reply((await self._client.run("block_run", worker_id, driver, epoch, reason)).decode())

    async def cancel(self, run_id: RunID, *, scope: Scope | None = None, reason: str = "cancelled") -> RunChanged:
        return _changed(await self._client.run("cancel_run", run_id, *scoped(scope), reason))

    async def retry(self, run_id: RunID, *, scope: Scope | None = None) -> RunChanged:
        return _changed(await self._client.run("retry_run", run_id, *scoped(scope)))

    async def migrate(self, run_id: RunID, *, version: int, scope: Scope | None = None) -> RunChanged:
        run = await self.get(run_id, scope=scope)
        if run is None:
            return RunChanged(Reply.MISSING)
        name = driver_name(run.name, version)
        return _changed(await self._client.run("migrate_run", run_id, *scoped(scope), version, name))

    async def fork(
        self, run_id: RunID, *, before: str | None, run: NewRun, edits: Mapping[str, bytes], scope: Scope | None = None
    ) -> CreatedRun | None:
        given = run_requests.new_run(run)
        edited = run_requests.edited(edits)
        names = f"{self._client.prefix}fn:{run_id}"
        # a checkpoint keeps its place, so there are as many before it when the script looks
        if before is None:
            count = int(await self._client.command("HLEN", names))
        elif (place := await self._client.command("HGET", names, before)) is not None:
            count = int(place) - 1
        else:
            return None
        ids = [CheckpointID.new() for _ in range(count)]
        asked = (before or "", *edited, len(ids), *ids, *given)
        reply = await self._client.run("fork_run", run_id, *scoped(scope), *asked)
        return None if reply is None else _created(enqueued(reply)[0])

    async def get(self, run_id: RunID, *, scope: Scope | None = None) -> Run | None:
        shown = await self._client.run("get_run", run_id, *scoped(scope))
        return None if shown is None else run_rows.run_of(shown)

    async def timeline(self, run_id: RunID) -> List[Checkpoint]:
        flat = await self._client.command("LRANGE", f"{self._client.prefix}fj:{run_id}", 0, -1)
        return run_rows.checkpoints_of(run_id, flat)

    async def waits(self, run_id: RunID) -> List[Wait]:
        found = run_rows.pairs_of(await self._client.command("HGETALL", f"{self._client.prefix}fw:{run_id}"))
        waits = [run_rows.wait_of(run_id, name, stored) for name, stored in found]
        return sorted(waits, key=lambda wait: wait.name)

    async def children(self, run_id: RunID) -> List[ChildResult]:
        found = run_rows.pairs_of(await self._client.command("HGETALL", f"{self._client.prefix}fr:{run_id}"))
        return run_rows.children_of(run_id, _flat(found))

    async def count(self, *, names: Sequence[str] = (), scope: Scope | None = None) -> dict[RunState, int]:
        wanted = filters(scope, names=list(dict.fromkeys(names)))
        return dict(zip(RUN_STATES.values(), await self._client.run("count_runs", wanted), strict=True))

    async def list(self, options: ListOptions) -> Page[Run]:
        limit = max(1, min(options.limit, LARGEST_PAGE))
        wanted = filters(
            options.scope,
            states=[RUN_CODES[RunState(state)] for state in dict.fromkeys(options.states)],
            names=list(dict.fromkeys(options.names)),
            version=None if options.version is None else str(options.version),
            parent=options.parent,
            after=None if options.created_after is None else str(micros(options.created_after)),
            before=None if options.created_before is None else str(micros(options.created_before)),
        )
        items: List[Run] = []
        cursor = options.cursor or ""
        while len(items) <= limit:
            shown, after = await self._client.run("list_runs", cursor, limit + 1 - len(items), wanted)
            items += map(run_rows.run_of, shown)
            if not after:
                break
            cursor = after.decode()
        return Page(items[:limit], str(items[limit - 1].id) if len(items) > limit else None)

    async def prune(
        self,
        *,
        completed: float | None,
        failed: float | None,
        cancelled: float | None,
        limit: int,
        dry_run: bool = False,
    ) -> int:
        ages = {"C": completed, "F": failed, "X": cancelled}
        return await prune.prune(self._client, "prune_runs", ages, limit=limit, at_once=_AT_ONCE, dry_run=dry_run)

    async def _each(self, script: str, worker_id: WorkerID, given: List[List[Any]]) -> List[Any]:
        """Answers to requests that stand for themselves, so many to a script."""
        calls = [(worker_id, *chunk) for chunk in chunks(given, _AT_ONCE)]
        return [answer for reply in await self._client.run_all(script, calls) for answer in reply] if calls else []


def _flat(parts: Sequence[Sequence[Any]]) -> list[Any]:
    return [one for part in parts for one in part]


def _created(answer: Any) -> CreatedRun:
    return CreatedRun(driven_by(answer.id), answer.created)


def _waited(run_id: RunID, answer: Sequence[Any]) -> Waited:
    what, *more = answer
    match what:
        case b"stale":
            return Waited(Reply.STALE)
        case b"known":
            return Waited(Reply.APPLIED, checkpoint=run_rows.checkpoint_of(run_id, more[0]))
        case b"event":
            event_id, flat, deadline = more
            event = event_of(flat, EventID(event_id.decode()))
            return Waited(Reply.APPLIED, event=event, deadline=moment(deadline or None))
        case b"timeout":
            return Waited(
                Reply.APPLIED, checkpoint=run_rows.checkpoint_of(run_id, more[0]), deadline=moment(more[1] or None)
            )
        case _:
            return Waited(Reply.APPLIED, deadline=moment(more[0] or None))


def _changed(reply: Sequence[bytes]) -> RunChanged:
    said, state, holder, *_ = (*reply, None, None)
    return RunChanged(
        Reply(said.decode()),
        None if state is None else RUN_STATES[state],
        None if holder is None else JobID(holder.decode()),
    )
