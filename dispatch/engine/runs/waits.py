"""The verbs that wait for time and events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from dispatch.engine.runs.ledger import Ledger
from dispatch.engine.runs.stage import Waiting
from dispatch.entity import Reply
from dispatch.errors import InvalidArguments
from dispatch.events.model import Event
from dispatch.workflows import documents
from dispatch.workflows.conductor import EventWait
from dispatch.workflows.model import Checkpoint, NewCheckpoint, WaitFor
from dispatch.workflows.names import skipped_of
from dispatch.workflows.signals import Mismatch


class Waits(Ledger):
    """`sleep`, `sleep_until`, `wait_for_event`, `wait_for_any`."""

    async def sleep(self, name: str | None, verb: str, until: Callable[[datetime], datetime]) -> None:
        await self.enter()
        chosen = self.journal.use(name or verb, verb, default=name is None)
        found = self.find(chosen, verb, "sleep")
        if found is None:
            await self.stop_if_replaying(chosen)
            new = NewCheckpoint(chosen, "sleep", documents.sleep_document(until(self.now)), started_at=self.now)
            found = await self.stage.act(self.recorded(new))
        due = datetime.fromisoformat(self.read(found, "until"))
        while self.now < due:
            await self.stage.wait(Waiting(chosen, "time", until=due))

    async def wait(self, wait: EventWait) -> Event | None:
        await self.enter()
        name = self.journal.use(
            wait.name or "|".join(e.name for e in wait.events), "the wait", default=wait.name is None
        )
        started = self.now
        while True:
            found = self.find(name, "wait", "wait")
            if found is not None:
                return self._came(found, wait)
            await self.stop_if_replaying(name)
            still_open = await self.stage.act(self._visit(wait, name, started))
            if still_open is not None:
                await self.stage.wait(still_open)

    async def _visit(self, wait: EventWait, name: str, started: datetime) -> Waiting | None:
        """Looks once and records what came; None: look again, at the journal first."""
        await self.write_pending()
        declared = {event.name: event for event in wait.events}
        answer = await self.means.writer.wait(
            WaitFor(
                *(self.run_id, self.job.id, self.job.epoch, name, tuple(declared)),
                key=wait.key,
                since=wait.since,
                timeout=wait.timeout,
            )
        )
        if answer is None or answer.reply is not Reply.APPLIED:
            self.lost()
        if answer.checkpoint is not None:
            self.journal.add([answer.checkpoint])
            return None
        event = answer.event
        if event is None:
            return Waiting(name, "event", until=answer.deadline)
        misfit = None
        try:
            declared[event.name].read(event)
        except InvalidArguments as error:
            misfit = str(error)
            self.means.report.event_skipped(self.run, name, event, misfit)
        await self.record(
            NewCheckpoint(
                name if misfit is None else self._skipped(name),
                "wait",
                documents.event_document(event, skipped=misfit),
                started_at=started,
                event_id=event.id,
            )
        )
        return None

    def _skipped(self, name: str) -> str:
        number = 1
        while skipped_of(name, number) in self.journal.recorded:
            number += 1
        return skipped_of(name, number)

    def _came(self, found: Checkpoint, wait: EventWait) -> Event | None:
        """The event of a recorded wait; blocks the run when the code does not wait for such a one any more."""
        try:
            event = documents.read_event(found)
            if event is not None:
                declared = {event.name: event for event in wait.events}
                if event.name not in declared:
                    raise Mismatch(
                        f"{found.name!r} is recorded with event {event.name!r}, which the code does not want"
                    )
                declared[event.name].read(event)
        except (Mismatch, InvalidArguments) as error:
            self.block(str(error))
        return event
