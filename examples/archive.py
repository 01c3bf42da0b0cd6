"""Packs a folder: one job a file, in subprocesses, and a manifest of hashes at the end. `python archive.py FOLDER INTO`

The jobs run in a worker inside this process and are kept in INTO/jobs.db. Stop it in the middle and start it again:
what is done stays done, because each file's idempotency key names its size and the time of its last change.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict
from urllib.parse import quote

from dispatch import Dispatch, current_job, job
from dispatch.jobs import Call

CHUNK = 1 << 20


class Packed(TypedDict):
    """What one job returns."""

    name: str
    sha256: str
    size: int
    packed: int


@job(executor="process", max_retries=2, timeout="10m")
def pack_file(source: str, target: str) -> Packed:
    """Compresses one file and answers its hash. It may be repeated: the target appears whole or not at all."""
    digest = hashlib.sha256()
    done, total = 0, max(Path(source).stat().st_size, 1)
    unfinished = Path(f"{target}.{current_job().epoch}.part")
    with Path(source).open("rb") as plain, gzip.open(unfinished, "wb") as packed:
        while chunk := plain.read(CHUNK):
            digest.update(chunk)
            packed.write(chunk)
            done += len(chunk)
            current_job().progress(min(done / total, 1.0))
    size = unfinished.stat().st_size
    unfinished.replace(target)
    return Packed(name=Path(source).name, sha256=digest.hexdigest(), size=done, packed=size)


def calls(folder: Path, into: Path) -> Iterator[Call[Packed]]:
    """One call for each file of the folder."""
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        status = path.stat()
        bound = pack_file.options(idempotency_key=f"{path.name}:{status.st_mtime_ns}:{status.st_size}")
        yield bound.call(str(path), str(into / f"{path.name}.gz"))


async def run(work: list[Call[Packed]], store: str) -> list[Packed]:
    """Enqueues the calls together, runs them, and answers their results in order."""
    async with Dispatch(store, concurrency=4) as app:
        await app.start()
        return [await handle.result() for handle in await pack_file.enqueue_many(work)]


def main() -> None:
    folder, into = (Path(argument).absolute() for argument in sys.argv[1:3])
    into.mkdir(parents=True, exist_ok=True)
    manifest = asyncio.run(run(list(calls(folder, into)), f"sqlite:///{quote(str(into / 'jobs.db'))}"))
    (into / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(f"packed {len(manifest)} files, {sum(entry['size'] for entry in manifest)} bytes")


if __name__ == "__main__":
    main()
