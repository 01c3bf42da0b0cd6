"""The same random calls to two stores, with equal ids and one clock: every answer and every row must be equal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from store_kinds import KINDS, audited, kinds, maker
from twins import Twins

from dispatch.clock import ManualClock
from dispatch.cluster import Announcement, NewWorker
from dispatch.dlq import ListOptions as DLQOptions
from dispatch.events import Event
from dispatch.events import ListOptions as EventOptions
from dispatch.ids import EventID, JobID, WorkerID, encode_suffix
from dispatch.jobs.model import (
    CountOptions,
    Failure,
    Idempotency,
    JobState,
    ListOptions,
    NewJob,
    Transition,
    Unique,
    Verdict,
)
from dispatch.queues import QueueConfig
from dispatch.scope import Scope
from dispatch.store import Store
from dispatch.streams import StreamEntry
from dispatch.testing.conformance.env import all_jobs

SEEDS = [*range(5), *(pytest.param(seed, marks=pytest.mark.proof) for seed in range(5, 24))]
"""Histories; the first few are tried with every change."""
STEPS = 120
QUEUES = ("a", "b")
NAMES = ("work", "other")
SCOPES = (Scope(), Scope("shop", "x"), Scope("shop", "y"))
WORKERS = tuple(WorkerID("wkr_" + encode_suffix(n)) for n in range(1, 4))


class History:
    """A seeded stream of calls."""

    def __init__(self, seed: int, twins: Twins, clock: ManualClock) -> None:
        self.rng = Random(seed)
        self.twins = twins
        self.clock = clock
        self.count = 0
        self.ids: list[JobID] = []
        self.claims: list[tuple[WorkerID, JobID, int]] = []

    def pick(self, *choices: Any) -> Any:
        return self.rng.choice(choices)

    def next(self) -> int:
        self.count += 1
        return self.count

    def new_job(self) -> NewJob:
        n = self.next()
        unique = idempotency = None
        if self.rng.random() < 0.4:
            unique = Unique(
                self.pick("k", "l"),
                on_conflict=self.pick("return", "skip", "raise", "replace", "replace"),
                until=self.pick("finish", "finish", "start"),
                hold_for=self.pick(None, None, 40.0),
            )
        if self.rng.random() < 0.1:
            idempotency = Idempotency(self.pick("i", "j"), self.pick("one", "one", "two"), ttl=100.0)
        keyed = self.twins.keyed and self.rng.random() < 0.6
        reuse = self.ids and self.rng.random() < 0.05
        job_id = self.rng.choice(self.ids) if reuse else JobID("job_" + encode_suffix(n))
        self.ids.append(job_id)
        return NewJob(
            id=job_id,
            name=self.pick(*NAMES),
            payload=self.rng.randbytes(5),
            queue=self.pick(*QUEUES),
            priority=self.pick(0, 0, 1, -1),
            delay=self.pick(None, None, 0.0, 20.0),
            run_at=None if self.rng.random() < 0.8 else self.clock.now(),
            expires_in=None if keyed else self.pick(None, None, None, 40.0),
            metadata=self.pick({}, {"n": [n]}),
            tags=self.pick((), ("t",), ("t", "u")),
            scope=self.pick(*SCOPES),
            max_retries=self.pick(None, 3),
            kind=self.pick("job", "job", "delivery"),
            unique=unique,
            idempotency=idempotency,
            concurrency_key=self.pick("x", "y") if keyed else None,
            concurrency_max=self.pick(1, 1, 2) if keyed else None,
        )

    async def step(self) -> None:
        verbs: list[tuple[int, Callable[[], Awaitable[Any]]]] = [
            (14, self.enqueue),
            (14, self.claim),
            (16, self.finish),
            (5, self.renew),
            (4, self.cancel),
            (4, self.retry),
            (3, self.forget),
            (6, self.pass_time),
            (5, self.steal),
            (5, self.decide),
            (3, self.gates),
            (5, self.read),
            (3, self.fleet),
            (3, self.records),
            (3, self.stream_and_events),
        ]
        (verb,) = self.rng.choices([v for _, v in verbs], weights=[w for w, _ in verbs])
        await verb()

    async def enqueue(self) -> None:
        jobs = [self.new_job() for _ in range(self.pick(1, 1, 2, 4))]
        await self.twins.ask(lambda s: s.jobs.enqueue(jobs))

    async def claim(self) -> None:
        worker, limit, alone = self.pick(*WORKERS), self.pick(1, 2, 4), self.rng.random() < 0.3
        queues = self.pick({"a": 9, "b": 9}, {"b": 2, "a": 1}, {"a": 5})
        names = self.pick(NAMES, NAMES, ("work",))
        answer = await self.twins.ask(
            lambda s: s.jobs.claim(worker, queues=queues, names=names, limit=limit, lease=30.0, alone=alone)
        )
        self.claims += [(worker, job.id, job.epoch) for job in answer.jobs]

    async def finish(self) -> None:
        if not self.claims:
            return
        worker = self.claims[-1][0] if self.rng.random() < 0.8 else self.pick(*WORKERS)
        transitions = []
        for _, job_id, epoch in self.rng.sample(self.claims[-8:], k=min(self.pick(1, 1, 2, 3), len(self.claims[-8:]))):
            verdict = self.pick(*Verdict, Verdict.COMPLETE)
            failed = verdict in (Verdict.FAIL, Verdict.RETRY) and self.rng.random() < 0.8
            transitions.append(
                Transition(
                    job_id,
                    epoch - (self.rng.random() < 0.1),
                    verdict,
                    result=self.pick(None, b"r", b""),
                    delay=self.pick(0.0, 10.0),
                    failure=Failure("E", "m", self.pick(None, "tb")) if failed else None,
                    dead_letter=self.pick(True, True, False),
                    reason=self.pick(None, "why"),
                    then=(self.new_job(),) if self.rng.random() < 0.15 else (),
                )
            )
        for _ in range(self.pick(1, 1, 2)):
            await self.twins.ask(lambda s: s.jobs.finish(worker, transitions))

    async def renew(self) -> None:
        worker = self.pick(*WORKERS)
        named = [(job_id, epoch) for owner, job_id, epoch in self.claims[-6:] if owner == worker]
        await self.twins.ask(lambda s: s.jobs.renew(worker, named, lease=30.0))
        reports = [(job_id, epoch, 0.5, self.pick(None, "note")) for job_id, epoch in named]
        await self.twins.ask(lambda s: s.jobs.progress(worker, reports))
        await self.twins.ask(lambda s: s.jobs.cancel_requests(worker), unordered=True)
        if self.rng.random() < 0.3:
            await self.twins.ask(lambda s: s.jobs.release(worker, named[:2]))

    async def cancel(self) -> None:
        if self.ids:
            job_id, scope = self.rng.choice(self.ids), self.pick(None, None, *SCOPES)
            reason = self.pick("cancelled", "by hand")
            await self.twins.ask(lambda s: s.jobs.cancel(job_id, scope=scope, reason=reason))

    async def retry(self) -> None:
        if self.ids:
            job_id, scope = self.rng.choice(self.ids), self.pick(None, None, *SCOPES)
            await self.twins.ask(lambda s: s.jobs.retry(job_id, scope=scope))

    async def forget(self) -> None:
        if self.ids and self.rng.random() < 0.7:
            job_id, scope = self.rng.choice(self.ids), self.pick(None, None, *SCOPES)
            await self.twins.ask(lambda s: s.jobs.delete(job_id, scope=scope))
            await self.twins.ask(lambda s: s.jobs.attempts(job_id))
        else:
            ages: dict[str, Any] = {name: self.pick(None, 5.0, 60.0) for name in ("completed", "failed", "cancelled")}
            dry_run = self.rng.random() < 0.3
            await self.twins.ask(lambda s: s.jobs.prune(**ages, limit=1000, dry_run=dry_run))
            await self.twins.ask(lambda s: s.cluster.prune(older_than=60.0, dry_run=dry_run))

    async def pass_time(self) -> None:
        self.clock.advance(self.pick(0.001, 0.5, 1.0, 12.0, 31.0, 70.0))

    async def steal(self) -> None:
        if self.rng.random() < 0.5:
            self.clock.advance(31.0)
        await self.twins.ask(lambda s: s.jobs.steal(limit=100, max_crashes=2, delays=[0.0, 5.0]), unordered=True)
        await self.twins.ask(lambda s: s.jobs.quarantined(queues=QUEUES, names=NAMES, due_for=1.0))

    async def decide(self) -> None:
        names = sorted(self.twins.letters[0].values())
        if not names:
            return
        name, scope = self.rng.choice(names), self.pick(None, None, *SCOPES)
        new_id = JobID("job_" + encode_suffix(self.next()))
        verb = self.pick("replay", "replay", "discard", "purge")
        if verb == "replay":
            self.ids.append(new_id)
            for _ in range(self.pick(1, 2)):
                await self.twins.ask(lambda s: s.dlq.replay(self.twins.letter(s, name), new_id, scope=scope))
        elif verb == "discard":
            await self.twins.ask(lambda s: s.dlq.discard(self.twins.letter(s, name), scope=scope))
        elif self.rng.random() < 0.2:
            await self.twins.ask(lambda s: s.dlq.purge(older_than=300.0, scope=scope))
            for i, store in enumerate(self.twins.stores):
                for entry_id in list(self.twins.letters[i]):
                    if await store.dlq.get(entry_id) is None:
                        del self.twins.letters[i][entry_id]

    async def gates(self) -> None:
        queue, by, duration = self.pick(*QUEUES), self.pick("ada", ""), self.pick(None, 20.0)
        if self.rng.random() < 0.4:
            await self.twins.ask(lambda s: s.queues.pause(queue, by=by, reason="r", duration=duration))
        elif self.rng.random() < 0.7:
            await self.twins.ask(lambda s: s.queues.resume(queue))
        else:
            config = QueueConfig(
                queue,
                max_concurrency=self.pick(None, 1, 3),
                rate_limit=self.pick(None, None, 2.0),
                fair=self.rng.random() < 0.3,
                tenant_concurrency=self.pick(None, None, 1),
            )
            await self.twins.ask(lambda s: s.queues.configure(config))
            self.twins.limited = True
        holder = self.pick("me", "you")
        verb = self.pick("take", "renew", "free")
        if verb == "take":
            await self.twins.ask(lambda s: s.queues.take_slot(queue, holder, lease=30.0, limit=2))
        elif verb == "renew":
            await self.twins.ask(lambda s: s.queues.renew_slot(queue, holder, lease=30.0))
        else:
            await self.twins.ask(lambda s: s.queues.free_slot(queue, holder))

    async def read(self) -> None:
        scope = self.pick(None, *SCOPES)
        jobs = ListOptions(
            states=self.pick((), (JobState.PENDING,), (JobState.FAILED, JobState.CANCELLED)),
            queues=self.pick((), ("a",)),
            names=self.pick((), ("work",)),
            tags=self.pick((), ("t",), ("t", "u")),
            kinds=self.pick(("job",), ("job", "delivery")),
            scope=scope,
            limit=self.pick(3, 50),
        )
        await self.twins.ask(lambda s: s.jobs.list(jobs))
        await self.twins.ask(lambda s: s.jobs.count(CountOptions(queues=jobs.queues, names=jobs.names, scope=scope)))
        await self.twins.ask(lambda s: s.queues.list())
        await self.twins.ask(lambda s: s.queues.get("a"))
        await self.twins.ask(lambda s: s.dlq.count(DLQOptions(scope=scope)))
        groups = [await store.dlq.groups(scope=scope) for store in self.twins.stores]
        seen = [[(g.job_name, g.error_type, g.count, g.oldest_at, g.newest_at) for g in group] for group in groups]
        assert sorted(seen[0]) == sorted(seen[1])
        if self.ids:
            job_id = self.rng.choice(self.ids)
            if not self.twins.keyed:
                await self.twins.ask(lambda s: s.jobs.ahead(job_id))
            await self.twins.ask(lambda s: s.jobs.holders("x"))
            await self.twins.ask(lambda s: s.jobs.get(job_id, scope=scope))

    async def fleet(self) -> None:
        worker = self.pick(*WORKERS)
        spec = NewWorker(worker, "h", 1, self.pick(("a",), QUEUES), self.pick(("work",), NAMES), 3, 30.0)
        verb = self.pick("register", "beat", "retire", "drain", "aside", "lead", "announce")
        if verb == "register":
            await self.twins.ask(lambda s: s.cluster.register(spec))
        elif verb == "beat":
            await self.twins.ask(lambda s: s.cluster.beat(worker, running=2))
        elif verb == "retire":
            await self.twins.ask(lambda s: s.cluster.retire(worker))
        elif verb == "drain":
            await self.twins.ask(lambda s: s.cluster.drain(worker))
        elif verb == "aside":
            await self.twins.ask(_set_all_aside)
        elif verb == "announce":
            await self.twins.ask(
                lambda s: s.cluster.announce([Announcement("work", "job", "a", version=self.count % 3)])
            )
        else:
            leader = await self.twins.ask(lambda s: s.cluster.acquire_leadership(worker, lease=15.0))
            await self.twins.ask(lambda s: s.cluster.renew_leadership(worker, leader.term, lease=15.0))
            if self.rng.random() < 0.3:
                await self.twins.ask(lambda s: s.cluster.resign(worker, leader.term))
        await self.twins.ask(lambda s: s.cluster.list(live=True), unordered=True)
        await self.twins.ask(lambda s: s.cluster.list(), unordered=True)
        await self.twins.ask(lambda s: s.cluster.definition("work"))
        await self.twins.ask(lambda s: s.cluster.leadership())

    async def records(self) -> None:
        key, version, expires_in = self.pick("a", "ab", "b"), self.pick(None, 0, 1, 2), self.pick(None, 30.0)
        value = self.rng.randbytes(3)
        verb = self.pick("put", "put", "delete", "prune")
        if verb == "put":
            await self.twins.ask(lambda s: s.records.put("n", key, value, if_version=version, expires_in=expires_in))
        elif verb == "delete":
            await self.twins.ask(lambda s: s.records.delete("n", key, if_version=version))
        else:
            await self.twins.ask(lambda s: s.records.prune())
        await self.twins.ask(lambda s: s.records.get("n", key))
        prefix = self.pick("", "a")
        await self.twins.ask(lambda s: s.records.list("n", prefix=prefix, limit=5))

    async def stream_and_events(self) -> None:
        channel, n = self.pick("jobs", "crons"), self.next()
        verb = self.pick("listen", "append", "append", "unlisten", "prune")
        if verb == "listen":
            await self.twins.ask(lambda s: s.stream.listen([channel], "me", lease=60.0))
        elif verb == "unlisten":
            await self.twins.ask(lambda s: s.stream.unlisten("me"))
        elif verb == "append":
            for store in self.twins.stores:
                await store.stream.append([StreamEntry(channel, f"x:{n}", "t", b"{}")])
        else:
            await self.twins.ask(lambda s: s.stream.prune(older_than=30.0))
        event = Event(
            "paid", b"1", key=self.pick(None, "k"), id=EventID("evt_" + encode_suffix(n)), scope=self.pick(*SCOPES)
        )
        await self.twins.ask(lambda s: s.events.publish(event))
        await self.twins.ask(lambda s: s.events.list(EventOptions(key=event.key, scope=event.scope, limit=4)))
        if self.rng.random() < 0.2:
            await self.twins.ask(lambda s: s.events.prune(older_than=100.0, limit=3))


async def _set_all_aside(store: Store) -> int:
    total = 0
    while moved := await store.jobs.set_aside(due_for=60.0, limit=100):
        total += moved
    return total


async def _run(kind: str, seed: int, folder: Path) -> None:
    clock = ManualClock()
    stores = tuple(maker(each, folder)(clock) for each in (KINDS[0], kind))
    try:
        for store in stores:
            await store.open()
        twins = Twins(stores, (KINDS[0], kind))
        twins.keyed = bool(seed % 2)
        history = History(seed, twins, clock)
        for _ in range(STEPS):
            await history.step()
            await twins.ask(all_jobs)
        await twins.compare_everything()
        audited(stores[1])
        assert history.claims, "the history started nothing"
    finally:
        for store in stores:
            await store.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", kinds(KINDS[1:], late=pytest.mark.long))
def test_the_stores_answer_the_same_calls_the_same(kind: str, seed: int, tmp_path: Path) -> None:
    asyncio.run(_run(kind, seed, tmp_path))
