"""`dispatch demo`: a small real application from start to finish, told as it happens."""

from __future__ import annotations

import asyncio
import email
import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dispatch.clock import boot_seconds
from dispatch_cli.failures import FAILED, CommandError
from dispatch_cli.session import session_of
from dispatch_cli.shell import single

if TYPE_CHECKING:
    pass

_CONFIG = """store = "sqlite:///demo.db"
# Short leases, so that you need not wait long to see the work of a killed worker taken over.
heartbeat_interval = "0.3s"
lease = "1.5s"
"""


@single(
    local="it makes a store of its own", storeless=True, examples=("dispatch demo", "dispatch demo --keep demo-files")
)
def app(
    ctx: typer.Context,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help="Work in this new folder and leave it there.")
    ] = None,
) -> None:
    """Run a small real application from start to finish, then exit: about ten seconds.

    Jobs index and compress the Python files of the standard library's json and email packages. One fails twice and
    recovers, one ends in the dead letters and is replayed once its cause is fixed, and a worker is killed in the middle
    of its work. Everything happens in a temporary folder, on an embedded SQLite store.
    """
    session = session_of(ctx)
    session.out.must_not_be_ids()
    logging.getLogger("dispatch").addHandler(logging.NullHandler())
    logging.getLogger("dispatch").propagate = False
    narrate_on_stderr = session.out.format != "table"
    with _folder(keep) as folder:
        from dispatch_cli.demo_story import Story

        _prepare(folder)
        started = boot_seconds()
        story = Story(folder, sources(), console=session.out.console(stderr=narrate_on_stderr))
        facts = asyncio.run(story.tell())
        elapsed = boot_seconds() - started
    if narrate_on_stderr:
        session.out.record({**facts.document(), "seconds": round(elapsed, 3)}, fields=())
    else:
        story.summary(facts, elapsed, kept=keep)
    if facts.lost:
        raise CommandError(f"{facts.lost} jobs did not end as they should have", code="demo_failed", exit_code=FAILED)


def sources() -> list[Path]:
    """The input: the Python files of two packages of the standard library."""
    folders = (Path(json.__file__).parent, Path(email.__file__).parent)
    return [file for folder in folders for file in sorted(folder.glob("*.py")) if file.stat().st_size]


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="dispatch-demo-") as name:
            yield Path(name)
        return
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise CommandError(f"--keep {keep}: it exists and is not an empty folder", hint="name a new one")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep.resolve()


def _prepare(folder: Path) -> None:
    for name in ("index", "packed", "seals"):
        (folder / name).mkdir()
    (folder / "dispatch.toml").write_text(_CONFIG)
    (folder / "settings.json").write_text('{"top_words": "ten"}\n')
