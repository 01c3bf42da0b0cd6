"""Reads what people write on the command line: ids, states, durations, moments, job arguments."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from dispatch.clock import seconds
from dispatch.ids import DLQID, JobID, TypeID
from dispatch_cli.failures import CommandError

ID = TypeVar("ID", bound=TypeID)
_KINDS: dict[type[TypeID], tuple[str, str]] = {JobID: ("job", "job"), DLQID: ("dead letter", "dlq")}


def one_id(kind: type[ID], text: str) -> ID:
    """The id in `text`; a usage error says what is wrong with it."""
    thing, noun = _KINDS[kind]
    try:
        return kind.parse(text.strip())
    except ValueError as error:
        other = next((names for known, names in _KINDS.items() if text.startswith(f"{known.prefix}_")), None)
        if other is not None and other[1] != noun:
            hint = f"it looks like the id of a {other[0]}: those are for `dispatch {other[1]} …`"
        else:
            hint = f"`dispatch {noun} list` shows the ids there are"
        raise CommandError(f"not the id of a {thing}: {error}", hint=hint) from None


def many_ids(kind: type[ID], texts: Sequence[str]) -> list[ID]:
    """The ids given, each once; `-` stands for those on standard input."""
    words: list[str] = []
    for text in texts:
        words.extend(sys.stdin.read().split() if text == "-" else [text])
    return list(dict.fromkeys(one_id(kind, word) for word in words))


def words_among(what: str, given: Iterable[str], known: Sequence[str]) -> list[str]:
    """Names out of a fixed set, given one by one or with commas."""
    words = [word.strip().lower() for text in given for word in text.split(",") if word.strip()]
    for word in words:
        if word not in known:
            near = difflib.get_close_matches(word, known, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"choose among {', '.join(known)}"
            raise CommandError(f"there is no {what} {word!r}", hint=hint)
    return words


def duration(option: str, text: str | None) -> float | None:
    """Seconds; None when nothing was given."""
    if text is None:
        return None
    try:
        value = seconds(text)
    except ValueError as error:
        raise CommandError(f"{option}: {error}") from None
    if not 0 <= value < float("inf"):
        raise CommandError(f"{option}: {text!r} is not a duration that can be waited for")
    return value


def moment(option: str, text: str | None) -> datetime | None:
    """A point in time, ISO 8601; without a zone it is this machine's."""
    if text is None:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            f"{option}: {text!r} is not a moment", hint="write 2026-05-01T09:00, or 2026-05-01T09:00:00Z for UTC"
        ) from None
    return value.astimezone()


def call_arguments(pairs: Sequence[str], document: str | None) -> Any:
    """The arguments of a job: `key=text`, `key:=json`, or one JSON document (`@file` and `-` read it from there)."""
    if document is not None:
        if pairs:
            raise CommandError(f"--args holds all arguments: leave out {pairs[0]!r}, or --args")
        return _document(document)
    arguments: dict[str, Any] = {}
    for pair in pairs:
        key, value = _pair(pair)
        if key in arguments:
            raise CommandError(f"the argument {key!r} is given twice")
        arguments[key] = value
    return arguments


def _pair(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key or key == ":":
        raise CommandError(
            f"{text!r} is not an argument",
            hint='write key=text, key:=json (count:=3, flags:=["a"]), or all arguments as --args \'{"key": "text"}\'',
        )
    if not key.endswith(":"):
        return key, value
    try:
        return key[:-1], json.loads(value)
    except ValueError as error:
        raise CommandError(
            f"{text!r}: the value is not JSON: {error}", hint="key=text takes the value as text"
        ) from None


def _document(text: str) -> Any:
    origin = "--args"
    if text == "-":
        origin, text = "standard input", sys.stdin.read()
    elif text.startswith("@"):
        origin, path = text[1:], Path(text[1:])
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"--args {text}: the file cannot be read: {error}") from None
    try:
        return json.loads(text)
    except ValueError as error:
        raise CommandError(f"the arguments from {origin} are not JSON: {error}") from None
