"""Tells other systems what happens to orders: `python shop.py`, with a receiver of its own beside it.

Two endpoints are added: "billing" hears of every order, "support" only of those that failed for good. The receiver is a
small web server that verifies each request with the `standardwebhooks` package, remembers ids (a webhook may arrive
twice), and is down for the first request it gets.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

from dispatch_relay import EVENT_JOB_COMPLETED, EVENT_JOB_FAILED, RelayExtension
from standardwebhooks import Webhook, WebhookVerificationError

from dispatch import Dispatch, Fail, job


@job(max_retries=0)
async def ship(order: int) -> str:
    """Ships an order, unless it is unlucky."""
    if order == 13:
        raise Fail("nobody wants to carry it")
    return f"parcel-{order}"


class Receiver(BaseHTTPRequestHandler):
    """What the other system does with a webhook."""

    secrets: ClassVar[dict[str, str]] = {}
    seen: ClassVar[dict[str, dict[str, Any]]] = {}
    requests = 0
    complete = threading.Event()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        Receiver.requests += 1
        if Receiver.requests == 1:
            self.answer(503)
            return
        try:
            event = Webhook(self.secrets[self.path]).verify(body, dict(self.headers.items()))
        except WebhookVerificationError:
            self.answer(401)
            return
        self.seen[f"{self.path} {self.headers['webhook-id']}"] = event
        self.answer(204)
        if len(self.seen) == 4:
            self.complete.set()

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""


async def main(folder: Path) -> None:
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    relay = RelayExtension(
        allow_http=True,
        allow_hosts=["127.0.0.1"],
        retry_schedule=["200ms"] * 10,
        payload_funcs={EVENT_JOB_FAILED: lambda event: {"job_id": event.data["job_id"], "please": "call the customer"}},
    )
    async with Dispatch(f"sqlite:///{folder}/shop.db", plugins=[relay]) as app:
        webhooks = relay.webhooks(app)
        for name, events in (("billing", [EVENT_JOB_COMPLETED]), ("support", [EVENT_JOB_FAILED])):
            _, secret = await webhooks.add(name, f"{url}/{name}", events=events)
            Receiver.secrets[f"/{name}"] = secret
        for order in range(11, 15):
            await ship.enqueue(order)
        await app.start()
        await asyncio.to_thread(Receiver.complete.wait, 20)
    server.shutdown()
    for key, event in sorted(Receiver.seen.items(), key=lambda pair: pair[1]["type"]):
        print(key.partition(" ")[0], event["type"], json.dumps(event["data"].get("please", event["data"].get("queue"))))
    print(f"{len(Receiver.seen)} webhooks in {Receiver.requests} requests")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
