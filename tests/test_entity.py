"""What all stored things share."""

from __future__ import annotations

from datetime import UTC, datetime

from dispatch.entity import Entity, Page, Reply
from dispatch.ids import JobID

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_an_entity_has_an_identity_and_two_times() -> None:
    entity = Entity(id=JobID.new(), created_at=NOW, updated_at=NOW)
    assert entity.id.prefix == "job"
    assert entity == Entity(id=entity.id, created_at=NOW, updated_at=NOW)


def test_a_page_without_a_cursor_is_the_last() -> None:
    assert Page([1, 2]).next_cursor is None
    assert Page([1], "x").next_cursor == "x"


def test_replies_print_as_words() -> None:
    assert [str(reply) for reply in Reply] == ["applied", "stale", "conflict", "missing"]
