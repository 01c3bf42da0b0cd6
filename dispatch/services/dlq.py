"""The verbs on dead letters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from dispatch.dlq.model import DLQEntry, DLQGroup, DLQState, ListOptions
from dispatch.entity import LARGEST_PAGE, Page, Reply
from dispatch.errors import AlreadyReplayed, DLQNotFound, DuplicateJob, PayloadTooLarge, RunNotRetryable
from dispatch.ids import DLQID, JobID, RunID
from dispatch.jobs.model import Attempt, as_written
from dispatch.plugins import PluginManager
from dispatch.scope import Scope
from dispatch.services.audit import AuditService
from dispatch.services.edits import Edit
from dispatch.services.recorded import would_end_again
from dispatch.services.step_jobs import refuse_replay
from dispatch.store import Store
from dispatch.workflows.model import driven_by


class DLQService:
    """Look at, replay, discard and purge dead letters."""

    def __init__(
        self,
        store: Store,
        *,
        audit: AuditService | None = None,
        plugins: PluginManager | None = None,
        largest: int = 256 * 1024,
    ) -> None:
        """`largest`: bytes that edited arguments may take."""
        self._store = store
        self._largest = largest
        self._plugins = plugins or PluginManager()
        self._audit = audit or AuditService(store)

    async def get(self, entry_id: DLQID, *, scope: Scope | None = None) -> DLQEntry:
        """The entry; DLQNotFound when there is none."""
        entry = await self._store.dlq.get(entry_id, scope=scope)
        if entry is None:
            raise _not_found(entry_id)
        return entry

    async def list(self, options: ListOptions | None = None) -> Page[DLQEntry]:
        """Entries that match, newest first; by default the open ones."""
        return await self._store.dlq.list(options or ListOptions())

    async def each(self, options: ListOptions | None = None) -> AsyncIterator[DLQEntry]:
        """Every entry that matches, page by page; entries decided meanwhile do no harm."""
        chosen = replace(options or ListOptions(), limit=LARGEST_PAGE, cursor=None)
        while True:
            page = await self._store.dlq.list(chosen)
            for entry in page.items:
                yield entry
            if page.next_cursor is None:
                return
            chosen = replace(chosen, cursor=page.next_cursor)

    async def groups(self, *, scope: Scope | None = None) -> Sequence[DLQGroup]:
        """Open entries by job name and error type, largest group first."""
        return await self._store.dlq.groups(scope=scope)

    async def count(self, options: ListOptions | None = None) -> int:
        """How many entries match; by default the open ones."""
        return await self._store.dlq.count(options or ListOptions())

    async def attempts(self, entry_id: DLQID, *, scope: Scope | None = None) -> Sequence[Attempt]:
        """The failed and crashed attempts of its job, oldest first. Raises DLQNotFound."""
        return await self._store.jobs.attempts((await self.get(entry_id, scope=scope)).job_id)

    async def replay(self, entry_id: DLQID, *, scope: Scope | None = None, edit: Edit | None = None) -> JobID:
        """Makes one new job from a dead letter, once, and answers its id.

        Args:
            edit: other arguments for the new job; the dead letter keeps its own.

        Raises DLQNotFound; AlreadyReplayed when it was decided before; DuplicateJob when a live job holds its
        unique key (the entry then stays open); JobNotRetryable when the job was a step of a run, which has recorded
        how it ended; InvalidArguments, PayloadTooLarge for what the edit makes of it.
        """
        detail = "" if edit is None else edit.words
        async with self._audit.act("dlq.replay", [entry_id], detail=detail):
            payload = None
            if edit is not None:
                payload = await self.rehearse(entry_id, edit=edit, scope=scope)
            elif (entry := await self.get(entry_id, scope=scope)).state is DLQState.OPEN:
                await refuse_replay(self._store, entry)
            return await self._replay(entry_id, scope, payload)

    async def rehearse(self, entry_id: DLQID, *, scope: Scope | None = None, edit: Edit | None = None) -> bytes:
        """What the new job of a replay would carry; writes nothing.

        Raises DLQNotFound, AlreadyReplayed, JobNotRetryable, InvalidArguments, PayloadTooLarge.
        """
        entry = await self.get(entry_id, scope=scope)
        if entry.state is not DLQState.OPEN:
            as_job = f" as {entry.replayed_as}" if entry.replayed_as else ""
            raise AlreadyReplayed(f"{entry_id} was {entry.state} before{as_job}; each dead letter is decided once")
        await refuse_replay(self._store, entry)
        if edit is None:
            return entry.payload
        announced = await self._store.cluster.definition(entry.job_name)
        payload = edit.payload(entry, None if announced is None else announced.schema)
        if len(payload) > self._largest:
            raise PayloadTooLarge(
                f"{entry.job_name}: the arguments take {len(payload):,} bytes, more than {self._largest:,}"
            )
        return payload

    async def _replay(self, entry_id: DLQID, scope: Scope | None, payload: bytes | None) -> JobID:
        replayed = await self._store.dlq.replay(entry_id, JobID.new(), scope=scope, payload=payload)
        if replayed.reply is Reply.MISSING:
            raise _not_found(entry_id)
        if replayed.reply is Reply.CONFLICT or replayed.job_id is None:
            if replayed.state is DLQState.OPEN and replayed.job_id is None:
                entry = await self.get(entry_id, scope=scope)
                instead = await self._instead(driven_by(entry.job_id))
                raise RunNotRetryable(
                    f"{entry_id} stands for a workflow run, which is not replayed as a job: {instead}"
                )
            if replayed.state is DLQState.OPEN:
                raise DuplicateJob(
                    f"{entry_id} was not replayed: {replayed.job_id} is live and holds the same unique key",
                    existing=replayed.job_id or "",
                )
            as_job = f" as {replayed.job_id}" if replayed.job_id else ""
            raise AlreadyReplayed(
                f"{entry_id} was {replayed.state or 'decided'} before{as_job}; an entry is replayed once"
            )
        if self._plugins.has("job_enqueued"):
            made = await self._store.jobs.get(replayed.job_id)
            if made is not None:
                self._plugins.background("job_enqueued", job=as_written(made))
        return replayed.job_id

    async def _instead(self, run_id: RunID) -> str:
        """What is to be done with a failed run."""
        run = await self._store.workflows.get(run_id)
        if run is not None and (told := await would_end_again(run, self._store.workflows)):
            return told
        undone = run is not None and run.compensated and not run.compensation_failed
        retry = f"`dispatch workflow retry {run_id}` goes on with it"
        how = "it has taken back what it did" if undone else retry
        return f"{how}, `dispatch workflow fork {run_id} --from STEP` starts anew"

    async def discard(self, entry_id: DLQID, *, scope: Scope | None = None) -> None:
        """Decides that nothing happens with the entry. Raises DLQNotFound, AlreadyReplayed."""
        async with self._audit.act("dlq.discard", [entry_id]):
            reply = await self._store.dlq.discard(entry_id, scope=scope)
            if reply is Reply.MISSING:
                raise _not_found(entry_id)
            if reply is Reply.CONFLICT:
                raise AlreadyReplayed(f"{entry_id} was decided before; `dispatch dlq show {entry_id}` tells how")

    async def purge(
        self,
        *,
        older_than: float = 0.0,
        states: Sequence[DLQState] = (),
        scope: Scope | None = None,
        limit: int = 1000,
    ) -> int:
        """Deletes up to `limit` entries older than that many seconds (empty `states`: in any state), and answers how
        many; call it again until it answers 0."""
        detail = f"older than {older_than:g} s, {', '.join(states) or 'any state'}"
        async with self._audit.act("dlq.purge", detail=detail) as act:
            purged = await self._store.dlq.purge(older_than=older_than, states=states, scope=scope, limit=limit)
            act.settle((), count=purged)
            return purged


def _not_found(entry_id: DLQID) -> DLQNotFound:
    return DLQNotFound(f"there is no dead letter {entry_id}; `dispatch dlq list` shows what there is")
