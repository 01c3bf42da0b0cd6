"""A guestbook in synchronous code: `python guestbook.py` serves it, `dispatch run guestbook.py` does its slow work.

A note is stored at once; counting its words is left to a job, enqueued by `.sync`. The form's own key is the
idempotency key, so a form that is sent twice makes one note and one job.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from dispatch import job

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

SCHEMA = "create table if not exists notes (form text primary key, text text not null, words int)"


def database() -> sqlite3.Connection:
    """The guestbook's own database; the jobs are in another file."""
    connection = sqlite3.connect("guestbook.db", isolation_level=None)
    connection.execute(SCHEMA)
    return connection


@job(queue="words")
def count_words(form: str) -> int:
    """Counts the words of a note; a plain function, so it runs in a thread. Repeating it does no harm."""
    connection = database()
    try:
        (text,) = connection.execute("select text from notes where form = ?", (form,)).fetchone()
        words = len(text.split())
        connection.execute("update notes set words = ? where form = ?", (words, form))
    finally:
        connection.close()
    return words


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """POST stores a note and enqueues; GET lists what is there."""
    connection = database()
    try:
        if environ["REQUEST_METHOD"] == "POST":
            fields = parse_qs(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode())
            form, text = fields["form"][0], fields["text"][0]
            connection.execute("insert or ignore into notes values (?, ?, null)", (form, text))
            handle = count_words.options(idempotency_key=form).sync.enqueue(form)
            start_response("303 See Other", [("Location", "/"), ("X-Job", handle.id)])
            return []
        notes = connection.execute("select text, words from notes order by rowid").fetchall()
    finally:
        connection.close()
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    lines = [f"<li>{escape(text)} ({'…' if words is None else words} words)</li>" for text, words in notes]
    return ["".join(["<ul>", *lines, "</ul>"]).encode()]


if __name__ == "__main__":
    from wsgiref.simple_server import make_server

    make_server("127.0.0.1", 8000, application).serve_forever()
