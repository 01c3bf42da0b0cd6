"""Sign-ups over HTTP, their mails in the background: `uvicorn signup:web`, and `dispatch run signup.py` beside it.

`POST /signups` enqueues and answers at once; `GET /signups/{id}` tells how far the mail is. With `WORKER=1` in the
environment the same process sends the mails, too. The API of Dispatch is under `/ops`, for whoever has a key.
"""

from __future__ import annotations

import os
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel

from dispatch import Dispatch, job
from dispatch.errors import JobNotFound
from dispatch.ids import JobID
from dispatch.integrations.asgi import DispatchExtension, get_dispatch


class Signup(BaseModel):
    """Who wants in."""

    name: str
    address: str


@job(queue="mailers", max_retries=5, unique=lambda signup: signup.address, unique_for="1h")
async def welcome(signup: Signup) -> str:
    """Sends the welcome mail (here: says what it would send)."""
    return f"Welcome, {signup.name}! (to {signup.address})"


web = FastAPI(title="Sign-ups")
extension = DispatchExtension(path="/ops", worker=os.environ.get("WORKER") == "1")
extension.install(web)


@web.post("/signups", status_code=202)
async def sign_up(signup: Signup) -> dict[str, str]:
    """Two sign-ups of one address within an hour are one mail."""
    handle = await welcome.enqueue(signup)
    return {"mail": handle.id}


@web.get("/signups/{mail}")
async def look(mail: str, app: Annotated[Dispatch, Depends(get_dispatch)]) -> dict[str, Any]:
    """How far the mail is."""
    try:
        found = await app.job(JobID.parse(mail))
    except (JobNotFound, ValueError) as error:
        raise HTTPException(404, "there is no such sign-up") from error
    return {"state": found.state, "attempt": found.attempt}
