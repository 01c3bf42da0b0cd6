"""How wide the columns of a table are and where text is folded, so that neither words nor ids are cut on a terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from rich.cells import cell_len

GAP = 2
_LEAST = 12
"""Narrower than this no column gets by folding words."""
_WHOLE = re.compile(r"[a-z]{3,4}_[0-9a-hjkmnp-tv-z]{26}|.{0,12}", re.DOTALL)
_QUOTED = re.compile(r"`[^`\n]*`")
_KEPT = "\N{NO-BREAK SPACE}"


def taken(rows: Sequence[Sequence[str]]) -> int:
    """The width of a table in which nothing is folded, headings being the first row."""
    columns = [*zip(*rows, strict=True)]
    return sum(max(map(cell_len, column)) for column in columns) + GAP * (len(columns) - 1)


def kept_of(rows: Sequence[Sequence[str]], spare: Sequence[int], room: int) -> list[int]:
    """The places of the columns that fit side by side; those with the highest number in `spare` go first, 0 never.

    >>> kept_of([["ID", "NAME", "AGE"], ["a", "ada", "36"]], [0, 1, 2], 8)
    [0, 1]
    """
    kept = list(range(len(spare)))
    leaving = sorted((place for place in kept if spare[place]), key=lambda place: spare[place])
    while leaving and taken([[row[place] for place in kept] for row in rows]) > room:
        kept.remove(leaving.pop())
    return kept


def widths_of(rows: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """How wide each column may be in `room` letters, headings being the first row; None: there is too little room.

    Ids and short cells are never folded; of the others the widest gives way first, words whole as long as that is
    enough, then down to 12 letters.

    >>> widths_of([["ID", "WHY"], ["a", "the disk is full"]], 14)
    [2, 10]
    """
    columns = [*zip(*rows, strict=True)]
    widths = [max(map(cell_len, column)) for column in columns]
    words = [_longest_word(column) for column in columns]
    folded = [min(width, max(_LEAST, _longest_whole(column))) for column, width in zip(columns, words, strict=True)]
    room -= GAP * (len(columns) - 1)
    for least in (words, folded):
        while sum(widths) > room:
            loose = [place for place, width in enumerate(widths) if width > least[place]]
            if not loose:
                break
            widest = max(loose, key=lambda place: widths[place])
            widths[widest] -= 1
    return widths if sum(widths) <= room else None


def folded(text: str, room: int, *, indent: str = "") -> list[str]:
    """Sentences in lines of at most `room` letters, the second and later ones indented; `commands` are not broken."""
    kept = _QUOTED.sub(lambda found: found[0].replace(" ", _KEPT), text)
    lines = textwrap.wrap(kept, max(room, 20), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_KEPT, " ") for line in lines] or [""]


def _longest_word(column: Sequence[str]) -> int:
    return max(max(map(cell_len, [cell] if _WHOLE.fullmatch(cell) else cell.split()), default=0) for cell in column)


def _longest_whole(column: Sequence[str]) -> int:
    return max((cell_len(cell) for cell in column if _WHOLE.fullmatch(cell)), default=0)
