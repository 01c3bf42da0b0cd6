"""The workflow runs and events of a server elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from dispatch.clock import boot_seconds
from dispatch.cluster.model import Announcement
from dispatch.documents.runs import DifferenceDocument
from dispatch.entity import Page
from dispatch.errors import WaitTimeout
from dispatch.events.model import Event
from dispatch.events.model import ListOptions as EventOptions
from dispatch.ids import EventID, RunID
from dispatch.jobs.options import EnqueueOptions
from dispatch.scope import NO_SCOPE
from dispatch.services.workflows import newest_announced, run_by_name
from dispatch.text import iso
from dispatch.workflows.model import Checkpoint, ChildResult, CreatedRun, ListOptions, NewRun, Run, RunState, Wait
from dispatch_cli.remote.jobs import MOST_WAIT, call_options, result_of
from dispatch_cli.remote.link import Link, given, words
from dispatch_cli.remote.reading import Document, checkpoint_of, children_of, event_of, run_of, waits_of

_RUNS = "/v1/workflows/runs"


class RemoteWorkflows:
    """As WorkflowService.

    Args:
        definitions: asks what apps have announced.
    """

    def __init__(self, link: Link, *, definitions: Callable[[], Awaitable[Sequence[Announcement]]]) -> None:
        self._link = link
        self._definitions = definitions

    async def get(self, run_id: RunID) -> Run:
        document: Document = await self._link.get(f"{_RUNS}/{run_id}", dict)
        result = None
        if document.get("result_kept"):  # it is masked there, and as it is here
            result = await self._link.get(f"{_RUNS}/{run_id}/result", partial(result_of, document))
        return self._link.read(document, partial(run_of, result=result))

    async def list(self, options: ListOptions | None = None) -> Page[Run]:
        chosen = options or ListOptions()
        return await self._link.page(
            _RUNS,
            run_of,
            state=words(chosen.states),
            name=words(chosen.names),
            version=chosen.version,
            parent=chosen.parent,
            since=iso(chosen.created_after),
            until=iso(chosen.created_before),
            limit=chosen.limit,
            cursor=chosen.cursor,
        )

    async def timeline(self, run_id: RunID) -> Sequence[Checkpoint]:
        return await self._link.all(f"{_RUNS}/{run_id}/timeline", lambda one: checkpoint_of(one, run_id))

    async def waits(self, run_id: RunID) -> Sequence[Wait]:
        return await self._link.get(f"{_RUNS}/{run_id}", waits_of)

    async def children(self, run_id: RunID) -> Sequence[ChildResult]:
        return await self._link.get(f"{_RUNS}/{run_id}", children_of)

    async def held_up(self, run: Run) -> str | None:
        def read(found: Document) -> str | None:
            return None if found["held_up"] is None else str(found["held_up"])

        return await self._link.get(f"{_RUNS}/{run.id}", read)

    async def differences(self, left: RunID, right: RunID) -> Sequence[DifferenceDocument]:
        def read(found: Any) -> DifferenceDocument:
            return {name: found[name] for name in DifferenceDocument.__annotations__}  # type: ignore[return-value]

        return await self._link.all(f"{_RUNS}/{left}/diff", read, other=right)

    async def wait(self, run_id: RunID, *, timeout: float | None = None) -> Run:
        deadline = None if timeout is None else boot_seconds() + timeout
        while True:
            left = MOST_WAIT if deadline is None else max(0.0, min(MOST_WAIT, deadline - boot_seconds()))
            path = f"{_RUNS}/{run_id}/result"
            if await self._link.get(path, lambda found: bool(found["finished"]), wait=left):
                return await self.get(run_id)
            if not left:
                run = await self.get(run_id)
                blocked = f" ({run.reason})" if run.state is RunState.BLOCKED else ""
                raise WaitTimeout(
                    f"{run.name} ({run_id}) is still {run.state}{blocked} after {timeout:g} s; it goes on"
                )

    async def start_named(
        self,
        name: str,
        arguments: Any = None,
        options: EnqueueOptions | None = None,
        *,
        version: int | None = None,
    ) -> CreatedRun:
        body = given(name=name, input=arguments, version=version, **call_options(options or EnqueueOptions()))
        return await self._link.post(_RUNS, lambda found: CreatedRun(RunID(found["id"]), found["created"]), body)

    async def rehearse(
        self,
        name: str,
        arguments: Any = None,
        options: EnqueueOptions | None = None,
        *,
        version: int | None = None,
    ) -> NewRun:
        announced = newest_announced(await self._definitions(), name, version)
        chosen = options or EnqueueOptions()
        values = {} if arguments is None else arguments
        return run_by_name(name, values, chosen, announced=announced, scope=NO_SCOPE, idempotency_ttl=0.0)

    async def signal(self, run_id: RunID, name: str, payload: Any = None) -> Event:
        return await self._link.post(f"{_RUNS}/{run_id}/signal", event_of, {"name": name, "payload": payload})

    async def cancel(self, run_id: RunID, *, reason: str = "cancelled") -> RunState:
        return await self._link.post(f"{_RUNS}/{run_id}/cancel", _state, {"reason": reason})

    async def retry(self, run_id: RunID) -> RunState:
        return await self._link.post(f"{_RUNS}/{run_id}/retry", _state, {"reason": self._link.reason})

    async def migrate(self, run_id: RunID, *, version: int) -> RunState:
        body = {"version": version, "reason": self._link.reason}
        return await self._link.post(f"{_RUNS}/{run_id}/migrate", _state, body)

    async def fork(
        self,
        run_id: RunID,
        *,
        before: str,
        edits: dict[str, Any] | None = None,
        force: bool = False,
        undo_inherited: bool = False,
    ) -> CreatedRun:
        body = {"before": before, "edits": edits or {}, "force": force, "undo_inherited": undo_inherited}
        return await self._link.post(f"{_RUNS}/{run_id}/fork", lambda found: CreatedRun(RunID(found["id"]), True), body)


class RemoteEvents:
    """As EventService."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def publish(self, name: str, payload: Any = None, *, key: str | int | None = None) -> Event:
        body = {"name": name, "payload": payload, "key": None if key is None else str(key)}
        return await self._link.post("/v1/events", event_of, body)

    async def get(self, event_id: EventID) -> Event:
        return await self._link.get(f"/v1/events/{event_id}", event_of)

    async def list(self, options: EventOptions | None = None) -> Page[Event]:
        chosen = options or EventOptions()
        return await self._link.page(
            "/v1/events",
            event_of,
            name=words(chosen.names),
            key=chosen.key,
            limit=chosen.limit,
            cursor=chosen.cursor,
        )


def _state(found: Document) -> RunState:
    return RunState(found["state"])
