"""`dispatch queue`, `worker`, `leader`, `status`, `audit` and `plugin`: what they change, show and leave behind."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dispatch.ids import WorkerID
from dispatch.store import Store
from dispatch.stores import open_store
from tests.cli.conftest import Seeds, run
from tests.cli.test_output import on_a_terminal


def on_store(folder: Path, act: Callable[[Store], Awaitable[Any]]) -> Any:
    async def inside() -> Any:
        store = open_store(f"sqlite:///{folder}/dispatch.db")
        await store.open()
        try:
            return await act(store)
        finally:
            await store.close()

    return asyncio.run(inside())


def queue(name: str) -> dict[str, Any]:
    document: dict[str, Any] = run("queue", "show", name, "--json").json
    return document


def newest_record() -> dict[str, Any]:
    (record,) = run("audit", "list", "--limit", "1", "--json").json["items"]
    return dict(record)


def test_a_paused_queue_gives_out_nothing_until_it_is_resumed(seeds: Seeds, folder: Path) -> None:
    ran = run("queue", "pause", "mailers", "--reason", "mail server down", "--json")
    assert ran.json["outcome"] == "paused"
    pause = queue("mailers")["pause"]
    assert (pause["reason"], pause["until"]) == ("mail server down", None)
    assert pause["by"]
    record = newest_record()
    assert (record["verb"], record["ids"], record["reason"]) == ("queue.pause", ["mailers"], "mail server down")

    async def claim(store: Store) -> list[str]:
        queues, names = {"mailers": 9}, ["send_email"]
        return [
            job.id
            for job in (await store.jobs.claim(WorkerID.new(), queues=queues, names=names, limit=9, lease=60.0)).jobs
        ]

    assert on_store(folder, claim) == []
    assert "mail server down" in run("job", "explain", seeds.pending).out
    assert run("queue", "resume", "mailers").code == 0
    assert newest_record()["verb"] == "queue.resume"
    assert on_store(folder, claim) == [seeds.pending]


def test_resuming_a_queue_that_is_not_paused_is_a_conflict(seeds: Seeds) -> None:
    for more in ((), ("--dry-run",)):
        ran = run("queue", "resume", "mailers", *more)
        assert ran.code == 5
        assert "is not paused" in ran.err


def test_a_limit_changes_only_what_is_named(seeds: Seeds) -> None:
    assert run("queue", "limit", "mailers", "--concurrency", "5", "--rate", "50", "--burst", "10").code == 0
    assert run("queue", "limit", "mailers", "--tenant", "2", "--fair").code == 0
    found = queue("mailers")
    limits = ("max_concurrency", "rate_limit", "rate_burst", "tenant_concurrency", "fair")
    assert [found[key] for key in limits] == [5, 50.0, 10, 2, True]
    assert run("queue", "limit", "mailers", "--concurrency", "none", "--no-fair").code == 0
    assert newest_record()["detail"] == "max_concurrency=none, fair=False"
    found = queue("mailers")
    assert [found[key] for key in limits] == [None, 50.0, 10, 2, False]
    assert run("queue", "limit", "mailers", "--none", "--concurrency", "3").code == 0
    found = queue("mailers")
    assert [found[key] for key in limits] == [3, None, None, None, False]


def test_a_limit_keeps_a_pause(seeds: Seeds) -> None:
    assert run("queue", "limit", "slow", "--concurrency", "1").code == 0
    assert queue("slow")["pause"]["by"] == "ada"


def test_a_burst_without_a_rate_is_refused_also_when_the_rate_is_lifted_below_it(seeds: Seeds) -> None:
    assert run("queue", "limit", "mailers", "--rate", "50", "--burst", "10").code == 0
    ran = run("queue", "limit", "mailers", "--rate", "none")
    assert ran.code == 2
    assert "--burst none" in ran.err
    assert run("queue", "limit", "mailers", "--rate", "none", "--burst", "none").code == 0


def test_a_limit_that_the_configuration_puts_back_is_warned_about(seeds: Seeds, folder: Path) -> None:
    (folder / "dispatch.toml").write_text("[queue.mailers]\nmax_concurrency = 3\n")
    assert "[queue.mailers]" in run("queue", "limit", "mailers", "--concurrency", "5").err


def test_a_limit_whose_table_is_gone_stays_and_the_list_says_so(seeds: Seeds, folder: Path) -> None:
    assert run("queue", "limit", "mailers", "--concurrency", "5").code == 0
    assert run("queue", "list").err == ""
    (folder / "dispatch.toml").write_text("[queue.other]\nmax_concurrency = 3\n")
    assert "not by [queue.NAME]: mailers; `dispatch queue limit NAME --none`" in run("queue", "list").err


def test_an_unknown_queue_is_warned_about_with_the_nearest_name(seeds: Seeds) -> None:
    for words in ("pause mailers-x", "limit mailers-x --concurrency 1"):
        ran = run("queue", *words.split(), "--dry-run")
        assert ran.code == 0
        assert "did you mean 'mailers'?" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        "queue pause mailers --for 1h",
        "queue resume slow",
        "queue limit mailers --concurrency 1",
        "worker drain {worker}",
        "worker drain --all",
    ],
)
def test_a_rehearsal_writes_nothing(words: str, seeds: Seeds, folder: Path) -> None:
    before = (run("queue", "list").out, run("worker", "list").out)
    ran = run(*words.format(**vars(seeds)).split(), "--dry-run")
    assert ran.code == 0, ran.err
    assert "would be" in ran.out
    assert (run("queue", "list").out, run("worker", "list").out) == before
    assert run("audit", "list", "--json").json["items"] == []


def test_a_protected_profile_wants_its_name(seeds: Seeds, folder: Path) -> None:
    (folder / "dispatch.toml").write_text("[profiles.production]\nprotected = true\n")
    for words in ("queue pause mailers", "queue limit mailers --concurrency 1", f"worker drain {seeds.worker}"):
        assert run("-P", "production", *words.split()).code == 2
        assert run("-P", "production", *words.split(), "--confirm", "production").code == 0


def test_a_worker_is_asked_to_drain_and_one_that_has_stopped_is_not(seeds: Seeds, folder: Path) -> None:
    assert run("worker", "drain", seeds.worker, "--reason", "new version").code == 0
    (worker,) = run("worker", "list", "--json").json["items"]
    assert (worker["state"], worker["drain_requested"]) == ("draining", True)
    record = newest_record()
    assert (record["verb"], record["ids"], record["reason"]) == ("worker.drain", [seeds.worker], "new version")
    on_store(folder, lambda store: store.cluster.retire(WorkerID(seeds.worker)))
    ran = run("worker", "drain", seeds.worker)
    assert ran.code == 5
    assert "has stopped" in ran.err
    assert run("worker", "list", "-o", "ids").lines == []
    (worker,) = run("worker", "list", "--all", "--json").json["items"]
    assert (worker["id"], worker["state"]) == (seeds.worker, "stopped")
    assert run("worker", "drain", "--all", "--yes").code == 0


def test_the_leader_is_shown_while_its_term_runs(seeds: Seeds, folder: Path) -> None:
    document = run("leader", "show", "--json").json
    assert (document["leader"], document["term"]) == (seeds.worker, 1)
    assert seeds.worker in run("leader", "show").out
    assert run("leader", "resign", "--dry-run").code == 0
    assert run("leader", "resign").code == 0
    assert run("leader", "show", "--json").json == {"leader": None, "term": None, "until": None}
    ran = run("leader", "resign")
    assert (ran.code, ran.out) == (5, "")
    assert "nobody leads" in ran.err
    on_store(folder, lambda store: store.cluster.acquire_leadership(WorkerID(seeds.worker), lease=60.0))
    assert run("leader", "show", "--json").json["term"] == 2


def test_the_status_counts_what_there_is_and_says_what_needs_a_person(seeds: Seeds, folder: Path) -> None:
    document = run("status", "--json").json
    assert document["jobs"] == {"pending": 2, "running": 1, "retrying": 0, "set_aside": 0}
    assert document["workers"] == {"live": 1, "draining": 0, "stopped_last_hour": 0}
    assert (document["dead_letters"], document["groups"][0]["job_name"]) == (2, "charge_card")
    attention = "\n".join(document["attention"])
    assert "queue 'mailers', which no live worker serves" in attention
    assert "queue 'slow' is paused by ada (the disk is full)" in attention
    assert "'default'" not in attention
    on_store(folder, lambda store: store.cluster.retire(WorkerID(seeds.worker)))
    document = run("status", "--json").json
    assert document["workers"] == {"live": 0, "draining": 0, "stopped_last_hour": 1}
    assert "no worker is alive" in document["attention"][0]


def test_the_status_of_jobs_set_aside(seeds: Seeds, folder: Path) -> None:
    on_store(folder, lambda store: store.jobs.set_aside(due_for=0.0, limit=9))
    document = run("status", "--json").json
    assert document["jobs"] == {"pending": 2, "running": 1, "retrying": 0, "set_aside": 2}
    assert "1 job of queue 'default' set aside" in "\n".join(document["attention"])


def test_the_status_of_an_empty_store_is_quiet(folder: Path) -> None:
    assert run("store", "init").code == 0
    ran = run("status")
    assert ran.code == 0
    assert "attention" not in ran.out
    assert "0 pending" in ran.out


def test_the_status_fits_a_terminal_of_80_columns_and_is_plain_in_a_pipe(seeds: Seeds) -> None:
    shown = re.sub(r"\x1b\[[0-9;]*m", "", on_a_terminal("status"))
    tables = shown.partition("attention")[0]
    assert max(len(line.rstrip()) for line in tables.splitlines() if "sqlite://" not in line) <= 80
    assert " ago" in tables
    assert "\x1b" not in run("status").out


def test_waiting_jobs_are_counted_whatever_keeps_them_waiting(seeds: Seeds, folder: Path) -> None:
    assert run("job", "enqueue", "add", "x:=1", "--in", "1h").code == 0
    found = queue("default")
    assert (found["pending"], found["retrying"]) == (2, 0)
    assert (
        sum(item["pending"] for item in run("queue", "list", "--json").json["items"])
        == (run("job", "count", "--json").json["pending"])
    )


def test_records_are_listed_newest_first(seeds: Seeds) -> None:
    assert run("job", "cancel", seeds.pending, "--reason", "not needed").code == 0
    assert run("dlq", "discard", seeds.letter, "--yes").code == 0
    records = run("audit", "list", "--json").json["items"]
    assert [record["verb"] for record in records] == ["dlq.discard", "job.cancel"]
    assert seeds.pending in run("audit", "list").out
    assert len(run("audit", "list", "--limit", "1", "-o", "ids").lines) == 1
    assert run("workflow", "start", "nosuch").code == 4
    assert "refused  -   nosuch; WorkflowNotFound" in re.sub(" {4,}", "   ", run("audit", "list").lines[1])


def test_plugins_are_listed_with_their_hooks_and_the_disabled_ones_too(folder: Path) -> None:
    (folder / "examples_plugin.py").write_text(
        '"""A plugin."""\nfrom dispatch import hookimpl\n\n\n@hookimpl\ndef job_failed(job: object) -> None: ...\n'
    )
    (folder / "dispatch.toml").write_text('plugins = ["examples_plugin"]\ndisabled_plugins = ["other"]\n')
    loaded, disabled = run("plugin", "list", "--json").json["items"]
    assert (loaded["name"], loaded["state"], loaded["hooks"]) == ("examples_plugin", "loaded", ["job_failed"])
    assert (disabled["name"], disabled["state"]) == ("other", "disabled")
    assert not (folder / "dispatch.db").exists()
    (folder / "dispatch.toml").write_text('plugins = ["examples_nowhere"]\n')
    assert run("plugin", "list").code == 7


@pytest.mark.parametrize("words", ["status", "queue list", "worker list", "audit list", "leader show"])
def test_a_store_that_cannot_be_reached_is_said_so(words: str, folder: Path) -> None:
    ran = run(*words.split(), "--store", f"sqlite:///{folder}/no/such/folder.db")
    assert ran.code == 6
    assert ran.out == ""


def test_health_is_a_store_that_answers_and_a_worker_that_lives(seeds: Seeds, folder: Path) -> None:
    assert run("health").code == 0
    assert run("health", "--worker", "here").code == 0
    ran = run("health", "--worker", "elsewhere", "--json")
    assert (ran.code, ran.json["healthy"], ran.json["live_workers"]) == (9, False, 1)
    on_store(folder, lambda store: store.cluster.retire(WorkerID(seeds.worker)))
    ran = run("health")
    assert ran.code == 9
    assert "no worker is alive" in ran.out


def test_health_without_a_usable_store_is_9_and_creates_none(folder: Path) -> None:
    assert run("health").code == 9
    assert not (folder / "dispatch.db").exists()
    (folder / "dispatch.db").write_bytes(b"no database at all, but long enough to look at" * 9)
    assert run("health", "--json").code == 9
    (folder / "empty.db").touch()
    ran = run("health", "--store", "sqlite:///empty.db", "--json")
    assert (ran.code, ran.json["live_workers"]) == (9, None)
    assert "store migrate" in ran.json["reason"]
