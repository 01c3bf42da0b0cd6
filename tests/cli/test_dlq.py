"""`dispatch dlq`: replaying, discarding, purging; asking first, and the record that is left."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dispatch.services.audit import NAMESPACE
from dispatch.stores import open_store
from tests.cli.conftest import Seeds, run


def audit(folder: Path) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        store = open_store(f"sqlite:///{folder}/dispatch.db")
        await store.open()
        try:
            held = [json.loads(record.value) for record in (await store.records.list(NAMESPACE)).items]
            return [record for record in held if record["outcome"] == "done"]
        finally:
            await store.close()

    return asyncio.run(read())


def answering(answer: str, *argv: str) -> tuple[int, str]:
    """The command on a terminal where somebody types `answer` at the first question: exit code, all that was shown."""
    control, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "dispatch_cli", *argv], stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    shown, answered = b"", False
    while select.select([control], [], [], 20)[0]:
        try:
            chunk = os.read(control, 65536)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
        if not answered and shown.rstrip().endswith(b":"):
            os.write(control, f"{answer}\n".encode())
            answered = True
    code = process.wait(20)
    os.close(control)
    return code, shown.decode()


def test_a_dead_letter_is_replayed_once_as_a_new_job(seeds: Seeds) -> None:
    (item,) = run("dlq", "replay", seeds.letter, "--json").json["items"]
    assert item["outcome"] == "replayed"
    job = run("job", "show", item["job_id"], "--json").json
    assert (job["state"], job["name"], job["replay_of"]) == ("pending", "charge_card", seeds.letter)
    again = run("dlq", "replay", seeds.letter)
    assert again.code == 5
    assert "replayed before" in again.err
    assert run("dlq", "list", "-o", "ids").lines == [seeds.other_letter]


def test_a_payload_of_null_is_no_payload_and_replays_nothing(seeds: Seeds, folder: Path) -> None:
    (folder / "null.json").write_text("null\n")
    refused = run("dlq", "replay", seeds.letter, "--payload", "null.json", "--set", "amount:=5")
    assert refused.code == 2
    assert "holds null" in refused.err
    assert seeds.letter in run("dlq", "list", "-o", "ids").lines


def test_the_record_of_an_edited_replay_says_which_places_were_edited_but_not_what_to(
    seeds: Seeds, folder: Path
) -> None:
    run("dlq", "replay", seeds.letter, "--set", "amount:=5", "--reason", "slip")
    run("dlq", "replay", seeds.other_letter, "--reason", "as it was")
    details = {record["reason"]: record["detail"] for record in audit(folder)}
    assert details == {"slip": "edited: amount", "as it was": ""}


def test_a_field_that_is_not_there_is_only_set_by_force(seeds: Seeds, folder: Path) -> None:
    slip = run("dlq", "replay", seeds.letter, "--set", "amuont:=5")
    assert (slip.code, slip.out) == (2, "")
    assert "'amuont' is not there; did you mean 'amount'? With force (--force on the command line)" in slip.err
    assert run("dlq", "replay", seeds.letter, "--set", "amuont:=5", "--dry-run").code == 2
    assert run("dlq", "replay", seeds.letter, "--force").code == 2
    (item,) = run("dlq", "replay", seeds.letter, "--set", "note=phoned", "--force", "--json").json["items"]
    assert run("job", "show", item["job_id"], "--json").json["payload"]["note"] == "phoned"


def test_all_open_letters_are_replayed_with_consent_and_a_record_is_left(seeds: Seeds, folder: Path) -> None:
    refused = run("dlq", "replay", "--all")
    assert refused.code == 2
    assert "replay 2 dead letters" in refused.err
    assert "--yes" in refused.err
    assert run("dlq", "replay", "--all", "--name", "nobody", "--yes").code == 0
    done = run("dlq", "replay", "--all", "--yes", "--json")
    assert done.json["done"] == 2
    assert run("dlq", "count", "--json").json == {"count": 0}
    (record,) = audit(folder)
    assert (record["verb"], record["count"]) == ("dlq.replay", 2)
    assert {*record["ids"]} == {seeds.letter, seeds.other_letter}


def test_ids_may_come_from_standard_input(seeds: Seeds) -> None:
    ran = run("dlq", "replay", "-", stdin=f"{seeds.letter}\n{seeds.other_letter}\n")
    assert ran.code == 0
    assert ran.out.count("replayed") == 2


def test_discarding_asks_records_who_and_why_and_leaves_the_letter_visible(seeds: Seeds, folder: Path) -> None:
    assert run("dlq", "discard", seeds.letter).code == 2
    assert audit(folder) == []
    assert run("dlq", "discard", seeds.letter, "--yes", "--reason", "known").code == 0
    (record,) = audit(folder)
    assert (record["verb"], record["ids"], record["reason"]) == ("dlq.discard", [seeds.letter], "known")
    assert record["who"]
    assert run("dlq", "list", "--state", "discarded", "-o", "ids").lines == [seeds.letter]


def test_purging_counts_asks_and_deletes_only_what_is_old_enough_and_in_the_states_named(seeds: Seeds) -> None:
    assert run("dlq", "purge", "--older-than", "1d", "--yes", "--json").json["purged"] == 0
    assert run("dlq", "purge", "--state", "replayed", "--yes", "--json").json["purged"] == 0
    assert run("dlq", "purge", "--dry-run", "--json").json == {"purged": 0, "would_purge": 2}
    assert run("dlq", "purge", "--yes", "--json").json == {"purged": 2, "would_purge": 0}
    assert run("dlq", "count", "--state", "all", "--json").json == {"count": 0}


def test_groups_count_letters_that_look_alike(seeds: Seeds) -> None:
    (group,) = run("dlq", "list", "--group", "--json").json["items"]
    assert (group["job_name"], group["error_type"], group["count"]) == ("charge_card", "ValueError", 2)


def test_a_person_is_asked_with_the_count_and_the_store(seeds: Seeds) -> None:
    code, shown = answering("n", "dlq", "discard", seeds.letter)
    assert code == 1
    assert "discard 1 dead letter on sqlite:///" in shown
    assert "nothing was done" in shown
    assert run("dlq", "count", "--json").json == {"count": 2}
    code, shown = answering("y", "dlq", "discard", seeds.letter)
    assert code == 0
    assert run("dlq", "count", "--json").json == {"count": 1}


def test_a_protected_profile_wants_its_name_even_with_yes(seeds: Seeds, folder: Path) -> None:
    (folder / "dispatch.toml").write_text("[profiles.production]\nprotected = true\n")
    words = ("-P", "production", "dlq", "discard", seeds.letter)
    refused = run(*words, "--yes")
    assert refused.code == 2
    assert "--confirm production" in refused.err
    assert run(*words, "--confirm", "staging").code == 2
    assert run("-P", "production", "job", "cancel", seeds.pending).code == 2
    code, shown = answering("production", *words)
    assert code == 0
    assert "is protected; type its name" in shown
    assert run("-P", "production", "dlq", "discard", seeds.other_letter, "--confirm", "production").code == 0


@pytest.mark.parametrize("words", ["dlq list --group --state open", "dlq replay {letter} --name x"])
def test_filters_that_would_be_ignored_are_refused(words: str, seeds: Seeds) -> None:
    assert run(*words.format(**vars(seeds)).split()).code == 2
