"""How the dashboard is served: to whom, under which policy, how long browsers may keep what."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.routing import Mount

from dispatch.access import EVERYTHING, Identity
from dispatch.api.guard import PLAIN_COOKIE
from dispatch.config import Config
from tests.api.world import World, world


async def session(found: World) -> dict[str, str]:
    token = await found.app.logins.open_session(Identity("ada", "", frozenset({EVERYTHING})))
    return {"Cookie": f"{PLAIN_COOKIE}={token}"}


async def test_only_who_has_a_session_gets_the_pages_others_the_one_to_log_in() -> None:
    async with world() as found:
        for headers in ({}, {"Cookie": f"{PLAIN_COOKIE}=nonsense"}):
            answer = await found.ask("GET", "/", None, headers)
            assert answer.status_code == 200
            assert "API key" in answer.text
            assert "app.js" not in answer.text
            assert ("Max-Age=0" in answer.headers.get("set-cookie", "")) is bool(headers)
        inside = await found.ask("GET", "/", None, await session(found))
        assert "app.js" in inside.text
        assert "API key" not in inside.text
        assert (await found.ask("POST", "/")).status_code == 405


async def test_the_login_link_leads_to_the_pages() -> None:
    async with world() as found:
        ticket = await found.app.logins.ticket(Identity("ada", "", frozenset({EVERYTHING})), "login")
        entered = await found.ask("GET", f"/login?ticket={ticket}")
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
    async with world(config=Config(server={"disable_dashboard": True})) as found:
        ticket = await found.app.logins.ticket(Identity("ada", "", frozenset({EVERYTHING})), "login")
        assert (await found.ask("GET", f"/login?ticket={ticket}")).headers["location"] == "/v1/session"


async def test_a_link_on_another_site_comes_back_from_this_one_for_the_cookie() -> None:
    async with world() as found:
        crossed = await found.ask("GET", "/", None, {"Sec-Fetch-Site": "cross-site"})
        assert (crossed.headers["refresh"], crossed.text) == ("0; url=./", "")
        late = await found.ask("GET", "/?link=used", None, {"Sec-Fetch-Site": "cross-site"})
        assert late.headers["refresh"] == "0; url=./?link=used"
        assert (await found.ask("GET", "/?x", None, {"Sec-Fetch-Site": "cross-site"})).headers["refresh"] == "0; url=./"
        assert "refresh" not in (await found.ask("GET", "/", None, {"Sec-Fetch-Site": "same-origin"})).headers


async def test_the_policy_lets_nothing_run_but_our_files_and_the_one_importmap() -> None:
    async with world() as found:
        for headers in ({}, await session(found)):
            answer = await found.ask("GET", "/", None, headers)
            sent = answer.headers["content-security-policy"]
            policy = dict(part.strip().partition(" ")[::2] for part in sent.split(";"))
            assert policy["default-src"] == "'none'"
            assert policy["style-src"] == "'self'"
            assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
            assert policy["require-trusted-types-for"] == "'script'"
            maps = re.findall(r'<script type="importmap">(.*?)</script>', answer.text)
            digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in maps]
            assert policy["script-src"].startswith("'self' 'sha256-")
            assert all(f"'sha256-{digest}'" in policy["script-src"] for digest in digests)
            assert "unsafe" not in sent
            assert not re.search(r"<script(?![^>]*(src=|importmap))|<style|style=|\son\w+=", answer.text)


async def test_files_are_kept_for_ever_and_pages_are_asked_for_again() -> None:
    async with world() as found:
        page = await found.ask("GET", "/")
        assert page.headers["cache-control"] == "no-cache"
        assert "Cookie" in page.headers["vary"]
        again = await found.ask("GET", "/", None, {"If-None-Match": page.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        (path,) = re.findall(r'href="(static/[^"]+style\.css)"', page.text)
        plain = await found.ask("GET", f"/{path}", None, {"Accept-Encoding": "identity"})
        assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert plain.headers["x-content-type-options"] == "nosniff"
        async with found.client.stream("GET", f"/{path}", headers={"Accept-Encoding": "gzip"}) as packed:
            raw = b"".join([chunk async for chunk in packed.aiter_raw()])
        assert gzip.decompress(raw) == plain.content
        assert len(raw) < len(plain.content) / 2
        for wrong in ("/static/0/style.css", path.replace("style.css", "../assets.py"), "/static/"):
            assert (await found.ask("GET", f"/{wrong.lstrip('/')}")).status_code == 404


async def test_without_the_dashboard_there_is_only_the_api() -> None:
    for options in ({"config": Config(server={"disable_dashboard": True})}, {"dashboard": False}):
        async with world(**options) as found:
            assert (await found.ask("GET", "/")).status_code == 404
            assert (await found.ask("GET", "/v1/session", await found.key())).status_code == 200


async def test_it_may_be_mounted_under_a_prefix() -> None:
    async with world() as found:
        outer: Any = Starlette(routes=[Mount("/ops", found.api.asgi())])
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(outer), base_url="http://localhost") as client:
            moved = await client.get("/ops")
            assert moved.status_code == 307
            assert moved.headers["location"].endswith("/ops/")
            page = await client.get("/ops/")
            (path,) = re.findall(r'src="(static/[^"]+login\.js)"', page.text)
            assert (await client.get(f"/ops/{path}")).status_code == 200


async def test_the_server_says_what_it_only_shows() -> None:
    async with world(config=Config(server={"environment": "staging"}), read_only=True) as found:
        about = (await found.ask("GET", "/v1/version", await found.key())).json()
        assert (about["environment"], about["read_only"]) == ("staging", True)
