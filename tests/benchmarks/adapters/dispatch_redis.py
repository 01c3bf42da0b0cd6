META = {
    "backend": "redis",
    "venv": "$DISPATCH_VENV",
    "dist": "dispatch-tasks",
    "reqs": [],
    "kind": "async",
    "note": "dispatch run -c 400, no persistence as the peers, results kept, hiredis, uvloop where installed",
    "bulk": "api",
    "env": {
        "DISPATCH_STORE": "redis://127.0.0.1:6379/0",
        "DISPATCH_LOG__LEVEL": "warning",
    },
    "worker": ["dispatch", "run", "adapters.dispatch_redis", "-c", "400"],
}
from common import hit

from dispatch import Dispatch, job

app = None
CHUNK = 1000


@job
async def noop(ts: int = 0) -> None:
    hit(ts)


async def open():
    global app
    app = Dispatch()
    await app.open()


async def close():
    await app.close()


async def setup():
    async with Dispatch():
        pass


async def enqueue_one(ts):
    await noop.enqueue(ts)


async def enqueue_bulk(n):
    await noop.enqueue_many([((), {})] * n)
