"""Draws a view of `dispatch top` as lines that fit a screen: cut where there is no room, trouble told in full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.text import Text

from dispatch.documents.fleet import state_of
from dispatch.text import safe
from dispatch_cli.render import ago

if TYPE_CHECKING:
    from dispatch.cluster.model import Worker
    from dispatch.queues import QueueInfo
    from dispatch_cli.top.view import View

_BLOCKS, _ASCII = "▁▂▃▄▅▆▇█", "_.-=+*#@"
_LETTERS = str.maketrans({"·": "-", "…": "~"})
_BAR, _ASCII_BAR = ("█", "░"), ("#", ".")
_ROOMY = 120
"""From so many columns on there is room for ids."""
_SPARKS = 60


@dataclass(frozen=True, slots=True)
class Screen:
    """The room there is; no height: everything is shown."""

    width: int
    height: int | None = None
    plain: bool = False
    """Letters only, for an encoding or a reader that knows no blocks."""
    live: bool = False
    """It is drawn again and again until somebody ends it."""


@dataclass(frozen=True, slots=True)
class Section:
    """A titled table; its last column takes what room is left."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[int] = frozenset()
    styles: Sequence[str] = ()
    """A style for each row."""
    share: int = 1
    newest_last: bool = False
    """What is cut off the last column is its beginning."""


def frame(view: View, screen: Screen) -> list[Text]:
    """The lines, as many and as wide as the screen takes."""
    head, foot = _head(view, screen), _foot(view, screen)
    sections = [section for section in _sections(view, screen) if section.rows]
    rooms = _rooms(sections, None if screen.height is None else screen.height - len(head) - len(foot))
    lines = [*head]
    for section, room in zip(sections, rooms, strict=True):
        if room > 0:
            lines += [Text(""), *_table(section, room, screen.width)]
    lines = [_cut(line, screen.width) for line in [*lines, *foot][: screen.height]]
    if screen.plain:
        for line in lines:
            line.plain = line.plain.translate(_LETTERS)
    return lines


def sparkline(values: Iterable[float], width: int, *, plain: bool = False) -> str:
    """The latest values as small bars, the highest of them as high as can be."""
    recent = list(values)[-width:] if width > 0 else []
    marks = _ASCII if plain else _BLOCKS
    most = max(recent, default=0)
    return "".join(marks[round(value / most * (len(marks) - 1)) if most else 0] for value in recent)


def _head(view: View, screen: Screen) -> list[Text]:
    look, status = view.latest, view.latest.status
    queues = status.queues
    totals = {word: sum(getattr(info, word) for info in queues) for word in ("pending", "retrying", "running")}
    aside, blocked = sum(info.set_aside for info in queues), sum(info.blocked for info in queues)
    title = Text.assemble(("dispatch top", "bold"), f"  {safe(view.store)}")
    clock = f"{look.at:%H:%M:%S} UTC" + ("  q quits" if screen.live else "")
    title = _cut(title, max(len("dispatch top"), screen.width - len(clock) - 2))
    title.append(" " * max(2, min(screen.width, _ROOMY) - title.cell_len - len(clock)) + clock)
    jobs = Text("jobs     ")
    jobs.append(" · ".join(f"{count:,} {word}" for word, count in totals.items()))
    jobs.append(f" · {aside:,} set aside" if aside else "", "yellow")
    jobs.append(f" · {blocked:,} blocked by keys" if blocked else "", "yellow")
    workers = Text("workers  ")
    workers.append(f"{len(status.live)} live", "" if status.live else "red")
    workers.append(f" · {status.draining} draining" if status.draining else "")
    workers.append(f" · {status.stopped_lately} stopped in the last hour" if status.stopped_lately else "")
    workers.append(f"   dead letters {status.dead_letters:,}", "red" if status.dead_letters else "")
    return [title, jobs, _throughput(view, screen), workers]


