"""The page to read the API and try it out: what is served, and how it looks in a browser."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urljoin

from aiohttp import web

from cameleer_registry import NODE, Settings, create_app
from cameleer_registry.web import console
from cameleer_registry.web.documentation import FILES, PAGE

from ..support import Served, running, serving, within

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
"""Scripts and styles stand in files alone, and no text becomes markup."""


@asynccontextmanager
async def mounted(settings: Settings | None = None) -> AsyncIterator[Served]:
    """A registry below a prefix of another application."""
    host, registry = web.Application(), create_app(settings)
    host.add_subapp("/tools/registry", registry)
    async with running(host) as (name, port):
        yield Served(registry[NODE], name, port, "/tools/registry")


async def test_the_page_and_its_files(served: Served) -> None:
    """Each with its type, and kept by browsers as long as it is right."""
    types = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
    for path in ("//docs", *(f"//docs/{name}" for name in FILES if name != PAGE)):
        answer = await served.request("GET", path)
        assert 200 == answer.status
        suffix = re.search(r"\.\w+$", path)
        expected = types[suffix[0] if suffix else ".html"] + "; charset=utf-8"
        assert expected == answer.headers["content-type"]
        assert "no-cache" == answer.headers["cache-control"]
        assert "nosniff" == answer.headers["x-content-type-options"]
        known = {"If-None-Match": answer.headers["etag"]}
        assert 304 == (await served.request("GET", path, headers=known)).status
        assert 200 == (await served.request("HEAD", path)).status


async def test_a_file_that_is_not_there(served: Served) -> None:
    """404; so is the page where its addresses would be wrong, and what is beside its folder."""
    for name in ("nix", "index.html", "..%2Fpages.py", "..%2Fconsole%2Fdom.js", "%2Fetc%2Fpasswd"):
        answer = await served.request("GET", f"//docs/{name}")
        assert (404, "not-found") == (answer.status, answer.code)


async def test_the_policy(served: Served) -> None:
    """Nothing from another host, and nothing inline."""
    answer = await served.request("GET", "//docs")
    directives = answer.headers["content-security-policy"].split("; ")
    assert POLICY == dict(directive.split(" ", 1) for directive in directives)


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_missing() -> None:
    """Addresses are relative, right under any prefix; each leads somewhere, and no file is idle."""
    page = FILES[PAGE].body.decode()
    found = set(re.findall(r'(?:src|href)="([^"]*)"', page))
    for name, file in FILES.items():
        if name.endswith(".js"):
            for module in re.findall(r'^import .* from "(.*)";$', file.body.decode(), re.MULTILINE):
                found.add(urljoin(f"/docs/{name}", module).removeprefix("/"))
        assert name == PAGE or b"://" not in file.body
    files = {f"docs/{name}" for name in FILES if name != PAGE}
    shared = {f"console/{name}" for name in console.FILES}
    assert files | {"api/v1/openapi.json"} == found - shared
    assert {"console/base.css", "console/dom.js", "console/json.js"} < found


async def test_the_page_is_shown_where_the_version_is_required() -> None:
    """A browser that opens a page speaks none."""
    async with serving(Settings(require_protocol_version=True)) as served:
        assert 200 == (await served.request("GET", "//docs")).status
        assert 200 == (await served.request("GET", "//docs/main.js")).status
        assert 308 == (await served.request("GET", "//docs/")).status
        assert 200 == (await served.request("GET", "/openapi.json")).status
        assert 400 == (await served.request("GET", "/agents")).status


async def test_a_slash_too_many_leads_to_the_page(served: Served) -> None:
    """Relative to where it was asked for, under a prefix as well."""
    async with mounted() as below:
        for place in (served, below):
            answer = await place.request("GET", f"/{place.prefix}/docs/")
            assert (308, "../docs") == (answer.status, answer.headers["location"])
            there = urljoin(f"{place.url}/docs/", answer.headers["location"])
            assert f"{place.url}/docs" == there


async def test_the_document_is_imported_and_made_beside_the_loop() -> None:
    """Both take as long as thousands of heartbeats, and others should not wait for it."""
    program = """
import asyncio, sys, threading
from aiohttp.test_utils import make_mocked_request
from cameleer_registry import create_app
from cameleer_registry.web import documentation

class Watcher:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("cameleer_registry.web.openapi"):
            threads.add(threading.current_thread() is threading.main_thread())

threads = set()
sys.meta_path.insert(0, Watcher())
app = create_app()
request = make_mocked_request("GET", "/api/v1/openapi.json", app=app)
asyncio.run(documentation.show_document(request))
assert threads == {False}, threads
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert 0 == await within(process.wait())
