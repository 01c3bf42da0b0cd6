"""Input that nobody means, and streams that are not there: an answer in words, never an internal error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Seeds, run, spawn


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("job enqueue odd --at 0001-01-01T00:00+14:00", "is not a moment"),
        ("job enqueue odd --at 9999-12-31T23:59:59-05:00", "is not a moment"),
        ("job enqueue odd --in 1e12", "not a duration that can be waited for"),
        ("dlq purge --older-than 1e12 --yes", "not a duration that can be waited for"),
        ("job enqueue odd --args @deep.json", "nested too deeply"),
        ("job enqueue odd --args @/dev/zero", "holds more than"),
        ("job enqueue odd --idempotency-key=", "idempotency_key is empty"),
        ("job list --cursor garbage", "is where no page ended"),
        ("dlq list --cursor garbage", "is where no page ended"),
        ("job list --store=", "--store is empty"),
        ("job list -P=", "no profile '='"),
        ("--profile= job list", "--profile is empty"),
        ("job list --json -o ids", "keep one of them"),
        ("job list --store sqlite:///jobs.db?mode=ro", "takes no options"),
        ("job list --store sqlite:///:memory:", "write memory://"),
        ("queue limit odd --rate 1e-320", "is no rate"),
        ("queue limit odd --concurrency 1000000001", "is no limit"),
        ("run examples_tasks --burst -q=", "is no queue name"),
        ("run examples_tasks --burst -q a:²", "is no queue name"),
        ("run examples_tasks --burst -q a:0", "at least 1 slot"),
    ],
)
def test_what_nobody_means_is_a_usage_error(folder: Path, words: str, said: str) -> None:
    (folder / "deep.json").write_text("[" * 100_000 + "]" * 100_000)
    (folder / "dispatch.toml").write_text("")
    ran = run(*words.split())
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert len(ran.err) < 500


NOISY = """
print("noise at import")
from pydantic import BaseModel, field_validator
from dispatch import job

class Model(BaseModel):
    a: int

    @field_validator("a")
    @classmethod
    def check(cls, a: int) -> int:
        return 1 // a

@job
def noisy() -> int:
    print("noise in the job")
    return 1

@job
def checked(model: Model) -> None: ...

@job
def odd() -> object:
    return object()
