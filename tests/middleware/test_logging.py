"""What the log says of an attempt, and what it never says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from dispatch.errors import Fail, Retry, Snooze
from dispatch.jobs.model import Job
from dispatch.middleware import Logging, chain

MakeJob = Callable[..., Job]


async def run(job: Job, error: BaseException | None = None) -> Any:
    async def handler(job: Job) -> str:
        if error is not None:
            raise error
        return "the secret result"

    return await chain([Logging()], handler)(job)


async def test_start_and_completion_are_logged_without_payload_or_result(
    make_job: MakeJob, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "dispatch.job")
    assert await run(make_job(failures=1)) == "the secret result"
    started, completed = caplog.records
    assert started.getMessage() == "mail.send job_01h455vb4pex5vsknk084sn02q started (attempt 2)"
    assert completed.getMessage().startswith("mail.send job_01h455vb4pex5vsknk084sn02q completed (attempt 2, 0.0")
    assert (started.levelname, completed.levelname) == ("DEBUG", "INFO")
    facts = completed.__dict__
    assert (facts["job_name"], facts["queue"], facts["attempt"]) == ("mail.send", "mails", 2)
    assert "hunter2" not in str(facts) + str(started.__dict__)
    assert "secret" not in str(facts)


@pytest.mark.parametrize(
    ("error", "level", "text"),
    [
        (ValueError("no such user"), "ERROR", "failed: ValueError: no such user"),
        (Retry("later"), "WARNING", "asked for a retry: later"),
        (Snooze(30), "INFO", "snoozed for 30 s"),
        (Fail("bad address"), "WARNING", "failed for good: bad address"),
        (asyncio.CancelledError(), "WARNING", "was cancelled"),
    ],
)
async def test_each_ending_has_its_level_and_words(
    make_job: MakeJob, caplog: pytest.LogCaptureFixture, error: BaseException, level: str, text: str
) -> None:
    caplog.set_level(logging.INFO, "dispatch.job")
    with pytest.raises(type(error)):
        await run(make_job(), error)
    (record,) = caplog.records
    assert record.levelname == level
    assert f" {text} (attempt 1, " in record.getMessage()
    assert (record.exc_info is not None) == (level == "ERROR")


async def test_the_records_of_a_job_with_a_trace_name_it(make_job: MakeJob, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(job: Job) -> None: ...

    caplog.set_level(logging.INFO, "dispatch.job")
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    for metadata in ({"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}, {"traceparent": 7}, {}):
        await chain([Logging()], handler)(make_job(metadata=metadata))
    assert [getattr(record, "trace_id", None) for record in caplog.records] == [trace, None, None]


async def test_an_error_message_cannot_forge_a_log_line(make_job: MakeJob, caplog: pytest.LogCaptureFixture) -> None:
    forged = "2026-01-01 INFO root logged in"
    with pytest.raises(ValueError, match="x"):
        await run(make_job(name="evil\njob"), ValueError(f"x\n{forged}\x1b[2J"))
    text = logging.Formatter("%(message)s").format(caplog.records[0])
    assert "\x1b" not in text
    assert text.startswith("evil\\njob ")
    assert not any(line.startswith(forged) for line in text.splitlines())
    assert "    ValueError: x" in text


class Counting(logging.Logger):
    """Counts the records that are built."""

    made = 0

    def makeRecord(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        self.made += 1
        return super().makeRecord(*args, **kwargs)


@pytest.mark.parametrize(("level", "records"), [(logging.DEBUG, 2), (logging.INFO, 1), (logging.WARNING, 0)])
async def test_a_level_that_is_off_builds_no_record(make_job: MakeJob, level: int, records: int) -> None:
    logger = Counting("counting", level)

    async def handler(job: Job) -> None: ...

    await chain([Logging(logger)], handler)(make_job())
    assert logger.made == records


async def test_a_logger_that_is_off_altogether_adds_no_frame(make_job: MakeJob) -> None:
    async def handler(job: Job) -> None: ...

    coroutine = Logging(Counting("counting", logging.CRITICAL))(make_job(), handler)
    assert getattr(coroutine, "cr_code", None) is handler.__code__
    await coroutine
