"""`dispatch top`: frames that fit their screen, a document in a pipe, and an end by q or Ctrl-C."""

from __future__ import annotations

import os
import pty
import select
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dispatch_cli.top.frame import Screen, frame, sparkline
from dispatch_cli.top.view import Look, View

from dispatch.cluster.model import Worker, WorkerState
from dispatch.dlq.model import DLQGroup
from dispatch.ids import DLQID, WorkerID
from dispatch.queues import Pause, QueueConfig, QueueInfo
from dispatch.services.status import status_of
from tests.cli import schemas
from tests.cli.conftest import Seeds, run
from tests.cli.test_output import fits

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def view_of(queues: int = 3, workers: int = 2, groups: int = 2, pauses: int = 1, looks: int = 30) -> View:
    view = View("sqlite:////srv/jobs.db")
    for number in range(looks):
        infos = [
            QueueInfo(
                QueueConfig(f"queue-{n}-of-the-café"),
                Pause("ada", "a long story " * 9, NOW + timedelta(hours=1)) if n < pauses else None,
                pending=1000 * n + number,
                running=n,
                oldest_due_at=NOW - timedelta(seconds=n),
            )
            for n in range(queues)
        ]
        found = [
            Worker(
                *(WorkerID.new(), NOW, NOW, f"host-{n}\x1b[2J", n, WorkerState.ACTIVE),
                *(tuple(info.config.name for info in infos), ("send",), 10, NOW, 30.0),
                running=n % 11,
            )
            for n in range(workers)
        ]
        dead = [DLQGroup(f"job-{n}", "some.module.VeryLongError", n, NOW, NOW, DLQID.new()) for n in range(groups)]
        status = status_of(infos, found, dead, now=NOW)
        view.add(Look(status, completed=50 * number, failed=number, at=NOW, clock=float(number)))
    return view


@pytest.mark.parametrize("size", [(80, 24), (200, 50), (40, 10), (80, 5), (20, 3)])
@pytest.mark.parametrize("much", [0, 1, 3, 40])
def test_a_frame_fits_its_screen(size: tuple[int, int], much: int) -> None:
    view = view_of(queues=much, workers=much, groups=much, pauses=much)
    lines = frame(view, Screen(*size, live=True))
    assert len(lines) <= size[1]
    assert max(line.cell_len for line in lines) <= size[0]
    assert "\x1b" not in "".join(line.plain for line in lines)
    assert lines[0].plain.startswith("dispatch to")


def test_what_does_not_fit_is_counted_and_every_section_keeps_its_head() -> None:
    text = "\n".join(line.plain for line in frame(view_of(40, 40, 40, 40), Screen(80, 24)))
    for title in ("QUEUE", "WORKER", "LATEST FAILURES", "PAUSED"):
        assert title in text
    assert text.count(" more") == 4
    assert "queue-39" in text, "the deepest comes first"


def test_a_queue_that_waits_for_nobody_comes_before_deeper_ones() -> None:
    view = view_of(queues=12, workers=1)
    status = view.latest.status
    infos = [*status.queues, QueueInfo(QueueConfig("exports"), None, pending=1), QueueInfo(QueueConfig("empty"), None)]
    found = status_of(infos, status.live, [], now=NOW)
    view.add(Look(found, completed=0, failed=0, at=NOW, clock=40.0))
    lines = [line.plain for line in frame(view, Screen(80, 24))]
    titles = next(number for number, line in enumerate(lines) if line.startswith("QUEUE"))
    assert [line.split()[0][:8] for line in lines[titles + 1 : titles + 3]] == ["exports", "queue-11"]
    assert not any(line.startswith("empty") for line in lines)


def test_without_a_height_nothing_is_left_out() -> None:
    text = "\n".join(line.plain for line in frame(view_of(40, 40, 40, 40), Screen(1000)))
    assert text.count("queue-") > 40 * 40
    assert " more" not in text
    assert "…" not in text


def test_throughput_is_what_ended_a_second_and_retention_takes_nothing_off_it() -> None:
    view = view_of()
    assert view.rates == (50.0, 1.0)
    pruned = Look(view.latest.status, completed=0, failed=0, at=NOW, clock=30.0)
    view.add(pruned)
    assert view.rates == (45.0, 0.9)
    assert view.ends[-1] == 0.0
    assert view_of(looks=1).rates is None


