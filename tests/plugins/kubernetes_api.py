"""A small Kubernetes API: Leases with resource versions, conflicts, latency and cuts; the one stand-in for a server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Cluster:
    """What the API holds, and how it behaves."""

    leases: dict[str, dict[str, Any]] = field(default_factory=dict)
    version: int = 0
    latency: float = 0.0
    cut: bool = False
    """Requests are carried out, but nobody hears the answer."""
    down: bool = False
    writes: int = 0
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def stored(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document under its next version."""
        self.version += 1
        self.writes += 1
        meta = {**document["metadata"], "resourceVersion": str(self.version), "uid": "1"}
        made = self.leases[meta["name"]] = {**document, "metadata": meta}
        return made


def _handler(cluster: Cluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(lambda name, body: self._one(name))

        def do_POST(self) -> None:
            def create(name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
                if body["metadata"]["name"] in cluster.leases:
                    return 409, _status(409, "AlreadyExists")
                return 201, cluster.stored(body)

            self._answer(create)

        def do_PUT(self) -> None:
            def replace(name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
                found = cluster.leases.get(name)
                if found is None:
                    return 404, _status(404, "NotFound")
                if body["metadata"].get("resourceVersion") != found["metadata"]["resourceVersion"]:
                    return 409, _status(409, "Conflict")
                return 200, cluster.stored(body)

            self._answer(replace)

        def _one(self, name: str) -> tuple[int, dict[str, Any]]:
            found = cluster.leases.get(name)
            return (200, found) if found else (404, _status(404, "NotFound"))

        def _answer(self, act: Any) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            time.sleep(cluster.latency)
            name = self.path.partition("/leases")[2].strip("/").partition("?")[0]
            with cluster.lock:
                code, document = (500, _status(500, "Down")) if cluster.down else act(name, json.loads(body or b"{}"))
            if cluster.cut:
                self.close_connection = True
                return
            data = json.dumps(document).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Keeps quiet."""

    return Handler


def _status(code: int, reason: str) -> dict[str, Any]:
    facts = {"status": "Failure", "code": code, "reason": reason, "message": reason}
    return {"kind": "Status", "apiVersion": "v1", **facts}


@contextmanager
def kubernetes() -> Iterator[Cluster]:
    """The API on a free port of this machine."""
    cluster = Cluster()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(cluster))
    cluster.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        server.server_close()
