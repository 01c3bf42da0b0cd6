"""Reads what people write on the command line: ids, states, durations, moments, job arguments."""

from __future__ import annotations

import difflib
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO, TypeVar

from dispatch.clock import LONGEST, seconds, utc_now
from dispatch.ids import DLQID, EventID, JobID, RunID, TypeID, WorkerID
from dispatch_cli.failures import CommandError

ID = TypeVar("ID", bound=TypeID)
_LARGEST_INPUT = 64 * 1024 * 1024
_OF_ANOTHER_TYPE = "is not of type|is not valid under any of|is not one of|Input should be"
"""What the two ways of validating say of a value whose type does not fit."""
_KINDS: dict[type[TypeID], tuple[str, str]] = {
    JobID: ("a job", "job"),
    DLQID: ("a dead letter", "dlq"),
    WorkerID: ("a worker", "worker"),
    RunID: ("a workflow run", "workflow"),
    EventID: ("an event", "event"),
}


def one_id(kind: type[ID], text: str) -> ID:
    """The id in `text`; a usage error says what is wrong with it."""
    thing, noun = _KINDS[kind]
    try:
        return kind.parse(text.strip())
    except ValueError:
        other = next((names for known, names in _KINDS.items() if text.startswith(f"{known.prefix}_")), None)
        if other is not None and other[1] != noun:
            hint = f"it looks like the id of {other[0]}: those are for `dispatch {other[1]} …`"
        else:
            hint = f"`dispatch {noun} list` shows the ids there are"
        shape = f"{kind.prefix}_ and 26 of 0-9 and a-z but i, l, o and u"
        raise CommandError(f"{text!r} is not the id of {thing}: {shape}", hint=hint) from None


def many_ids(kind: type[ID], texts: Sequence[str]) -> list[ID]:
    """The ids given, each once; `-` stands for those on standard input."""
    words: list[str] = []
    for text in texts:
        words.extend(_standard_input().split() if text == "-" else [text])
    return list(dict.fromkeys(one_id(kind, word) for word in words))


def page_cursor(kind: type[TypeID], text: str | None) -> str | None:
    """Where a page starts: what the page before ended with, which is an id."""
    if text is None:
        return None
    try:
        return str(kind.parse(text))
    except ValueError:
        raise CommandError(
            f"--cursor {text!r} is where no page ended", hint="take it from `next_cursor` of the page before (--json)"
        ) from None


