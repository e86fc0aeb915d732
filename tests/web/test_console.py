"""The files of the console, as they are served."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from cameleer_registry import NODE, Settings, create_app
from cameleer_registry.web import console

from ..support import Served, running, serving

FOLDER: Final = Path(console.__file__).parent / "console"
ASSETS: Final = sorted(name for name in console.FILES if name != "index.html")


async def test_the_page(served: Served) -> None:
    """It stands at the root, and says what it may load: itself and the API."""
    answer = await served.request("GET", "//")
    assert (200, "text/html; charset=utf-8") == (answer.status, answer.headers["content-type"])
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "nosniff" == answer.headers["x-content-type-options"]
    assert "no-referrer" == answer.headers["referrer-policy"]
    assert (FOLDER / "index.html").read_bytes() == answer.body


@pytest.mark.parametrize("name", ASSETS)
async def test_every_file(served: Served, name: str) -> None:
    """As it is in the package, with its type and the same headers."""
    answer = await served.request("GET", f"//console/{name}")
    expected = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    content_type = f"{expected[Path(name).suffix]}; charset=utf-8"
    assert (200, content_type) == (answer.status, answer.headers["content-type"])
    assert (FOLDER / name).read_bytes() == answer.body
    assert "nosniff" == answer.headers["x-content-type-options"]
    assert "content-security-policy" in answer.headers


async def test_what_is_known_already_is_not_sent_again(served: Served) -> None:
    """It is asked for each time, so that a new release shows at once; 304 while it is the same."""
    first = await served.request("GET", "//")
    assert "no-cache" == first.headers["cache-control"]
    for known in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
        again = await served.request("GET", "//", headers={"If-None-Match": known})
        assert (304, b"", first.headers["etag"]) == (
            again.status,
            again.body,
            again.headers["etag"],
        )
    assert 200 == (await served.request("GET", "//", headers={"If-None-Match": '"x"'})).status


async def test_head(served: Served) -> None:
    """What GET would say, without the body."""
    answer = await served.request("HEAD", "//console/main.js")
    length = len((FOLDER / "main.js").read_bytes())
    assert (200, str(length)) == (answer.status, answer.headers["content-length"])


@pytest.mark.parametrize(
    "path",
    [
        "//console",
        "//console/",
        "//console/index.html",
        "//console/nix.js",
        "//console/views",
        "//console/../console.py",
        "//console/%2e%2e/console.py",
        "//console//etc/passwd",
        "//index.html",
        "//favicon.ico",
    ],
)
async def test_what_is_no_file_is_no_address(served: Served, path: str) -> None:
    """404, told as every other problem."""
    answer = await served.request("GET", path)
    assert (404, "not-found") == (answer.status, answer.code)


async def test_nothing_can_be_posted(served: Served) -> None:
    """405 with what can be asked."""
    answer = await served.request("POST", "//")
    assert (405, "method-not-allowed", "GET, HEAD") == (
        answer.status,
        answer.code,
        answer.headers["allow"],
    )


async def test_a_browser_asks_without_a_version() -> None:
    """It can't say one when it loads a page, also where everybody else must."""
    async with serving(Settings(require_protocol_version=True)) as served:
        assert 200 == (await served.request("GET", "//")).status
        assert 200 == (await served.request("GET", "//console/main.js")).status
        assert 400 == (await served.request("GET", "/agents")).status


async def test_under_a_prefix() -> None:
    """It moves with everything else; the bare prefix leads to it, since its links are relative."""
    outer, inner, registry = web.Application(), web.Application(), create_app()
    inner.add_subapp("/b", registry)
    outer.add_subapp("/a", inner)
    async with running(outer) as (name, port):
        served = Served(registry[NODE], name, port, "/a/b")
        assert 200 == (await served.request("GET", "//a/b/")).status
        assert 200 == (await served.request("GET", "//a/b/console/main.js")).status
        bare = await served.request("GET", "//a/b?x=1")
        assert (302, "b/") == (bare.status, bare.headers["location"])


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_missing() -> None:
    """Every address in the files is relative, and that of a file that is there."""
    page = (FOLDER / "index.html").read_text("utf-8")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert loaded
    assert set() == {name.removeprefix("console/") for name in loaded} - console.FILES.keys()
    for name in ASSETS:
        text = (FOLDER / name).read_text("utf-8")
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
        for found in re.findall(r'from "([^"]+)"|import\("([^"]+)"\)|url\(([^)]+)\)', text):
            target = (FOLDER / name).parent / "".join(found)
            assert target.resolve().is_relative_to(FOLDER)
            assert target.is_file()


def test_no_script_makes_markup_or_code_of_text() -> None:
    """The policy forbids it; nobody should find that out from a broken page."""
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    for name in ASSETS:
        assert None is re.search(forbidden, (FOLDER / name).read_text("utf-8")), name
    assert None is re.search(
        r"style=|onclick=|<script>", (FOLDER / "index.html").read_text("utf-8")
    )
