from adapters.dispatch_sqlite import close, enqueue_bulk, enqueue_one, noop, open, setup

__all__ = ["META", "close", "enqueue_bulk", "enqueue_one", "noop", "open", "setup"]

META = {
    "backend": "sqlite",
    "venv": "$DISPATCH_VENV",
    "dist": "dispatch-tasks",
    "reqs": ["sqlalchemy", "greenlet"],
    "kind": "async",
    "note": "dispatch run -c 400 on an AsyncEngine's connections, synchronous=FULL, WAL, results kept",
    "bulk": "api",
    "env": {
        "DISPATCH_STORE": "sqlalchemy+sqlite+aiosqlite:///{sqlite}/dispatch.db",
        "DISPATCH_LOG__LEVEL": "warning",
    },
    "worker": ["dispatch", "run", "adapters.dispatch_sqlite", "-c", "400"],
}