def words_among(what: str, given: Iterable[str], known: Sequence[str]) -> list[str]:
    """Names out of a fixed set, given one by one or with commas."""
    words = [word.strip().lower() for text in given for word in text.split(",") if word.strip()]
    for word in words:
        if word not in known:
            near = difflib.get_close_matches(word, known, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"choose among {', '.join(known)}"
            raise CommandError(f"there is no {what} {word!r}", hint=hint)
    return words


def word_among(what: str, given: str, known: Sequence[str]) -> str:
    """One name out of a fixed set."""
    words = words_among(what, [given], known)
    if len(words) != 1:
        raise CommandError(f"{given!r} is not one {what}", hint=f"choose among {', '.join(known)}")
    return words[0]


def duration(option: str, text: str | None) -> float | None:
    """Seconds; None when nothing was given."""
    if text is None:
        return None
    try:
        value = seconds(text)
    except ValueError as error:
        raise CommandError(f"{option}: {error}") from None
    if not 0 <= value <= LONGEST:
        raise CommandError(f"{option}: {text!r} is not a duration that can be waited for (0 seconds to 100 years)")
    return value


def moment(option: str, text: str | None, *, instead: str = "") -> datetime | None:
    """A point in time, ISO 8601; without a zone it is this machine's.

    Args:
        instead: what else may be written there, for the hint.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo is not None else _of_this_machine(found)
    except (OverflowError, ValueError, OSError):
        raise CommandError(
            f"{option}: {text!r} is not a moment",
            hint=f"write {instead}2026-05-01T09:00, or 2026-05-01T09:00:00Z for UTC",
        ) from None


def _of_this_machine(wall: datetime) -> datetime:
    """A wall time here; one that the clocks skip is the first moment after the gap, one that comes twice the first."""
    early, late = sorted(wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if early.astimezone().replace(tzinfo=None) == wall:
        return early
    before = early.astimezone().utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        early, late = (middle, late) if middle.astimezone().utcoffset() == before else (early, middle)
    return late.replace(microsecond=0)


def since_when(option: str, text: str | None) -> datetime | None:
    """A moment, or how long ago it was: 2h, 30d, 2026-05-01T09:00."""
    if text is None:
        return None
    try:
        length = seconds(text)
    except ValueError:
        return moment(option, text)
    if not 0 <= length <= LONGEST:
        raise CommandError(f"{option}: {text!r} is not how long ago something can be (0 seconds to 100 years)")
    return utc_now() - timedelta(seconds=length)


def interval_of(option: str, text: str | None) -> float:
    """Seconds from one to the next at a rate such as 10/s, 30/m or 100/h; 0 without one."""
    if text is None:
        return 0.0
    number, _, unit = text.partition("/")
    size = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}.get(unit)
    try:
        rate = float(number)
    except ValueError:
        rate = math.nan
    if size is None or not 0 < rate <= 1e6:
        raise CommandError(f"{option}: {text!r} is no rate: write 10/s, 30/m or 100/h")
    return size / rate


def in_words(**given: object) -> str:
    """The filters that were given, for an audit record."""
    parts = []
    for name, value in given.items():
        if value:
            parts.append(f"{name}={','.join(map(str, value)) if isinstance(value, list) else value}")
    return " ".join(parts)


_ALL = '--args \'{"key": "text"}\''


def call_arguments(pairs: Sequence[str], document: str | None, *, whole: str = _ALL) -> Any:
    """The arguments of a job: `key=text`, `key:=json`, or one JSON document (`@file` and `-` read it from there).

    Args:
        whole: how the command takes them all at once.
    """
    if document is not None:
        if pairs:
            raise CommandError(f"--args holds all arguments: leave out {pairs[0]!r}, or --args")
        return _document(document)
    arguments: dict[str, Any] = {}
    for pair in pairs:
        key, value = _pair(pair, whole)
        if key in arguments:
            raise CommandError(f"the argument {key!r} is given twice")
        arguments[key] = value
    return arguments


def _pair(text: str, whole: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key or key == ":":
        raise CommandError(
            f"{text!r} is not an argument with its value",
            hint=f'write key=text, key:=json (count:=3, flags:=["a"]), or all arguments as {whole}',
        )
    if not key.endswith(":"):
        return key, value
    try:
        return key[:-1], _json(value)
    except ValueError as error:
        shown = text if len(text) <= 80 else f"{text[:77]}..."
        raise CommandError(
            f"{shown!r}: the value is not JSON: {error}", hint="key=text takes the value as text"
        ) from None


@contextmanager
def hint_at_json(pairs: Sequence[str]) -> Iterator[None]:
    """Inside, arguments that are refused for their type are told with how to write one that is no text."""
    from dispatch.errors import InvalidArguments

    try:
        yield
    except InvalidArguments as error:
        hint = _hint(pairs, str(error))
        if not hint:
            raise
        raise CommandError(str(error), code="invalid_arguments", hint=hint) from None


def _hint(pairs: Sequence[str], refusal: str) -> str:
    for pair in pairs:
        key, _, value = pair.partition("=")
        if not key.endswith(":") and re.search(rf"(?:^|[ ;.]){re.escape(key)}: [^;]*(?:{_OF_ANOTHER_TYPE})", refusal):
            if value and not _is_json(value):
                shown = value if len(value) <= 40 else f"{value[:37]}..."
                return f"{shown!r} is text and nothing else; a number is written {key}:=3, a list {key}:='[1, 2]'"
            value = value if len(value) <= 40 and value else "…"
            return f"{key}=… is text; write {key}:={value} for a number, a list, true, false or null"
    return ""


def _is_json(text: str) -> bool:
    try:
        _json(text)
    except ValueError:
        return False
    return True


def _document(text: str) -> Any:
    origin = "--args"
    if text == "-":
        origin, text = "standard input", _standard_input()
    elif text.startswith("@"):
        origin = text[1:]
        try:
            with Path(origin).open(encoding="utf-8-sig") as stream:
                text = _bounded(stream, origin)
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise CommandError(f"the arguments from {origin} cannot be read: {error}") from None
    try:
        return _json(text)
    except ValueError as error:
        raise CommandError(f"the arguments from {origin} are not JSON: {error}") from None


def _standard_input() -> str:
    try:
        return _bounded(sys.stdin, "standard input")
    except UnicodeDecodeError as error:
        raise CommandError(f"standard input is no text: {error}") from None


def _bounded(stream: TextIO, origin: str) -> str:
    """All of the stream; a usage error for one that is endless, or as good as."""
    text = stream.read(_LARGEST_INPUT + 1)
    if len(text) > _LARGEST_INPUT:
        raise CommandError(f"{origin} holds more than {_LARGEST_INPUT:,} characters, which are no arguments or ids")
    return text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
