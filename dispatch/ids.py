"""The seven typed identifiers: TypeIDs (a prefix and a UUIDv7 in base32), sortable by creation time; and secrets."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from functools import lru_cache
from typing import ClassVar, Self
from uuid import UUID

from uuid_utils import uuid7

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_VALUES = {c: i for i, c in enumerate(_ALPHABET)}
_SUFFIX_LENGTH = 26
_BITS = (1 << 30) - 1


@lru_cache(maxsize=16)
def _head(upper: int) -> str:
    """The first sixteen of the 26 characters, which ids share that one process makes in one millisecond."""
    p = _PAIRS
    first, second, third = upper >> 60, upper >> 30 & _BITS, upper & _BITS
    return (
        f"{p[first >> 10]}{p[first & 1023]}{p[second >> 20]}{p[second >> 10 & 1023]}{p[second & 1023]}"
        f"{p[third >> 20]}{p[third >> 10 & 1023]}{p[third & 1023]}"
    )


def encode_suffix(value: int) -> str:
    """The 26 base32 characters of a 128-bit integer."""
    p = _PAIRS
    # integers of 30 bits are the small ones that Python calculates with quickest
    first, second = value >> 20 & _BITS, value & 0xFFFFF
    return (
        f"{_head(value >> 50)}{p[first >> 20]}{p[first >> 10 & 1023]}{p[first & 1023]}"
        f"{p[second >> 10]}{p[second & 1023]}"
    )


def decode_suffix(suffix: str) -> int:
    """The 128-bit integer of 26 base32 characters; ValueError when they are none."""
    if len(suffix) != _SUFFIX_LENGTH or suffix[0] > "7":
        raise ValueError(f"{suffix!r} is not a TypeID suffix: 26 characters of {_ALPHABET}, the first at most 7")
    value = 0
    for character in suffix:
        digit = _VALUES.get(character)
        if digit is None:
            raise ValueError(f"{suffix!r} is not a TypeID suffix: {character!r} is not in {_ALPHABET}")
        value = value << 5 | digit
    return value


def new_uuid() -> UUID:
    """A fresh UUIDv7."""
    return UUID(int=uuid7().int)


def new_secret() -> str:
    """A fresh secret of 32 random bytes, as 43 letters that URLs and headers take as they are."""
    return secrets.token_urlsafe(32)


def new_public_id() -> str:
    """A fresh short name of something whose secret stands beside it: 16 hexadecimal digits."""
    return secrets.token_hex(8)


class TypeID(str):
    """An identifier that knows its kind; a plain `str` subclass, so it stores and prints as itself.

    Calling the class (`JobID(text)`) trusts the text, as a store does; `parse` is the door for text from outside.
    """

    __slots__ = ()
    prefix: ClassVar[str] = ""

    @classmethod
    def new(cls) -> Self:
        """A fresh id; ids of one process sort in the order they were made."""
        return cls(f"{cls.prefix}_{encode_suffix(uuid7().int)}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The id in `text`; ValueError when the prefix or the suffix is wrong.

        >>> JobID.parse("job_00000000000000000000000000")
        'job_00000000000000000000000000'
        """
        prefix, separator, suffix = text.rpartition("_")
        if not separator or prefix != cls.prefix:
            raise ValueError(f"{text!r} is not a {cls.__name__}: it must start with {cls.prefix + '_'!r}")
        decode_suffix(suffix)
        return cls(text)

    @property
    def uuid(self) -> UUID:
        """The UUIDv7 inside."""
        return UUID(int=decode_suffix(self.rpartition("_")[2]))

    @property
    def timestamp(self) -> datetime:
        """When the id was made, to the millisecond (UTC)."""
        return datetime.fromtimestamp((self.uuid.int >> 80) / 1000, UTC)


class JobID(TypeID):
    """A job."""

    __slots__ = ()
    prefix = "job"


class RunID(TypeID):
    """A workflow run."""

    __slots__ = ()
    prefix = "run"


class CronID(TypeID):
    """A cron entry."""

    __slots__ = ()
    prefix = "cron"


class DLQID(TypeID):
    """A dead letter."""

    __slots__ = ()
    prefix = "dlq"


class EventID(TypeID):
    """A published event."""

    __slots__ = ()
    prefix = "evt"


class WorkerID(TypeID):
    """A worker process; new for every start."""

    __slots__ = ()
    prefix = "wkr"


class CheckpointID(TypeID):
    """A checkpoint of a workflow run."""

    __slots__ = ()
    prefix = "chk"
