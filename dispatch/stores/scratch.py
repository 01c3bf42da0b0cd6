"""Scratch stores: empty ones of the same kind and place as a store, made for a test or a measurement, then removed."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from dispatch.clock import Clock
from dispatch.errors import ConfigError, StoreUnreachable
from dispatch.store import Store
from dispatch.stores import REDIS_SCHEMES, kind, open_store

MakeScratch = Callable[[Clock | None], Awaitable[Store]]
"""Answers an empty store that is not open yet; the one before it must be closed."""
_PREFIX = ".dispatch-scratch-"


@asynccontextmanager
async def scratch(url: str, **options: Any) -> AsyncIterator[MakeScratch]:
    """A maker of empty stores beside the store at `url`, which itself is not touched; all of them go in the end.

    Args:
        url: `sqlite:///…` makes files in a folder beside the file, `postgresql://…` a schema of its own, MySQL tables,
            `redis://…` a namespace; `memory://` needs no place.
        options: as for `open_store`.

    Raises:
        ConfigError: there is no way to make an empty store of that kind.
        StoreUnreachable: there is no folder to make it in, or the server does not answer.
    """
    scheme, _, rest = url.partition("://")
    what = kind(url)
    if scheme == "memory":

        async def in_memory(clock: Clock | None) -> Store:
            return open_store(url, clock=clock, **options)

        yield in_memory
    elif what == "sqlite":
        folder = _folder_beside(Path(unquote(rest.removeprefix("/"))))

        async def in_folder(clock: Clock | None) -> Store:
            _empty(folder)
            return open_store(f"{scheme}:///{folder}/store.db", clock=clock, **{**options, "migrate": "auto"})

        try:
            yield in_folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    elif what == "postgresql":
        from dispatch.stores.postgres_schema import drop

        server = f"postgresql://{rest}"
        namespace = f"dispatch_scratch_{secrets.token_hex(8)}"

        async def in_schema(clock: Clock | None) -> Store:
            await drop(server, namespace)
            return open_store(url, namespace=namespace, clock=clock, **{**options, "migrate": "auto"})

        try:
            yield in_schema
        finally:
            await drop(server, namespace)
    elif what == "mysql":
        namespace = f"dispatch_scratch_{secrets.token_hex(8)}"

        async def in_tables(clock: Clock | None) -> Store:
            await _drop(url, namespace)
            return open_store(url, namespace=namespace, clock=clock, **{**options, "migrate": "auto"})

        try:
            yield in_tables
        finally:
            await _drop(url, namespace)
    elif scheme in REDIS_SCHEMES:
        namespace = f"dispatch_scratch_{secrets.token_hex(8)}"

        async def in_namespace(clock: Clock | None) -> Store:
            await _forget(url, namespace)
            return open_store(url, namespace=namespace, clock=clock, **{**options, "migrate": "auto"})

        try:
            yield in_namespace
        finally:
            await _forget(url, namespace)
    else:
        raise ConfigError(f"there is no way yet to make an empty {scheme}:// store for this; name a sqlite:/// one")


def _folder_beside(file: Path) -> Path:
    beside = file.resolve().parent
    if not beside.is_dir():
        raise StoreUnreachable(f"{beside}: there is no such folder to make a scratch store in")
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=beside))


async def _drop(url: str, namespace: str) -> None:
    from dispatch.stores.sqlalchemy import drop

    await drop(url, namespace)


async def _forget(url: str, namespace: str) -> None:
    from dispatch.stores.redis.namespaces import forget

    await forget(url, namespace)


def _empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
