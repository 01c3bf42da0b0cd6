"""Frames as bytes: both codecs say the same, and take nothing that JSON cannot hold."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.wire import BadFrame, Codec, Frame, FrameError, FrameType, JSONCodec, MsgpackCodec

CODECS: list[Codec] = [JSONCodec(), MsgpackCodec()]
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=8), inside, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize("codec", CODECS, ids=["json", "msgpack"])
@given(data=json_values, kind=st.sampled_from(FrameType), credits=st.integers(0, 1000))
def test_what_is_written_is_read_again(codec: Any, data: Any, kind: FrameType, credits: int) -> None:
    frame = Frame(type=kind, id="1", method="job.get", channel="jobs", credits=credits, data=data)
    assert codec.decode(codec.encode(frame)) == frame


def test_fields_that_say_nothing_are_left_out() -> None:
    frame = Frame(type=FrameType.ERROR, correl_id="4", error=FrameError(404, "there is no job"))
    assert json.loads(JSONCodec().encode(frame)) == {
        "type": "error",
        "correl_id": "4",
        "error": {"code": 404, "message": "there is no job"},
    }


def test_null_data_are_data() -> None:
    assert json.loads(JSONCodec().encode(Frame(type=FrameType.RESPONSE, data=None))) == {
        "type": "response",
        "data": None,
    }


def test_any_ts_or_none_is_accepted_and_forgotten() -> None:
    for ts in ('"2026-11-22T10:00:00Z"', "1700000000", "null", '"yesterday"'):
        assert JSONCodec().decode(f'{{"type": "ping", "ts": {ts}}}'.encode()).ts is msgspec.UNSET


def test_fields_from_the_future_are_ignored() -> None:
    assert JSONCodec().decode(b'{"type": "ping", "compression": "zstd"}') == Frame(type=FrameType.PING)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"type": "shout"}',
        b'{"type": "request", "id": 1}',
        b'{"type": "request", "credits": -1}',
        b'{"type": "request", "credits": 1e12}',
        b'{"type": "request", "data": NaN}',
        b'{"type": "request", "id": "' + b"x" * 500 + b'"}',
        b"\xff\xfe",
        b'{"type": "request"} {"type": "request"}',
    ],
)
def test_what_is_no_frame_is_refused_with_a_reason(raw: bytes) -> None:
    with pytest.raises(BadFrame, match="no frame"):
        JSONCodec().decode(raw)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"bytes", "bytes is no JSON value"),
        ({1: "a"}, "keys of an object are texts"),
        (float("nan"), "NaN"),
        (float("inf"), "infinity"),
        (msgspec.msgpack.Ext(5, b"x"), "Ext is no JSON value"),
    ],
    ids=["bytes", "key", "nan", "infinity", "extension"],
)
def test_msgpack_brings_in_nothing_that_json_cannot_hold(data: Any, reason: str) -> None:
    raw = msgspec.msgpack.encode({"type": "request", "data": [data]})
    with pytest.raises(BadFrame, match=reason):
        MsgpackCodec().decode(raw)


@pytest.mark.parametrize("codec", CODECS, ids=["json", "msgpack"])
def test_depth_and_size_are_limited(codec: Any) -> None:
    deep: Any = 1
    for _ in range(64):
        deep = [deep]
    assert codec.decode(codec.encode(Frame(type=FrameType.REQUEST, data=deep)))
    with pytest.raises(BadFrame, match="deeper than 64") as caught:
        codec.decode(codec.encode(Frame(type=FrameType.REQUEST, data=[deep])))
    assert caught.value.too_large
    with pytest.raises(BadFrame, match="more than 1,048,576") as caught:
        codec.decode(codec.encode(Frame(type=FrameType.REQUEST, data="x" * 2_000_000)))
    assert caught.value.too_large


def test_a_bomb_of_brackets_is_refused() -> None:
    for raw in (b'{"type":"request","data":' + b"[" * 500_000, b'{"type":"request","data":' + b'{"a":' * 200_000):
        with pytest.raises(BadFrame):
            JSONCodec().decode(raw)
    with pytest.raises(BadFrame):
        MsgpackCodec().decode(b"\x82\xa4type\xa7request\xa4data" + b"\x91" * 500_000)


def test_a_token_is_not_shown() -> None:
    frame = Frame(type=FrameType.REQUEST, method="auth", token="dk_abc_secret")
    assert "secret" not in repr(frame)


def test_garbage_never_raises_anything_else() -> None:
    dice = random.Random(20261122)
    good = [
        codec.encode(Frame(type=FrameType.REQUEST, id="1", method="job.get", data={"a": [1, None]})) for codec in CODECS
    ]
    for number in range(4000):
        raw = bytearray(good[number % 2] if number % 3 else dice.randbytes(dice.randrange(60)))
        for _ in range(dice.randrange(1, 6)):
            if raw:
                raw[dice.randrange(len(raw))] = dice.randrange(256)
        for codec in CODECS:
            try:
                codec.decode(bytes(raw))
            except BadFrame:
                continue
