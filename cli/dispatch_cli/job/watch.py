"""`dispatch job watch`: follows a job until it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from dispatch_cli.choices import duration, one_id
from dispatch_cli.failures import FAILED
from dispatch_cli.job.base import EXAMPLE, OneID, app
from dispatch_cli.job.wait import Timeout
from dispatch_cli.session import Session, session_of
from dispatch_cli.shell import verb

if TYPE_CHECKING:
    from dispatch.documents.jobs import WatchedJob
    from dispatch.jobs.model import Job
    from dispatch_cli.admin import Admin


@verb(app, "watch", examples=(f"dispatch job watch {EXAMPLE}", f"dispatch job watch {EXAMPLE} --timeout 5m -o jsonl"))
def watch(ctx: typer.Context, id_: OneID, timeout: Timeout = None) -> None:
    """Follow a job's state, attempts and progress, a line each, until it has ended. Exit 1 when it failed or was
    cancelled, 8 when --timeout passed."""
    from dispatch.documents.jobs import watched_job
    from dispatch.ids import JobID

    session = session_of(ctx)
    job_id = one_id(JobID, id_)
    limit = duration("--timeout", timeout)
    seen: list[WatchedJob] = []

    async def follow(app: Admin) -> None:
        async for job in app.jobs.watch(job_id, timeout=limit):
            document = watched_job(job)
            if session.out.format == "table":
                _tell(session, job)
            elif session.out.format == "jsonl":
                session.out.record(document, fields=())
            seen.append(document)

    session.administer(follow)
    if session.out.format in ("json", "ids"):
        session.out.rows(seen if session.out.format == "json" else seen[-1:], ())
    if seen[-1]["state"] != "completed":
        raise typer.Exit(FAILED)


def _tell(session: Session, job: Job) -> None:
    from dispatch.text import iso, safe
    from dispatch_cli.render import ago

    at = iso(job.updated_at)
    parts = [f"attempt {job.attempt}" if job.attempt else ""]
    if job.state == "running":
        parts.append(f"on {job.worker_id}")
        parts.append(f"{job.progress:.0%}" if job.progress is not None else "")
        parts.append(job.progress_note or "")
    elif job.state in ("pending", "retrying"):
        parts.append(f"due {ago(job.run_at) if session.out.fancy else iso(job.run_at)}")
        parts.append("set aside: no live worker knows its name" if job.set_aside else "")
        parts.append(f"blocked by key {job.concurrency_key}" if job.blocked else "")
    parts.append("its cancellation was requested" if job.cancel_requested and not job.state.terminal else "")
    if job.error is not None and job.state != "completed":
        parts.append(f"{job.error.type}: {job.error.message}")
    elif job.reason and job.state.terminal:
        parts.append(job.reason)
    text = ", ".join(part for part in parts if part)
    session.out.write(f"{at}  {job.state!s:9}  {safe(text)}".replace("\n", "\\n").rstrip() + "\n")
