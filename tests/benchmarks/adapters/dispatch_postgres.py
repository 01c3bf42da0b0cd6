from adapters.dispatch_sqlite import close, enqueue_bulk, enqueue_one, enqueue_workflows, noop, open, setup, wf10

__all__ = ["META", "close", "enqueue_bulk", "enqueue_one", "enqueue_workflows", "noop", "open", "setup", "wf10"]

META = {
    "backend": "postgres",
    "venv": "$DISPATCH_VENV",
    "dist": "dispatch-tasks",
    "reqs": ["asyncpg"],
    "kind": "async",
    "note": "dispatch run -c 400, the server's durability defaults, results kept, uvloop where installed",
    "bulk": "api",
    "env": {
        "DISPATCH_STORE": "postgresql://postgres@127.0.0.1:5432/bench",
        "DISPATCH_LOG__LEVEL": "warning",
    },
    "worker": ["dispatch", "run", "adapters.dispatch_sqlite", "-c", "400"],
}
