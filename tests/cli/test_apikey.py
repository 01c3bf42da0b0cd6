"""`dispatch apikey create`: what a script takes from stdout is the key and nothing else."""

from __future__ import annotations

import re

from tests.cli.conftest import Seeds, run

KEY = re.compile(r"dk_([0-9a-f]{16})_[\w-]{43}\n")


def test_the_key_alone_goes_to_stdout_and_what_it_may_to_stderr(seeds: Seeds) -> None:
    words = ["--scope", "job:read", "--tenant", "shop/t-42", "--expires", "1h", "--name", "deploy"]
    made = run("apikey", "create", *words)
    found = KEY.fullmatch(made.out)
    assert (made.code, bool(found)) == (0, True)
    assert found is not None
    assert f"API key {found[1]} (deploy) of tenant shop/t-42 may job:read, valid until 2" in made.err
    assert made.out.strip() not in made.err
    assert found[1] in run("apikey", "list", "-o", "ids").lines


def test_a_rehearsal_makes_no_key(seeds: Seeds) -> None:
    before = run("apikey", "list", "-o", "ids").out
    rehearsed = run("apikey", "create", "--scope", "job:read", "--dry-run")
    assert rehearsed.code == 0
    assert "would be created" in rehearsed.out
    assert "dk_" not in rehearsed.out
    assert run("apikey", "list", "-o", "ids").out == before


def test_with_ids_the_id_goes_to_stdout_and_the_key_to_stderr(seeds: Seeds) -> None:
    made = run("apikey", "create", "--scope", "job:read", "--name", "deploy", "-o", "ids")
    found = re.search(r"dk_([0-9a-f]{16})_[\w-]{43}", made.err)
    assert found is not None
    assert (made.code, made.out) == (0, f"{found[1]}\n")
    told = f"API key {found[1]} (deploy) may job:read; keep it now, it is not shown again: {found[0]}\n"
    assert made.err.count("\n") == 1 and made.err == told


def test_a_rehearsal_has_no_id_to_print(seeds: Seeds) -> None:
    rehearsed = run("apikey", "create", "--scope", "job:read", "--dry-run", "-o", "ids")
    assert (rehearsed.code, rehearsed.out, rehearsed.err) == (0, "", "")