"""


def test_what_a_module_or_a_job_prints_is_no_data(folder: Path) -> None:
    (folder / "examples_noisy.py").write_text(NOISY)
    called = run("job", "call", "noisy", "--app", "examples_noisy", "--json")
    assert (called.code, called.json) == (0, 1)
    assert called.err == "noise at import\nnoise in the job\n"
    sys.modules.pop("examples_noisy")
    assert run("inspect", "examples_noisy", "--json").json["modules"] == ["examples_noisy"]


def test_a_validator_that_raises_and_a_result_that_is_none_fail_the_call(folder: Path) -> None:
    (folder / "examples_noisy.py").write_text(NOISY)
    ran = run("job", "call", "checked", "a:=0", "--app", "examples_noisy")
    assert (ran.code, ran.out) == (1, "")
    assert "checked raised ZeroDivisionError" in ran.err
    ran = run("job", "call", "odd", "--app", "examples_noisy")
    assert (ran.code, ran.out) == (1, "")
    assert "cannot be stored as JSON" in ran.err
    assert "internal error" not in ran.err


def test_what_stands_later_decides_the_format(seeds: Seeds) -> None:
    assert run("--json", "job", "list", "-o", "ids", "--limit", "1").out.startswith("job_")
    assert run("-o", "ids", "job", "list", "--json", "--limit", "1").json["items"]


def test_a_file_of_arguments_may_begin_with_a_byte_order_mark(folder: Path) -> None:
    (folder / "args.json").write_bytes(b'\xef\xbb\xbf{"x": 1}')
    assert run("job", "enqueue", "odd", "--args", "@args.json").code == 0


@pytest.mark.parametrize(
    ("words", "closed", "code"),
    [
        ("job retry -", "<&-", 0),
        ("job enqueue odd --args -", "<&-", 2),
        ("dlq purge", "<&-", 2),
        ("job list", ">&-", 0),
        ("job list", "2>&-", 0),
    ],
)
def test_closed_streams_are_empty_streams(seeds: Seeds, words: str, closed: str, code: int) -> None:
    command = f"{sys.executable} -m dispatch_cli {words} {closed}"
    ran = subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert ran.returncode == code
    assert "internal error" not in ran.stderr


def test_a_terminal_without_the_letters_gets_escapes(seeds: Seeds) -> None:
    run("job", "enqueue", "odd", "to=\u00fc\u2026", "--tag", "\u00fc")
    narrow = {**os.environ, "PYTHONIOENCODING": "ascii"}
    out, _ = spawn("job", "list", "--json", "--limit", "1", env=narrow).communicate()
    assert json.loads(out)["items"][0]["tags"] == ["\u00fc"]
    shown = spawn("job", "show", json.loads(out)["items"][0]["id"], env=narrow)
    assert "\\u2026" in shown.communicate()[0]
    assert shown.returncode == 0


def test_json_carries_nothing_that_moves_a_cursor(seeds: Seeds) -> None:
    odd = "\x9b31m\u202e\x7f"
    run("job", "enqueue", "odd", "--tag", odd)
    ran = run("job", "list", "--json", "--limit", "1")
    assert ran.json["items"][0]["tags"] == [odd]
    assert not {"\x9b", "\u202e", "\x7f"} & set(ran.out)
    assert "\\u202e" in run("job", "show", ran.json["items"][0]["id"]).out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_output_that_cannot_be_written_is_told(seeds: Seeds) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "dispatch_cli", "job", "list"]
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ran.returncode == 1
    assert ran.stderr == "error: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("url", ["sqlite://u:s3cret@h/x.db", "memory://u:s3cret@h", "sqlite:///x.db?password=s3cret"])
def test_the_refusal_of_a_store_shows_no_password(folder: Path, url: str) -> None:
    ran = run("job", "list", "--store", url)
    assert ran.code == 2
    assert "s3cret" not in ran.err
    assert "***" in ran.err


@pytest.mark.parametrize("more", [(), ("--dry-run",)], ids=["done", "rehearsed"])
def test_a_cron_entry_whose_target_looks_like_a_slip_is_refused_unless_it_is_meant(
    more: tuple[str, ...], seeds: Seeds
) -> None:
    words = ("cron", "create", "digest", "@daily")
    for slip, meant in (("send_emal", "send_email"), ("chekout", "checkout")):
        refused = run(*words, slip, *more)
        assert (refused.code, refused.out) == (2, "")
        assert f"no app has announced a job or workflow {slip!r}; did you mean {meant!r}?" in refused.err
        assert "--force" in refused.err
    assert run("cron", "show", "digest").code == 4
    other = run(*words, "reindex", "--dry-run")
    assert (other.code, "its jobs wait until a worker knows it" in other.err) == (0, True)
    forced = run(*words, "send_emal", "--force", *more)
    assert (forced.code, "its jobs wait until a worker knows it" in forced.err) == (0, True)


def test_a_cron_entry_whose_call_nobody_serves_is_warned_about_in_the_words_of_an_enqueue(seeds: Seeds) -> None:
    told = run("job", "enqueue", "send_email", "to=ada").err.splitlines()[0]
    assert told.startswith("warning: no live worker serves queue 'mailers'")
    create = ("cron", "create", "digest", "@daily", "send_email", "to=ada")
    assert told in run(*create, "--dry-run").err.splitlines()
    assert told in run(*create).err.splitlines()
    for more in ((), ("--dry-run",)):
        assert told in run("cron", "trigger", "digest", *more).err.splitlines()
        assert "warning" not in run("cron", "trigger", "nightly", *more).err
    assert "warning" not in run("cron", "create", "adding", "@daily", "add", "x:=1").err
    played = run("workflow", "start", "checkout", "order:=8").err.splitlines()[0]
    assert played.startswith("warning: no live worker plays checkout version 3")
    assert played in run("cron", "create", "shopping", "@daily", "checkout", "order:=1").err.splitlines()
    assert played in run("cron", "trigger", "shopping").err.splitlines()


def test_the_ids_that_a_list_of_cron_entries_gives_are_taken_by_every_verb(seeds: Seeds) -> None:
    """Also where another entry is called as an id might be."""
    run("cron", "create", "cron_jobs", "@daily", "add", "x:=1")
    run("cron", "create", "nightly", "@daily", "add", "x:=1", "--tenant", "shop/t-1")
    ids = {entry["id"]: entry for entry in run("cron", "list", "--json").json["items"]}
    assert run("cron", "list", "-o", "ids").lines == [*ids]
    for key, entry in ids.items():
        shown = run("cron", "show", key, "--json").json
        assert (shown["id"], shown["scope"]) == (key, entry["scope"])
        for verb in ("next", "history"):
            assert run("cron", verb, key).code == 0
        for verb in ("disable", "trigger", "delete"):
            assert run("cron", verb, key, "--dry-run", "--json").json["name"] == entry["name"]
    theirs = next(key for key, entry in ids.items() if entry["scope"])
    assert run("cron", "disable", theirs).code == 0
    assert run("cron", "edit", theirs, "--schedule", "@hourly").code == 0
    assert run("cron", "enable", theirs).code == 0
    assert run("cron", "trigger", theirs).code == 0
    assert run("cron", "show", "nightly", "--tenant", "shop/t-1", "--json").json["schedule"] == "@hourly"
    assert run("cron", "delete", theirs, "--yes").code == 0
    assert run("cron", "list", "-o", "ids").lines == [key for key in ids if key != theirs]
    assert run("cron", "show", "cron_jobs").code == 0
    assert (
        "there is no cron entry 'cron_01k9ztq3e8f5v8k4y3v9h2m7xa'"
        in run("cron", "show", "cron_01k9ztq3e8f5v8k4y3v9h2m7xa").err
    )


def test_a_rehearsed_call_of_a_cron_entry_shows_no_secret(seeds: Seeds) -> None:
    told = run("cron", "trigger", "paused", "--dry-run").err
    assert 'this would be called: add({"x": 1, "api_key": "***"})' in told
    assert "s3cret" not in told