def test_sparklines_show_the_newest_and_know_an_encoding_without_blocks() -> None:
    assert sparkline([0, 1, 2, 4], 10) == "▁▃▅█"
    assert sparkline([0, 0], 10) == "▁▁"
    assert sparkline([*range(100), 0], 3) == "██▁"
    assert sparkline([0, 4], 10, plain=True) == "_@"
    line = next(line.plain for line in frame(view_of(1, looks=100), Screen(60, 24)) if "█" in line.plain)
    assert line.endswith("█")
    assert "…" not in line


def test_an_encoding_without_blocks_gets_letters() -> None:
    view = view_of(3, 3, 3, 1)
    lines = frame(view, Screen(80, 24, plain=True))
    assert "".join(line.plain for line in lines).replace("é", "e").isascii()
    assert "##........" in "".join(line.plain for line in lines)


def test_trouble_is_told_below_what_was_seen_last() -> None:
    view = view_of()
    view.trouble = "the store does not answer"
    assert frame(view, Screen(80, 24))[-1].plain == "no answer: the store does not answer"


def test_long_trouble_is_told_to_its_end() -> None:
    view = view_of()
    view.trouble = "/srv/shop/jobs.db: " + "the file that was opened here has been moved, " * 3 + "start me again"
    lines = frame(view, Screen(80, 24))
    assert lines[-1].plain.endswith("start me again")
    assert all(line.cell_len <= 80 for line in lines)
    assert len(lines) <= 24


def test_in_a_pipe_it_is_a_plain_frame_and_a_document(seeds: Seeds) -> None:
    ran = run("top", "--interval", "0.2s")
    assert ran.code == 0
    assert ran.lines[0].startswith("dispatch top  sqlite:///")
    assert "slow" in ran.out
    assert "\x1b" not in ran.out
    once = run("top", "--once", "--interval", "0.2s", "--json")
    fits(once.json, schemas.TOP)
    assert (once.json["dead_letters"], once.json["completed_per_second"]) == (2, 0.0)
    assert run("top", "--interval", "1ms").code == 2
    assert run("top", "-o", "ids").code == 2


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
@pytest.mark.parametrize("end", ["q", "Ctrl-C", "q after a resize"])
def test_on_a_terminal_it_draws_until_q_or_ctrl_c_and_leaves_the_screen_as_it_was(
    size: tuple[int, int], end: str, seeds: Seeds
) -> None:
    control, terminal = pty.openpty()
    resize(terminal, *size)
    process = subprocess.Popen(
        [sys.executable, "-m", "dispatch_cli", "top", "--interval", "0.2s"],
        **dict.fromkeys(("stdin", "stdout", "stderr"), terminal),
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "", "LINES": ""},
        start_new_session=True,
    )
    os.close(terminal)
    shown = read_until(control, lambda text: text.count("dispatch top") >= 2)
    if end == "q after a resize":
        resize(control, 60, 20)
        process.send_signal(signal.SIGWINCH)
        shown += read_until(control, lambda text: "dispatch top" in text)
    if end == "Ctrl-C":
        process.send_signal(signal.SIGINT)
    else:
        os.write(control, b"q")
    shown += read_until(control, lambda text: False)
    assert process.wait(10) == 0
    os.close(control)
    assert shown.count("\x1b[?1049h") == shown.count("\x1b[?1049l") == 1
    assert "Traceback" not in shown
    assert "q quits" in shown


def test_the_first_look_needs_a_store_that_answers(folder: Path) -> None:
    ran = run("top", "--once")
    assert (ran.code, ran.out) == (6, "")


def resize(descriptor: int, columns: int, rows: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def read_until(descriptor: int, enough: Callable[[str], bool]) -> str:
    """What is written until it is enough, or until nobody writes any more; at most 20 seconds of silence."""
    shown = b""
    while not enough(shown.decode(errors="replace")) and select.select([descriptor], [], [], 20)[0]:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    return shown.decode(errors="replace")


def test_a_look_lists_no_jobs(seeds: Seeds, monkeypatch: pytest.MonkeyPatch) -> None:
    from dispatch.stores.sql.jobs import SQLJobs

    async def refused(*args: Any, **options: Any) -> None:
        raise AssertionError("top lists jobs, which is dear in a large store")

    monkeypatch.setattr(SQLJobs, "list", refused)
    assert run("top", "--once", "--interval", "0.2s").code == 0
