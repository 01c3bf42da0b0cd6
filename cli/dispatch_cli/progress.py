"""A bar on stderr for work that takes a while, drawn only while a person looks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dispatch_cli.session import Session


@contextmanager
def progress(session: Session, what: str, total: int) -> Iterator[Any]:
    """Answers what to call for each step (or for several: `advance(500)`)."""
    if not total or not sys.stderr.isatty():
        yield lambda steps=1: None
        return
    from rich.progress import Progress

    with Progress(console=session.out.console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda steps=1: bar.advance(task, steps)
