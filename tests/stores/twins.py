"""Two stores that are asked the same, and what makes their answers comparable."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import fields, is_dataclass
from typing import Any

from dispatch.dlq import DLQState
from dispatch.dlq import ListOptions as DLQOptions
from dispatch.errors import Conflict
from dispatch.ids import DLQID
from dispatch.scope import Scope
from dispatch.store import Store
from dispatch.testing.conformance.env import all_jobs

Call = Callable[[Store], Awaitable[Any]]


class Twins:
    """Two stores that are asked the same, and the names that make their answers comparable."""

    def __init__(self, stores: tuple[Store, ...], kinds: tuple[str, ...]) -> None:
        self.stores = stores
        self.kinds = kinds
        self.letters: tuple[dict[DLQID, str], ...] = tuple({} for _ in stores)
        """For each store the id of a dead letter → a name that is the same in all."""
        self.limited = False
        """Once queues have limits, `next_due` is an estimate that each store makes in its own way."""

        self.keyed = False
        """How early a row of a full concurrency key is blocked is a store's own matter; what claims answer is not."""

    async def ask(self, call: Call, *, unordered: bool = False) -> Any:
        """Asks all; fails when their answers differ; gives the first one's answer."""
        answers = [await self._answer(store, call) for store in self.stores]
        plain = [self._plain(i, answer) for i, answer in enumerate(answers)]
        if unordered:
            plain = [sorted(p, key=repr) for p in plain]
        assert plain[0] == plain[1], f"{' and '.join(self.kinds)} differ at {_first_difference(plain[0], plain[1])}"
        return answers[0]

    async def _answer(self, store: Store, call: Call) -> Any:
        try:
            answer = await call(store)
        except Conflict as error:
            answer = (type(error).__name__, getattr(error, "existing", None))
        await self._name_letters(store)
        return answer

    async def _name_letters(self, store: Store) -> None:
        known = self.letters[self.stores.index(store)]
        if len(known) == await store.dlq.count(DLQOptions(states=tuple(DLQState))):
            return
        page = await store.dlq.list(DLQOptions(states=tuple(DLQState), limit=500))
        for entry in sorted(page.items, key=lambda entry: (entry.job_id, entry.id)):
            if entry.id not in known:
                before = sum(name.startswith(f"letter of {entry.job_id}") for name in known.values())
                known[entry.id] = f"letter of {entry.job_id} #{before}"

    def _plain(self, i: int, value: Any) -> Any:
        """The answer as plain values, dead letters by their common names."""
        if is_dataclass(value):
            named = {f.name: self._plain(i, getattr(value, f.name)) for f in fields(value)}
            if self.keyed:
                named.pop("blocked", None)
                named.pop("oldest_due_at", None)
            for unordered in ("expired", "cancel_requested", "slots", "held", "lost", "unnamed"):
                if isinstance(named.get(unordered), list):
                    named[unordered].sort(key=repr)
            if self.limited:
                named.pop("next_due", None)
            if named.get("next_cursor") is not None:
                named["next_cursor"] = "more"
            return (type(value).__name__, named)
        if isinstance(value, DLQID):
            return self.letters[i].get(value, value)
        if isinstance(value, dict):
            return {key: self._plain(i, item) for key, item in value.items()}
        if isinstance(value, (list, tuple)) and not isinstance(value, Scope):
            return [self._plain(i, item) for item in value]
        return re.sub(r"dlq_\w+", "dlq", value) if isinstance(value, str) else value

    def letter(self, store: Store, name: str) -> DLQID:
        """One store's id of the dead letter of that name."""
        names = self.letters[self.stores.index(store)]
        return next(entry_id for entry_id, known in names.items() if known == name)

    async def compare_everything(self) -> None:
        await self.ask(all_jobs)
        for job in await all_jobs(self.stores[0]):
            await self.ask(lambda s, j=job.id: s.jobs.attempts(j))
        await self.ask(_letters, unordered=True)


async def _letters(store: Store) -> Any:
    return (await store.dlq.list(DLQOptions(states=tuple(DLQState), limit=500))).items


def _first_difference(a: Any, b: Any, path: str = "") -> str:
    """Where two plain answers differ, for the message."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return next((_first_difference(a[k], b[k], f"{path}.{k}") for k in a if a[k] != b[k]), "")
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        return next(
            (_first_difference(x, y, f"{path}[{i}]") for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y), ""
        )
    return f"{path or 'the top'}: {a!r} != {b!r}"
