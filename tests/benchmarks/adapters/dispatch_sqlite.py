META = {
    "backend": "sqlite",
    "venv": "$DISPATCH_VENV",
    "dist": "dispatch-tasks",
    "reqs": [],
    "kind": "async",
    "note": "dispatch run -c 400, synchronous=FULL, WAL, results kept, uvloop where installed",
    "bulk": "api",
    "env": {
        "DISPATCH_STORE": "sqlite:///{sqlite}/dispatch.db",
        "DISPATCH_LOG__LEVEL": "warning",
    },
    "worker": ["dispatch", "run", "adapters.dispatch_sqlite", "-c", "400"],
}
from common import hit, step

from dispatch import Dispatch, WorkflowContext, job, workflow

app = None
CHUNK = 1000


@job
async def noop(ts: int = 0) -> None:
    hit(ts)


async def work() -> int:
    step()
    return 1


@workflow
async def wf10(ctx: WorkflowContext, k: int) -> None:
    for i in range(10):
        await ctx.step(f"s{i}", work)
    hit(0)


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


async def enqueue_workflows(n):
    for k in range(n):
        await wf10.start(k)
