"""Mistakes that type checkers must report: each line marked `# E` holds one."""

from __future__ import annotations

from dispatch import Dispatch, Registry, job
from dispatch.ids import DLQID, JobID
from dispatch.jobs import JobHandle

registry = Registry()


@job(queue="mails")
async def send(to: str, *, track: bool = False) -> str:
    return to


@job
def crunch(n: int) -> int:
    return n


@job(retries=3)  # E: unknown option of the decorator
def wrong_option() -> None: ...


@job(timeout=[1])  # E: an option of the wrong type
def wrong_type() -> None: ...


@job(executor="proces")  # E: no such executor
def wrong_executor() -> None: ...


@registry.job(on_conflict="repalce")  # E: no such word
def wrong_word() -> None: ...


async def calls(app: Dispatch) -> None:
    await send.enqueue(5)  # E: the argument is no text
    await send.enqueue()  # E: the argument is missing
    await send.enqueue("x", trak=True)  # E: no such parameter
    await send.enqueue("x", True)  # E: track is given by keyword only
    await send.enqueue("x", queue="critical")  # E: options never mix with the function's own arguments
    send.call(to=5)  # E: the argument is no text
    send(5)  # E: the function itself is typed as before
    await crunch.enqueue("5")  # E: the argument is no number
    wrong: JobHandle[str] = await crunch.enqueue(5)  # E: the job returns a number
    text: str = await (await crunch.enqueue(5)).result()  # E: the result is a number
    await crunch(5)  # E: a plain function is not awaited
    crunch.options(prioritty=1)  # E: no such option
    crunch.options(priority="high")  # E: an option of the wrong type
    await crunch.options(priority=1).enqueue("5")  # E: the signature survives options
    await crunch.enqueue_many([send.call("x")])  # E: a call of another result
    crunch.sync.enqueue("5")  # E: checked in synchronous code too
    number: int = send.sync.enqueue("x").result()  # E: the result is a text
    await app.enqueue(crunch, "5")  # E: checked through the app too
    await app.enqueue(send)  # E: the argument is missing
    app.sync.enqueue(crunch, 5, 6)  # E: one argument too many
    await app.jobs.cancel("job_1")  # E: an id is no plain text
    await app.dlq.replay(JobID.new())  # E: the id of another kind of thing
    await app.jobs.get(DLQID.new())  # E: the id of another kind of thing
    _ = (wrong, text, number)
