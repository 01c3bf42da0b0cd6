"""A pause in the place of somebody else's: told, and refused where it would end that one earlier."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Seeds, run


@pytest.fixture
def as_ada(seeds: Seeds, monkeypatch: pytest.MonkeyPatch) -> None:
    by("ada", monkeypatch)
    assert run("queue", "pause", "mailers", "--for", "8h", "--reason", "data migration").code == 0
    by("bob", monkeypatch)


def by(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("USER", "LOGNAME"):
        monkeypatch.setenv(variable, name)


@pytest.mark.parametrize("more", [(), ("--dry-run",)], ids=["done", "dry"])
def test_somebody_elses_pause_is_not_cut_short_unasked(as_ada: None, more: tuple[str, ...]) -> None:
    ran = run("queue", "pause", "mailers", "--for", "1m", *more)
    assert ran.code == 5
    assert "queue 'mailers' is paused by ada until " in ran.err and "data migration" in ran.err
    assert run("queue", "show", "mailers", "--json").json["pause"]["by"] == "ada"


def test_force_cuts_it_short_and_says_so(as_ada: None) -> None:
    ran = run("queue", "pause", "mailers", "--for", "1m", "--force")
    assert ran.code == 0
    assert "warning: this takes the place of the pause by ada until " in ran.err
    assert run("queue", "show", "mailers", "--json").json["pause"]["by"] == "bob"


def test_a_longer_pause_takes_its_place_and_says_so(as_ada: None) -> None:
    ran = run("queue", "pause", "mailers")
    assert (ran.code, "the pause by ada until " in ran.err) == (0, True)


def test_ones_own_pause_is_changed_without_a_word(as_ada: None, monkeypatch: pytest.MonkeyPatch) -> None:
    by("ada", monkeypatch)
    assert run("queue", "pause", "mailers", "--for", "1m").err == ""