def _throughput(view: View, screen: Screen) -> Text:
    line, rates = Text("a second "), view.rates
    if rates is None:
        return line.append("measuring")
    completed, failed = rates
    line.append(f"{completed:,.1f} completed", "green" if completed else "")
    line.append(f" · {failed:,.1f} failed", "red" if failed else "")
    room = min(_SPARKS, screen.width - line.cell_len - 2)
    return line.append("  " + sparkline(view.ends, room, plain=screen.plain), "dim")


def _foot(view: View, screen: Screen) -> list[Text]:
    if view.trouble:
        told = wrap(f"no answer: {safe(view.trouble)}", max(screen.width, 1))
        return [Text(""), *(Text(line, "red") for line in told)]
    return []


def _sections(view: View, screen: Screen) -> list[Section]:
    return [_queues(view, screen), _workers(view, screen), _failures(view), _crons(view), _pauses(view)]


def _queues(view: View, screen: Screen) -> Section:
    status, now = view.latest.status, view.latest.at
    rows, styles = [], []
    for info in sorted(status.queues, key=lambda info: _rank(info, status.served_by[info.config.name])):
        name = info.config.name
        served = status.served_by[name]
        waiting = info.pending + info.retrying
        rows.append(
            [
                safe(name),
                f"{info.pending:,}",
                f"{info.retrying:,}",
                f"{info.running:,}",
                "-" if info.oldest_due_at is None else ago(info.oldest_due_at, now).removesuffix(" ago"),
                str(served),
                "paused" if info.pause else "",
                sparkline(view.depths.get(name, ()), _SPARKS, plain=screen.plain),
            ]
        )
        styles.append("yellow" if info.pause else "red" if waiting and not served else "")
    titles = ("queue", "pending", "retrying", "running", "oldest", "workers", "", "depth")
    return Section(titles, rows, frozenset({1, 2, 3, 4, 5}), styles, share=4, newest_last=True)


def _rank(info: QueueInfo, served: int) -> tuple[bool, int, str]:
    """Queues that wait for nobody come first, then the deepest."""
    waiting = info.pending + info.retrying
    return not waiting or served > 0, -waiting, info.config.name


def _workers(view: View, screen: Screen) -> Section:
    roomy, now = screen.width >= _ROOMY, view.latest.at
    ordered = sorted(view.latest.status.live, key=lambda worker: (-worker.running, worker.id))
    rows = []
    for worker in ordered:
        name = worker.labels.get("name") or worker.hostname
        who = [str(worker.id)] if roomy else []
        rows.append(
            [
                *who,
                safe(f"{name}:{worker.pid}"),
                state_of(worker),
                _load(worker, screen),
                f"{worker.running}/{worker.concurrency}",
                ago(worker.last_seen, now),
                safe(" ".join(worker.queues)),
            ]
        )
    titles = (*(("id",) if roomy else ()), "worker", "state", "load", "busy", "seen", "queues")
    styles = ["yellow" if worker.drain_requested else "" for worker in ordered]
    return Section(titles, rows, frozenset({len(titles) - 3}), styles, share=3)


def _load(worker: Worker, screen: Screen) -> str:
    size = 20 if screen.width >= _ROOMY else 10
    full, empty = _ASCII_BAR if screen.plain else _BAR
    taken = min(size, round(worker.running / max(worker.concurrency, 1) * size))
    return full * taken + empty * (size - taken)


def _failures(view: View) -> Section:
    groups = sorted(view.latest.status.groups, key=lambda group: group.newest_at, reverse=True)
    rows = [
        [safe(group.job_name), f"{group.count:,}", ago(group.newest_at, view.latest.at), safe(group.error_type)]
        for group in groups
    ]
    return Section(("latest failures", "open", "newest", "error"), rows, frozenset({1}), ["red"] * len(rows), share=2)


