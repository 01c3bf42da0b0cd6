"""The server that is measured: the wire protocol of an app and, in the same process, a route of bare Starlette."""

from __future__ import annotations

import asyncio
import json
import os

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from dispatch import Dispatch
from dispatch.api import API

from . import work  # noqa: F401  (its job is what is asked for)


async def bare(request: Request) -> JSONResponse:
    """What a route has to do at least: read JSON, answer JSON."""
    return JSONResponse({"type": "response", "data": json.loads(await request.body())})


async def main() -> None:
    """Prints the port and a key, then serves until it is killed."""
    async with Dispatch(os.environ["DISPATCH_STORE"]) as app:
        key = await app.keys.create("bench", scopes=["*"])
        api = API(app)
        api.prepare()
        doors: ASGIApp = api.asgi()
        both = Starlette(routes=[Route("/bare", bare, methods=["POST"]), Mount("/", doors)])
        server = uvicorn.Server(uvicorn.Config(both, port=0, lifespan="off", log_level="warning", access_log=False))
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        print(server.servers[0].sockets[0].getsockname()[1], key.token, flush=True)
        await serving


if __name__ == "__main__":
    asyncio.run(main())
