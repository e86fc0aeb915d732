"""``console``: a browser that is signed in, and what it is given."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ..closed import closed
from ..processes import free_port, run
from ..support import serving
from .support import complaint


async def test_the_address_signs_in_once() -> None:
    """As whoever has the token, which is not in it."""
    async with closed() as served:
        token = served.tokens["viewer"]
        env = {"CAMELEER_URL": f"{served.url}/", "CAMELEER_TOKEN": token}
        status, out, err = await run("console", "--no-browser", **env)
        assert (0, "") == (status, err)
        url, _, code = out.strip().partition("#code=")
        assert f"{served.url}/" == url
        assert re.fullmatch(r"[\w-]{43}", code)
        answer = await served.ask(None, "POST", "/auth/session", {"code": code})
        assert 204 == answer.status
        cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
        told = (await served.ask(None, "GET", "/auth", headers=cookie)).json()
        assert "viewer" == told["principal"]["role"]
        answer = await served.ask(None, "POST", "/auth/session", {"code": code})
        assert "invalid-token" == answer.code
        status, out, _ = await run("console", "--json", **env)
        assert json.loads(out)["url"].startswith(f"{served.url}/#code=")


async def test_of_several_addresses_the_first_that_answers_is_opened() -> None:
    """With a code that it has made."""
    async with closed() as served:
        both = f"http://127.0.0.1:{free_port()}, {served.url}/"
        env = {"CAMELEER_URL": both, "CAMELEER_TOKEN": served.tokens["viewer"]}
        status, out, err = await run("console", "--no-browser", **env)
        assert (0, "") == (status, err)
        url, _, code = out.strip().partition("#code=")
        assert f"{served.url}/" == url
        answer = await served.ask(None, "POST", "/auth/session", {"code": code})
        assert 204 == answer.status
    async with serving() as served:
        both = f"http://127.0.0.1:{free_port()},{served.url}"
        status, out, err = await run("console", "--no-browser", CAMELEER_URL=both)
        assert (0, f"{served.url}/\n", "") == (status, out, err)


async def test_a_browser_is_given_a_file_that_nobody_else_reads(tmp_path: Path) -> None:
    """And no code on its command line."""
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(
        f'#!/bin/sh\necho "$1" > {seen}\nfile=${{1#file://}}\n'
        f'stat -c %a "$file" "$(dirname "$file")" >> {seen}\ncat "$file" >> {seen}\n'
    )
    browser.chmod(0o700)
    async with closed() as served:
        env = {"CAMELEER_URL": served.url, "CAMELEER_TOKEN": served.tokens["operator"]}
        more = {"BROWSER": f"{browser} %s", "TMPDIR": str(tmp_path)}
        status, out, err = await run("console", **env, **more)
        assert (0, "", "") == (status, out, err)
        address, of_file, of_folder, *page = seen.read_text("utf-8").splitlines()
        assert "code" not in address
        assert ("600", "700") == (of_file, of_folder)
        [code] = set(re.findall(r"#code=([\w-]+)", "\n".join(page)))
        answer = await served.ask(None, "POST", "/auth/session", {"code": code})
        assert 204 == answer.status
        nowhere = tmp_path / "nowhere"
        nowhere.mkdir()
        none = {"BROWSER": "", "PATH": str(nowhere), "DISPLAY": "", "WAYLAND_DISPLAY": ""}
        status, out, err = await run("console", **env, **none)
        assert (0, True) == (status, out.startswith(f"{served.url}/#code=")), err


async def test_without_credentials_there_is_nothing_to_sign_in_to() -> None:
    """The address is the console's."""
    async with serving() as served:
        status, out, err = await run("console", "--no-browser", CAMELEER_URL=served.url)
    assert (0, f"{served.url}/\n", "") == (status, out, err)


async def test_who_may_not_look_is_told_so() -> None:
    """Nobody, and whoever has a token for something else."""
    async with closed() as served:
        status, out, err = await run("console", "--no-browser", CAMELEER_URL=served.url)
        assert (3, "") == (status, out)
        assert "this server requires a token" in err
        env = {"CAMELEER_URL": served.url, "CAMELEER_TOKEN": served.tokens["enrol"]}
        status, out, err = await run("console", "--no-browser", **env)
        assert (3, "") == (status, out)
        assert "does not allow it" in err


def test_a_browser_opens_no_unix_socket(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to name instead."""
    assert "--url" in complaint(capsys, monkeypatch, "console", "--url", "unix:/run/x.sock")