def _crons(view: View) -> Section:
    """Those that do not fire, then those that fire next."""
    status, now = view.latest.status, view.latest.at
    quiet = {entry.id: "disabled" for entry in status.disabled} | {entry.id: "orphaned" for entry in status.orphaned}
    quiet |= {entry.id: "overdue" for entry in status.overdue}
    coming = [entry for entry in status.crons if entry.id in quiet or entry.next_fire_at is not None]
    ordered = sorted(coming, key=lambda entry: (entry.id not in quiet, entry.next_fire_at or now, entry.name))
    rows, styles = [], []
    for entry in ordered:
        state = quiet.get(entry.id, "")
        following = "-" if state in ("disabled", "orphaned") else ago(entry.next_fire_at or now, now)
        last = "-" if entry.last_fired_at is None else ago(entry.last_fired_at, now)
        rows.append([safe(entry.name), following, last, state, safe(entry.disabled_reason or entry.spec.schedule)])
        styles.append({"": "", "overdue": "red"}.get(state, "yellow"))
    return Section(("cron", "next", "last", "", "schedule"), rows, styles=styles)


def _pauses(view: View) -> Section:
    rows = []
    for info in view.latest.status.queues:
        pause = info.pause
        if pause is not None:
            until = "until resumed" if pause.until is None else f"resumes {ago(pause.until, view.latest.at)}"
            rows.append([safe(info.config.name), safe(pause.by or "-"), until, safe(pause.reason)])
    return Section(("paused", "by", "until", "reason"), rows, styles=["yellow"] * len(rows))


def _rooms(sections: Sequence[Section], lines: int | None) -> list[int]:
    """How many rows each section gets: an equal chance by its share, what one leaves goes to the others."""
    wanted = [len(section.rows) for section in sections]
    if lines is None:
        return wanted
    rooms = [0] * len(sections)
    left = lines - 2 * len(sections)
    while left > 0 and rooms != wanted:
        hungry = [place for place in range(len(sections)) if rooms[place] < wanted[place]]
        place = min(hungry, key=lambda place: (rooms[place] + 1) / sections[place].share)
        rooms[place] += 1
        left -= 1
    return rooms


def _table(section: Section, room: int, width: int) -> list[Text]:
    """The titles and so many rows; what there is no room for is counted beside the titles, else in the last row."""
    shown = section.rows[:room]
    widths = _widths([section.titles, *shown], width)
    head = _row([title.upper() for title in section.titles], widths, section.right, "bold")
    lines = [head]
    for row, style in zip(shown, section.styles, strict=False):
        row = [*row[:-1], row[-1][-widths[-1] :] if section.newest_last and widths[-1] else row[-1]]
        lines.append(_row(row, widths, section.right, style))
    hidden = len(section.rows) - room
    if hidden > 0:
        more = f"  +{hidden:,} more"
        if head.cell_len + len(more) <= width or room == 1:
            head.append(more, "dim")
        else:
            lines[-1] = Text(f"+{hidden + 1:,} more", "dim")
    return lines


def _widths(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Columns as wide as their widest cell; the first, a name, gives way, and the last has the rest."""
    widths = [max(Text(row[place]).cell_len for row in rows) for place in range(len(rows[0]))]
    others = sum(widths[1:-1]) + 2 * (len(widths) - 1)
    least = min(widths[-1], 12)
    widths[0] = max(8, min(widths[0], width - others - least))
    widths[-1] = max(0, min(widths[-1], width - others - widths[0]))
    return widths


def _row(cells: Sequence[str], widths: Sequence[int], right: frozenset[int], style: str) -> Text:
    line = Text()
    for place, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        text = _cut(Text(cell), width)
        blank = " " * max(0, width - text.cell_len)
        line.append(blank + text.plain if place in right else text.plain + blank, style)
        line.append("  " if place < len(widths) - 1 else "")
    line.rstrip()
    return line


def _cut(line: Text, width: int) -> Text:
    line.truncate(max(width, 0), overflow="ellipsis")
    return line
