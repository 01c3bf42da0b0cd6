"""Checksums of all files of a folder, a step each, ten at once. `python checksums.py FOLDER`

Interrupted, the same command goes on with the files that are left: the run is unique by folder, and
what it recorded stays.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path

from dispatch import Dispatch, WorkflowContext, workflow
from dispatch.errors import StepFailed


def files_in(folder: str) -> list[str]:
    """The files of a folder, in order; a step, since folders change."""
    return sorted(str(path) for path in Path(folder).rglob("*") if path.is_file())


def checksum(path: str) -> str:
    """The SHA-256 of one file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@workflow(unique=lambda folder: folder)
async def checksums(ctx: WorkflowContext, folder: str) -> dict[str, str]:
    """Every file's checksum; files that cannot be read are told of."""
    paths = await ctx.step("files", files_in, folder)
    sums = await ctx.fan_out("sum", checksum, paths).limit(10).on_error("collect")
    return {
        path: f"unreadable: {found.message}" if isinstance(found, StepFailed) else found
        for path, found in zip(paths, sums, strict=True)
    }


async def main(folder: str) -> None:
    async with Dispatch("sqlite:///checksums.db") as app:
        await app.start()
        run = await checksums.start(folder)
        for path, found in (await run.result()).items():
            print(f"{found}  {path}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
