"""Notes over HTTP, their words counted by jobs: `flask --app notes run`, and `dispatch run notes.py:queue` beside it.

The jobs use what the views use, `current_app` and `g`: each runs in a context of the application.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from flask import Flask, Response, current_app, g, jsonify, request

from dispatch import job
from dispatch.integrations.flask import FlaskDispatch

web = Flask(__name__)
web.config["NOTES"] = "notes.db"
queue = FlaskDispatch(web)


def database() -> sqlite3.Connection:
    """The notes, as this request or job sees them; the jobs are in another file."""
    if "database" not in g:
        g.database = sqlite3.connect(current_app.config["NOTES"], isolation_level=None, check_same_thread=False)
        g.database.execute("create table if not exists notes (id integer primary key, text text, words int)")
    found: sqlite3.Connection = g.database
    return found


@web.teardown_appcontext
def close(error: BaseException | None) -> None:
    """After each request and each job."""
    if "database" in g:
        g.database.close()


@job
def count_words(note: int) -> int:
    """Counts the words of a note; repeating it does no harm."""
    (text,) = database().execute("select text from notes where id = ?", (note,)).fetchone()
    words = len(text.split())
    database().execute("update notes set words = ? where id = ?", (words, note))
    return words


@web.post("/notes")
def take() -> tuple[Response, int]:
    """Keeps a note."""
    note = database().execute("insert into notes (text) values (?)", (request.form["text"],)).lastrowid
    assert note is not None
    handle = count_words.sync.enqueue(note)
    return jsonify(note=note, job=handle.id), 202


@web.get("/notes/<int:note>")
def show(note: int) -> Any:
    """A note, with the number of its words once they are counted."""
    row = database().execute("select text, words from notes where id = ?", (note,)).fetchone()
    return jsonify(text=row[0], words=row[1]) if row else (jsonify(error="there is no such note"), 404)
