"""Slips in the name of a queue: refused before anything is changed."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Seeds, run

ACTS = [("pause",), ("pause", "--dry-run"), ("limit", "--concurrency", "2"), ("resume",), ("purge", "--yes")]


@pytest.mark.parametrize("act", ACTS, ids=" ".join)
def test_a_queue_a_letter_off_another_is_refused_with_its_name(act: tuple[str, ...], seeds: Seeds) -> None:
    ran = run("queue", act[0], "mialers", *act[1:])
    assert ran.code == 2
    assert "queue 'mialers' has no jobs, settings or workers; did you mean 'mailers'?" in ran.err
    assert "mialers" not in run("queue", "list", "--json").out


@pytest.mark.parametrize("act", [("pause",), ("limit", "--concurrency", "2")], ids=" ".join)
def test_force_takes_the_name_for_what_it_is(act: tuple[str, ...], seeds: Seeds) -> None:
    ran = run("queue", act[0], "mialers", *act[1:], "--force")
    assert ran.code == 0
    assert "warning: queue 'mialers' has no jobs, settings or workers" in ran.err
    assert "mialers" in run("queue", "list", "--json").out


def test_another_new_name_is_warned_of_only(seeds: Seeds) -> None:
    ran = run("queue", "pause", "thumbnails")
    assert ran.code == 0
    assert "warning: queue 'thumbnails' has no jobs, settings or workers" in ran.err
