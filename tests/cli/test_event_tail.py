"""`dispatch event tail` leaves nothing out, however much was published between two looks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from dispatch_cli.event import tail

from dispatch import testing


async def test_more_events_than_a_page_holds_are_all_told_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_PAGE", 2)
    told: list[str] = []
    session = cast(Any, SimpleNamespace(out=SimpleNamespace(format="ids", write=told.append)))
    async with testing.app() as app:
        await app.events.publish("before", None)
        seen = await tail._newer(session, cast(Any, app), None, None, None, 0)
        published = [await app.events.publish("arrived", number) for number in range(7)]
        seen = await tail._newer(session, cast(Any, app), None, None, seen, 0)
        assert [line.strip() for line in told] == [event.id for event in published]
        await tail._newer(session, cast(Any, app), None, None, seen, 0)
        assert len(told) == len(published)
