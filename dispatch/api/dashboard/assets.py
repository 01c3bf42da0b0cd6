"""The dashboard's files: read once, compressed once, under a path that changes when any of them does."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "static"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}
_MODULES = {"preact": "vendor/preact.mjs", "preact/hooks": "vendor/hooks.mjs", "htm": "vendor/htm.mjs"}
_PAGES = ("index.html", "login.html")


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent."""

    kind: str
    body: bytes
    packed: bytes
    """The same, compressed with gzip."""
    tag: str
    """Its ETag."""


@dataclass(frozen=True, slots=True)
class Site:
    """All files of the dashboard."""

    version: str
    """What all files but the pages have in their path, so that browsers may keep them for ever."""
    assets: Mapping[str, Asset]
    pages: Mapping[str, Asset]
    policy: str
    """The Content-Security-Policy of the pages."""


@cache
def site() -> Site:
    """The dashboard's files."""
    files = {path.relative_to(_FOLDER).as_posix(): path for path in sorted(_FOLDER.rglob("*")) if path.is_file()}
    bodies = {name: path.read_bytes() for name, path in files.items() if path.suffix in _KINDS}
    version = _version(bodies)
    imports = {name: f"./static/{version}/{file}" for name, file in _MODULES.items()}
    importmap = json.dumps({"imports": imports}, separators=(",", ":"))
    pages = {name: _page(bodies.pop(name), version, importmap) for name in _PAGES}
    return Site(
        version=version,
        assets={name: _asset(name, body) for name, body in bodies.items()},
        pages={name: _asset(name, body) for name, body in pages.items()},
        policy=_policy(importmap),
    )


def _version(bodies: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name, body in bodies.items():
        whole.update(f"{name}\0{len(body)}\0".encode() + body)
    return whole.hexdigest()[:16]


def _page(body: bytes, version: str, importmap: str) -> bytes:
    return body.replace(b"{{version}}", version.encode()).replace(b"{{importmap}}", importmap.encode())


def _asset(name: str, body: bytes) -> Asset:
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return Asset(_KINDS[Path(name).suffix], body, gzip.compress(body, 9, mtime=0), tag)


def _policy(importmap: str) -> str:
    digest = base64.b64encode(hashlib.sha256(importmap.encode()).digest()).decode()
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'sha256-{digest}'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
