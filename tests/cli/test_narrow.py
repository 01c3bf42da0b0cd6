"""Terminals with little room: no word, number or id is cut, columns give way in order, and a table becomes records."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from dispatch_cli.layout import folded, kept_of, widths_of

from dispatch.cluster.model import NewWorker
from dispatch.ids import WorkerID
from dispatch.stores import open_store
from tests.cli.conftest import Seeds, run
from tests.cli.test_every_command import on_a_screen

ID = re.compile(r"\b(?:job|dlq|wkr|run)_[0-9a-z]{26}\b")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in {"NO_COLOR": "1", "COLUMNS": "80", "LINES": "24", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def shown(*words: str) -> list[str]:
    code, screen = on_a_screen([*words])
    assert code == 0
    return screen.splitlines()


@pytest.mark.parametrize(
    ("room", "widths"),
    [
        (60, [30, 8, 17]),
        (59, [30, 8, 17]),
        (55, [30, 8, 13]),
        (54, [30, 8, 12]),
        (53, None),
    ],
)
def test_the_widest_column_gives_way_and_ids_and_short_cells_stay_whole(room: int, widths: list[int] | None) -> None:
    rows = [["ID", "RETRYING", "ERROR"], ["job_01k9ztq3e8f5v8k4y3v9h2m7xa", "3", "ConnectionError x"]]
    assert widths_of(rows, room) == widths


def test_words_are_folded_only_where_whole_ones_do_not_fit() -> None:
    rows = [["A", "WHY"], ["averylongwordofall", "one two three four"]]
    assert widths_of(rows, 30) == [18, 10]
    assert widths_of(rows, 25) == [18, 5]
    assert widths_of(rows, 20) == [13, 5]
    assert widths_of(rows, 18) is None


def test_wide_letters_take_two_places() -> None:
    assert widths_of([["A", "B"], ["日本語", "x"]], 80) == [6, 1]


def test_spare_columns_are_left_out_the_highest_number_first() -> None:
    rows = [["AAAA", "BBBB", "CCCC", "DDDD"]]
    assert [kept_of(rows, [0, 2, 1, 0], room) for room in (22, 21, 15, 1)] == [[0, 1, 2, 3], [0, 2, 3], [0, 3], [0, 3]]


def test_sentences_are_folded_between_words_and_commands_stay_whole() -> None:
    lines = folded("queue 'mailers' is paused: `dispatch queue resume mailers`", 34, indent="  ")
    assert lines == ["queue 'mailers' is paused:", "  `dispatch queue resume mailers`"]
    assert folded("", 10) == [""]


def test_the_headings_of_a_queue_list_are_whole_words(seeds: Seeds, narrow: pytest.MonkeyPatch) -> None:
    run("queue", "limit", "mailers", "--concurrency", "3")
    run("queue", "pause", "mailers")
    head, *rows = shown("queue", "list")
    whole = {"QUEUE", "PENDING", "RETRYING", "RUNNING", "OLDEST", "WORKERS", "PAUSED", "LIMITS"}
    assert whole <= {*head.split()} <= {*whole, "ASIDE"}
    assert any("3 at once" in row for row in rows)


def test_error_types_and_ids_of_dead_letters_are_whole(seeds: Seeds, narrow: pytest.MonkeyPatch) -> None:
    lines = shown("dlq", "list")
    assert [len(ID.findall(line)) for line in lines[1:]] == [1, 1]
    assert all("ValueError" in line for line in lines[1:])
    assert all("ValueError" in line and ID.search(line) for line in shown("dlq", "list", "--group")[1:])


def test_the_audit_list_tells_of_what_and_why_in_one_column(seeds: Seeds, narrow: pytest.MonkeyPatch) -> None:
    run("job", "cancel", seeds.pending, "--reason", "somebody has sent it by hand yesterday")
    lines = shown("audit", "list")
    assert "OF WHAT, WHY AND HOW" in lines[0]
    assert any(seeds.pending in line for line in lines)
    assert {"somebody", "yesterday"} <= {*" ".join(lines).split()}
    narrow.setenv("COLUMNS", "200")
    assert re.search(r"OF +WHY AND HOW$", shown("audit", "list")[0])


def test_what_status_advises_can_be_copied(seeds: Seeds, narrow: pytest.MonkeyPatch) -> None:
    run("queue", "pause", "mailers", "--reason", "the mail server has not answered since noon")
    assert any("`dispatch queue resume mailers`" in line for line in shown("status"))


def test_long_values_of_a_record_stand_below_each_other(seeds: Seeds, narrow: pytest.MonkeyPatch) -> None:
    run("queue", "pause", "mailers", "--for", "1h", "--reason", " ".join(["a long story"] * 9))
    lines = shown("queue", "show", "mailers")
    place = next(number for number, line in enumerate(lines) if line.startswith("paused reason"))
    assert lines[place + 1].startswith(" " * 15)
    assert any(re.match(r"paused until +in (1 h|60 min|59 min)$", line) for line in lines)


def test_a_terminal_too_narrow_for_a_table_shows_a_line_for_each_cell(seeds: Seeds, narrow: pytest.MonkeyPatch) -> None:
    narrow.setenv("COLUMNS", "40")
    lines = shown("job", "list")
    assert len(ID.findall("\n".join(lines))) == 7
    assert [line.split()[0] for line in lines[:8] if line] == ["id", "name", "queue", "state", "try", "created", "due"]
    assert max(map(len, lines)) <= 40


def test_a_worker_list_folds_its_queues_before_it_leaves_out_where_they_run(
    seeds: Seeds, narrow: pytest.MonkeyPatch
) -> None:
    async def register() -> None:
        store = open_store("sqlite:///dispatch.db")
        await store.open()
        queues = ("default", "mailers", "thumbnails", "payments")
        await store.cluster.register(NewWorker(WorkerID.new(), "host-1", 12345, queues, ("a",), 10, lease=3600))
        await store.close()

    asyncio.run(register())

    def head(columns: int) -> list[str]:
        narrow.setenv("COLUMNS", str(columns))
        lines = shown("worker", "list")
        assert all(len(found) == 30 for found in ID.findall("\n".join(lines)))
        return lines[0].split()

    assert head(90) == ["ID", "HOST", "PID", "STATE", "BUSY", "QUEUES", "SEEN"]
    assert head(79) == ["ID", "HOST", "STATE", "BUSY", "QUEUES", "SEEN"]
    assert head(72) == ["ID", "STATE", "BUSY", "QUEUES", "SEEN"]
    assert head(50)[0] == "id"


def test_a_timeline_draws_shorter_bars_where_there_is_less_room(seeds: Seeds, narrow: pytest.MonkeyPatch) -> None:
    def longest(columns: int) -> int:
        narrow.setenv("COLUMNS", str(columns))
        lines = shown("workflow", "timeline", seeds.run_done)
        assert len(lines) == 4
        return max(map(len, lines))

    assert longest(60) <= 60
    assert longest(80) <= longest(200) <= 80


def test_inspect_tells_a_person_in_how_long_an_entry_ticks(folder: Path, narrow: pytest.MonkeyPatch) -> None:
    narrow.setenv("COLUMNS", "200")
    assert re.search(r"\bin \d+(\.\d)? (h|min|s)\b", shown("inspect", "examples_tasks")[-1])
    assert re.search(r"next \d{4}-\d\d-\d\dT0[12]:00:00Z", run("inspect", "examples_tasks").out)
