"""A pause in the place of somebody else's: told, and refused where it would end that one earlier."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Seeds, run
from tests.cli.remote import serving


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
    assert "only with force (--force on the command line)" in ran.err
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


def test_through_a_server_the_key_is_whose_pause_it_is(
    seeds: Seeds, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(folder) as server:
        monkeypatch.setenv("DISPATCH_API_KEY", server.key)
        for length in ("8h", "1m"):
            mine = run("queue", "pause", "mailers", "--for", length, "--url", server.url)
            assert (mine.code, mine.err) == (0, "")
        refused = run("queue", "pause", "slow", "--for", "1m", "--url", server.url, "--json")
        assert refused.code == 5
        assert '"queue_paused"' in refused.err and "queue 'slow' is paused by ada until " in refused.err
        forced = run("queue", "pause", "slow", "--for", "1m", "--force", "--url", server.url)
        assert (forced.code, "the pause by ada until " in forced.err) == (0, True)
