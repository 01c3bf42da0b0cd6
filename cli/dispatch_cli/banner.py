"""What a worker says when it starts and when it ends."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dispatch.text import safe

if TYPE_CHECKING:
    from dispatch.engine.run import RunReport
    from dispatch.registry import Registry
    from dispatch_cli.unserved import Unserved

_LOG = logging.getLogger("dispatch.worker")
_NAMES_SHOWN = 8
IN_MEMORY = "the store memory:// lives and dies with this process: no other one sees its jobs"


@dataclass(frozen=True, slots=True)
class Start:
    """The facts of a worker's start."""

    worker_id: str
    pid: int
    version: str
    store: str
    queues: Mapping[str, int]
    concurrency: int
    jobs: Sequence[str]
    crons: Sequence[str]
    """The entries that it announces and fires while it leads."""
    modules: Sequence[str]


def announce_processes(count: int, *, each: int | None, store: str | None, as_json: bool) -> None:
    """What the parent of several workers says before they speak, as far as it knows.

    each: jobs at once in a process.
    """
    concurrency = None if each is None else count * each
    told = f"{count} processes" + (f", {_jobs(concurrency)} at once" if concurrency else "")
    told += f", on {store}" if store else ""
    if as_json:
        extra = {"event": "processes_started", "processes": count, "concurrency": concurrency, "store": store}
        _LOG.info("%s", told, extra=extra)
        return
    print(safe(told), file=sys.stderr, flush=True)


def announce_probe(host: str, port: int) -> None:
    """Tells where the health is answered for."""
    shown = f"[{host}]" if ":" in host else host
    extra = {"event": "probe_started", "host": host, "port": port}
    _LOG.info("health at http://%s:%d/healthz and /readyz", shown, port, extra=extra)


def announce_http(host: str, port: int) -> None:
    """Tells where the HTTP API is."""
    shown = f"[{host}]" if ":" in host else host
    _LOG.info("HTTP API at http://%s:%d", shown, port, extra={"event": "http_started", "host": host, "port": port})


def announce_login(link: str) -> None:
    """Tells the person at this terminal how a browser gets in; the link goes to no log collector."""
    print(f"log in, once, within 5 minutes: {link}", file=sys.stderr, flush=True)


def announce(start: Start, *, as_json: bool, alone: bool, colored: bool) -> None:
    """Tells that the worker claims, with all that it found if it is the only one here."""
    if as_json:
        extra = {
            "event": "worker_started",
            "worker_id": start.worker_id,
            "pid": start.pid,
            "version": start.version,
            "store": start.store,
            "queues": dict(start.queues),
            "concurrency": start.concurrency,
            "jobs": list(start.jobs),
            "crons": list(start.crons),
            "modules": list(start.modules),
        }
        _LOG.info("worker %s serves %s", start.worker_id, ", ".join(start.queues) or "cron only", extra=extra)
        return
    if not alone:
        serves = ", ".join(start.queues) or "cron only"
        # in one write: several processes share this stream, and their lines must not mingle
        sys.stderr.write(safe(f"worker {start.worker_id} (pid {start.pid}) serves {serves}") + "\n")
        sys.stderr.flush()
        return
    head = f"dispatch {start.version}  worker {start.worker_id}  pid {start.pid}"
    lines = [f"\x1b[1m{head}\x1b[0m" if colored else head]
    lines += [f"  {name:<8} {safe(text)}" for name, text in _facts(start)]
    print("\n".join(lines), file=sys.stderr, flush=True)


def _facts(start: Start) -> list[tuple[str, str]]:
    shown = _shown(start.jobs)
    entries = f"{len(start.crons)} {'entry' if len(start.crons) == 1 else 'entries'}: {_shown(start.crons)}"
    crons = [("crons", f"{entries}   (whichever worker leads fires them)")] if start.crons else []
    if not start.queues:
        stop = ("stop", "Ctrl-C; another worker leads then")
        return [("store", start.store), *(crons or [("crons", "none here; it fires those of others")]), stop]
    flags = " ".join(f"-q {name}:{slots}" if slots else f"-q {name}" for name, slots in start.queues.items())
    return [
        ("store", start.store),
        ("found", f"{_found(start.jobs)} in {', '.join(start.modules)}: {shown or 'nothing to run'}"),
        *crons,
        ("queues", f"{', '.join(start.queues)}   (in production say so: {flags})"),
        ("at once", f"{_jobs(start.concurrency)}   (-c)"),
        ("stop", "Ctrl-C lets running jobs end; twice gives them back at once"),
    ]


def farewell(report: RunReport, unserved: Unserved | None, *, as_json: bool) -> None:
    """Tells what the worker did and why it ended, and what a burst leaves behind."""
    counts = {
        "completed": report.completed,
        "failed": report.failed,
        "retried": report.retried,
        "cancelled": report.cancelled,
        "released": report.released,
    }
    left = _left_behind(unserved) if unserved is not None and unserved.count else ""
    if as_json:
        extra: dict[str, Any] = {"event": "worker_stopped", "reason": report.reason, **counts}
        if unserved is not None:
            extra["unserved"] = asdict(unserved)
        _LOG.info("worker stopped: %s", f"{report.reason}; {left}" if left else report.reason, extra=extra)
        return
    why = {
        "signal": "stopped by a signal",
        "burst": "nothing left to do",
        "max_jobs": "did --max-jobs jobs",
        "max_memory": "reached --max-memory",
        "drain": "drained",
    }.get(report.reason, report.reason)
    told = ", ".join(f"{count} {'given back' if word == 'released' else word}" for word, count in counts.items())
    if left:
        why = "nothing left that this worker can do"
    print(f"{why}: {told}" + (f"\n{safe(left)}" if left else ""), file=sys.stderr, flush=True)


def _left_behind(unserved: Unserved) -> str:
    shown = ", ".join(unserved.names[:_NAMES_SHOWN]) + (" …" if len(unserved.names) > _NAMES_SHOWN else "")
    count = f"{'' if unserved.complete else 'at least '}{unserved.count} due "
    they = "job in its queues has a name" if unserved.count == 1 else "jobs in its queues have names"
    return f"{count}{they} that this worker does not know: {shown}"


def warn_of_idleness(registry: Registry, modules: Sequence[str], queues: Collection[str]) -> None:
    """A line when no job is defined at all, and for each queue of -q that no definition names."""
    if not registry.jobs and not registry.workflows:
        _LOG.warning("%s: no job is defined there, so this worker has nothing to run", ", ".join(modules))
        return
    definitions = [*registry.jobs.values(), *registry.workflows.values()]
    used = {definition.settings.queue or "default" for definition in definitions}
    for queue in sorted(set(queues) - used):
        _LOG.warning(
            "-q %s: no job is defined for this queue, only for %s; it gets those that an enqueue sends there",
            queue,
            ", ".join(sorted(used)),
        )


def warn(text: str) -> None:
    """A line of its own."""
    _LOG.warning("%s", text)


def warn_of_memory() -> None:
    """A line about a store that no other process sees."""
    warn(IN_MEMORY)


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMES_SHOWN]) + (" …" if len(names) > _NAMES_SHOWN else "")


def _found(names: Sequence[str]) -> str:
    """How many jobs and workflows (named with their version) there are."""
    workflows = sum("@" in name for name in names)
    jobs = _jobs(len(names) - workflows)
    return jobs + (f", {workflows} workflow{'' if workflows == 1 else 's'}" if workflows else "")


def _jobs(count: int) -> str:
    return f"{count} job" if count == 1 else f"{count} jobs"
