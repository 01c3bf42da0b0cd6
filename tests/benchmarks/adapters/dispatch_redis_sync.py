META = {
    "backend": "redis",
    "venv": "$DISPATCH_VENV",
    "dist": "dispatch-tasks",
    "reqs": [],
    "kind": "sync",
    "note": "the same from synchronous code: .sync.enqueue over the implicit app",
    "bulk": "api",
    "env": {
        "DISPATCH_STORE": "redis://127.0.0.1:6379/0",
        "DISPATCH_LOG__LEVEL": "warning",
    },
    "worker": ["dispatch", "run", "adapters.dispatch_redis", "-c", "400"],
}
from adapters.dispatch_redis import noop


def setup():
    noop.sync.enqueue_many([])


open = setup  # the connection, which the others have before the clock starts


def enqueue_one(ts):
    noop.sync.enqueue(ts)


def enqueue_bulk(n):
    noop.sync.enqueue_many([((), {})] * n)
