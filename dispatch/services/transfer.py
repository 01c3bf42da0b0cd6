"""Copies a store: everything it keeps for good, page by page, to be taken up again after an interruption."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from dispatch.errors import CopyRefused
from dispatch.store import Store
from dispatch.transfer import FIELDS, KEYS, KINDS, Document, TransferKind

PAGE = 500
MARK = ("transfer", "copy")
"""Namespace and key of the record by which an unfinished copy is known."""
_DIFFERENCES_KEPT = 20

Tick = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Difference:
    """A document that is not the same in both stores."""

    kind: TransferKind
    key: str
    text: str


@dataclass(slots=True)
class Compared:
    """How two stores differ: how often, and the first few places."""

    count: int = 0
    first: list[Difference] = field(default_factory=list)

    def add(self, kind: TransferKind, document: Document, text: str) -> None:
        self.count += 1
        if len(self.first) < _DIFFERENCES_KEPT:
            self.first.append(Difference(kind, " ".join(str(document[name]) for name in KEYS[kind]), text))


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy did."""

    counts: Mapping[TransferKind, int]
    """Documents at the destination."""
    written: int
    """Documents that this run wrote."""
    resumed: bool
    """Whether it went on with a copy that had been interrupted."""
    differences: Compared
    """Empty when the destination holds exactly what the source does."""


class StoreCopy:
    """One copy of `source`, known as `name`, to `target`; both are open.

    The destination must be empty, or hold what an interrupted copy of the same source has written. Nobody may work on
    either: what a worker does at the source meanwhile would be done once more at the destination. With `force` live
    workers at the source are tolerated.

    Args:
        name: what the source is known by when the copy is resumed, such as its URL.
    """

    def __init__(self, source: Store, target: Store, *, name: str, force: bool = False) -> None:
        self._source = source
        self._target = target
        self._name = name
        self._force = force

    async def plan(self) -> tuple[dict[TransferKind, int], bool]:
        """How many documents there are to copy, and whether a copy would be resumed; writes nothing.

        Raises:
            CopyRefused: the destination holds something else, the source is itself an unfinished copy, or workers live.
        """
        await self._refuse_workers()
        if await self._source.records.get(*MARK) is not None:
            raise CopyRefused("the source is itself an unfinished copy: finish that one first. Nothing was written")
        counts = await self._source.transfer.count()
        mark = await self._target.records.get(*MARK)
        if mark is not None:
            begun = json.loads(mark.value)["source"]
            if begun != self._name:
                raise CopyRefused(
                    f"the destination holds an unfinished copy of {begun}, not of {self._name}: go on with that one, "
                    "or begin with an empty destination. Nothing was written"
                )
        elif there := {kind: n for kind, n in (await self._target.transfer.count()).items() if n}:
            what = ", ".join(f"{n} {kind}" for kind, n in there.items())
            raise CopyRefused(f"the destination is not empty ({what}): copy to an empty store. Nothing was written")
        return counts, mark is not None

    async def run(self, *, copied: Tick, compared: Tick) -> Copied:
        """Copies what is missing, compares everything, and takes the mark of an unfinished copy away when all is equal.

        It may be interrupted at any point; the same copy again goes on where this one stopped.

        Args:
            copied: told how many more documents were copied, those of earlier runs first.
            compared: told how many more documents were compared.

        Raises:
            CopyRefused: as `plan`; or a worker came to life while the copy was made.
        """
        _, resumed = await self.plan()
        written = await self._copy_all(copied)
        differences = await compare(self._source, self._target, tick=compared)
        await self._refuse_workers()
        if not differences.count:
            await self._target.records.delete(*MARK)
        counts = await self._target.transfer.count()
        return Copied(counts, written, resumed, differences)

    async def _copy_all(self, tick: Tick) -> int:
        mark = await self._target.records.get(*MARK)
        places: dict[str, str] = json.loads(mark.value)["places"] if mark is not None else {}
        if mark is None:
            await self._note(places)
        else:
            tick(sum((await self._target.transfer.count()).values()) - 1)
        written = 0
        for kind in KINDS:
            while True:
                page = await self._source.transfer.export(kind, after=places.get(kind), limit=PAGE)
                if page.next_cursor is None:
                    break
                added = await self._target.transfer.load(kind, page.items)
                written += added
                tick(added)
                # An interruption before these lines repeats the page, which changes nothing.
                places[kind] = page.next_cursor
                await self._note(places)
        return written

    async def _note(self, places: dict[str, str]) -> None:
        value = json.dumps({"source": self._name, "places": places}).encode()
        await self._target.records.put(*MARK, value)

    async def _refuse_workers(self) -> None:
        for store, where in ((self._source, "source"), (self._target, "destination")):
            if self._force and store is self._source:
                continue
            live = await store.cluster.list(live=True)
            if live:
                raise CopyRefused(
                    f"workers live at the {where}: {len(live)}, among them {live[0].id} on {live[0].hostname}. What "
                    "they do meanwhile would be lost or done twice: stop them first (`dispatch worker drain --all`)"
                )


async def compare(source: Store, target: Store, *, tick: Tick) -> Compared:
    """Walks through both stores side by side; the mark of an unfinished copy does not count."""
    found = Compared()
    for kind in KINDS:
        theirs = _walk(target, kind)
        there = await anext(theirs, None)
        async for here in _walk(source, kind):
            while there is not None and _key(kind, there) < _key(kind, here):
                found.add(kind, there, "is not at the source any more")
                there = await anext(theirs, None)
            if there is None or _key(kind, there) != _key(kind, here):
                found.add(kind, here, "is missing at the destination")
            else:
                if there != here:
                    fields = [name for name in FIELDS[kind] if there[name] != here[name]]
                    found.add(kind, here, f"differs in {', '.join(fields)}")
                there = await anext(theirs, None)
            tick(1)
        while there is not None:
            found.add(kind, there, "is not at the source any more")
            there = await anext(theirs, None)
    return found


async def _walk(store: Store, kind: TransferKind) -> AsyncIterator[Document]:
    after: str | None = None
    while True:
        page = await store.transfer.export(kind, after=after, limit=PAGE)
        for document in page.items:
            if kind != "records" or (document["namespace"], document["key"]) != MARK:
                yield document
        if page.next_cursor is None:
            return
        after = page.next_cursor


def _key(kind: TransferKind, document: Document) -> tuple[str | int, ...]:
    return tuple(document[name] for name in KEYS[kind])
