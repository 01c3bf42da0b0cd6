"""Payloads, results and the like come back byte for byte, through every way they can take."""

from __future__ import annotations

from dispatch.ids import JobID
from dispatch.jobs.model import Failure, Unique, Verdict
from dispatch.testing.conformance.env import Env, new
from dispatch.testing.conformance.registry import case

ODD = {
    "empty": b"",
    "not JSON": b"{'a': nope",
    "not UTF-8": b"\xff\xfe\x00\x80",
    "every byte": bytes(range(256)),
    "zero bytes": b"\x00\x00",
    "digits": b"12345678901234567890123",
    "looks like null": b"null",
    "JSON with odd spacing": b'{ "b" : [ ] , "a":1.0, "a":10000000000000001 }',
    "utf-8": "ключ 🗝".encode(),
    "one megabyte": bytes(i * 7 % 251 for i in range(1024)) * 1024,
}


@case("I11")
async def payloads_survive_enqueue_claim_and_list(env: Env) -> None:
    given = {name: new(payload=payload) for name, payload in ODD.items()}
    await env.enqueue(*given.values())
    claimed = {job.id: job.payload for job in await env.claim(20)}
    listed = {job.id: job.payload for job in await env.jobs()}
    for name, job in given.items():
        assert (await env.job(job.id)).payload == ODD[name], name
        assert claimed[job.id] == ODD[name], name
        assert listed[job.id] == ODD[name], name


@case("I11")
async def payloads_of_many_jobs_that_are_alike_survive(env: Env) -> None:
    texts = [
        rb'{"a":"\ud800 \u0000 \\ \" \n"}',
        b'"\x7f \xe2\x80\xa8"',
        "ключ 🗝".encode(),
        b"",
        b"null",
        b"[1, 2]",
        b'{"a":{"b":0}}',
    ]
    for odd in (texts, *([*texts, payload] for payload in ODD.values())):
        given = [new(payload=payload) for payload in [*odd, *texts]]
        answers = await env.enqueue(*given)
        assert [(answer.id, answer.created) for answer in answers] == [(job.id, True) for job in given]
        for job in given:
            assert (await env.job(job.id)).payload == job.payload
    claimed = await env.claim(2)
    assert [job.payload for job in claimed] == texts[:2]


@case("I11")
async def results_survive(env: Env) -> None:
    for name, result in ODD.items():
        job = await env.start()
        await env.finish(job, Verdict.COMPLETE, result=result)
        assert (await env.job(job.id)).result == result, name
    job = await env.start()
    await env.finish(job, Verdict.COMPLETE, result=None)
    assert (await env.job(job.id)).result is None


@case("I11", "I12")
async def payloads_survive_death_and_replay(env: Env) -> None:
    for name, payload in ODD.items():
        _, letter_id = await env.bury(payload=payload)
        assert (await env.letter(letter_id)).payload == payload, name
        new_id = JobID.new()
        await env.store.dlq.replay(letter_id, new_id)
        job = await env.take()
        assert (job.id, job.payload) == (new_id, payload), name
        await env.finish(job, Verdict.COMPLETE)


@case("I11")
async def payloads_survive_failures_steals_and_replacement(env: Env) -> None:
    payload = ODD["every byte"]
    await env.add(payload=b"", unique=Unique("k"), delay=60)
    await env.enqueue(new(payload=payload, unique=Unique("k", on_conflict="replace")))
    job = await env.take()
    assert job.payload == payload
    await env.finish(job, Verdict.RETRY, failure=Failure("E", "m"))
    stolen = await env.crash(await env.take())
    assert stolen.job.payload == payload
    assert (await env.take()).payload == payload


@case()
async def odd_text_survives(env: Env) -> None:
    text = "quote ' \" back\\slash %s :name ? \n\t\r \u2028 \x7f ünï 🗝 ; DROP TABLE jobs; --"
    failure = Failure(text, text, text)
    job = await env.start(text, queue=text, tags=(text, ""), metadata={text: text}, effect_key=text)
    assert (job.name, job.queue, job.metadata, job.effect_key) == (text, text, {text: text}, text)
    assert job.tags == (text, "")
    await env.store.jobs.progress(env.worker, [(job.id, job.epoch, 1.0, text)])
    answer = await env.finish(job, Verdict.FAIL, failure=failure, dead_letter=True, reason=text)
    row = await env.job(job.id)
    assert (row.error, row.reason, row.progress_note) == (failure, text, text)
    assert answer.dead_letter is not None
    letter = await env.letter(answer.dead_letter)
    assert (letter.error, letter.reason, letter.tags) == (failure, text, (text, ""))
    assert (await env.store.jobs.attempts(job.id))[0].failure == failure
