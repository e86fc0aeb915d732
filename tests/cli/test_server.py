"""Where the server is and what is sent along: addresses, certificates, headers, tokens."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from attrs import define, field

from cameleer_registry.cli import exits
from cameleer_registry.cli.server import read_headers, without_secrets
from cameleer_registry.errors import RegistryError, UnexpectedAnswer

from ..processes import run, server
from ..support import Served, running
from ..terminal import terminal
from .support import complaint

TOKEN = "camo_0123456789abcdef"


@define
class Stub:
    """A server that answers everybody alike, and keeps what it was sent."""

    url: str = ""
    status: int = 200
    code: str = ""
    headers: list[dict[str, str]] = field(factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        if self.status == 200:
            return web.json_response([])
        if not self.code:
            return web.Response(status=self.status, text="<html>who are you?")
        problem = {
            "type": f"urn:cameleer:problem:{self.code}",
            "title": "Refused",
            "status": self.status,
            "detail": "it is refused",
        }
        return web.json_response(problem, status=self.status)


@asynccontextmanager
async def stub(
    ssl_context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Stub]:
    made = Stub()
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", made.answer)
    async with running(app, ssl_context=ssl_context, host=host) as (name, port):
        made.url = f"http{'s' if ssl_context else ''}://{name}:{port}"
        yield made


async def test_a_token_from_the_environment(tmp_path: Path) -> None:
    """Itself, or the name of its file; of both, itself. It is sent as a bearer's."""
    file = tmp_path / "token"
    file.write_bytes(b"\xef\xbb\xbf" + TOKEN.encode() + b"\r\n")
    async with stub() as asked:
        for env in (
            {},
            {"CAMELEER_TOKEN": f" {TOKEN}\n"},
            {"CAMELEER_TOKEN_FILE": str(file)},
            {"CAMELEER_TOKEN": TOKEN, "CAMELEER_TOKEN_FILE": "/none"},
        ):
            assert (0, "", "") == await run("groups", "--url", asked.url, **env)
    sent = [headers.get("Authorization") for headers in asked.headers]
    assert [None, *[f"Bearer {TOKEN}"] * 3] == sent


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"CAMELEER_TOKEN": "two words"}, "CAMELEER_TOKEN contains no token"),
        ({"CAMELEER_TOKEN": "gehéim"}, "CAMELEER_TOKEN contains no token"),
        ({"CAMELEER_TOKEN_FILE": "no-such-file"}, "no-such-file: No such file or directory"),
        ({"CAMELEER_TOKEN_FILE": "/dev/null"}, "CAMELEER_TOKEN_FILE, /dev/null, contains no token"),
    ],
)
def test_what_is_no_token(
    env: dict[str, str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is not sent, and not shown."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    said = complaint(capsys, monkeypatch, "groups")
    assert words in said
    assert "two words" not in said
    assert "geh" not in said


async def test_headers(tmp_path: Path) -> None:
    """As they are given, and from a file; one of them may be the credentials."""
    file = tmp_path / "headers"
    file.write_text("X-Two: 2\n\nAuthorization: Basic eDp5\n")
    async with stub() as asked:
        args = ("groups", "--url", asked.url, "--header", "X-One:1", "--header", f"@{file}")
        assert (0, "", "") == await run(*args, CAMELEER_TOKEN=TOKEN)
    [sent] = asked.headers
    assert ("1", "2", "Basic eDp5") == (sent["X-One"], sent["X-Two"], sent["Authorization"])
    assert "1" == sent["X-Cameleer-Protocol-Version"]


@pytest.mark.parametrize(
    "texts",
    [
        ["X"],
        ["X Y: 1"],
        [": 1"],
        [""],
        ["X: a\x00b"],
        ["X: a\r\nY: b"],
        ["X: é"],
        ["X: 1", "x: 2"],
        ["@no-such-file"],
    ],
)
def test_what_is_no_header(texts: Sequence[str]) -> None:
    """Nobody can smuggle another one in."""
    with pytest.raises(ValueError, match=r"expected 'Name: value'|twice|cannot read no-such-file"):
        read_headers(texts)
    assert {"X": "a: b", "Y": ""} == read_headers(["X: a: b ", "Y:"])


def test_a_header_that_is_none_is_told_without_its_value(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may be a secret."""
    said = complaint(capsys, monkeypatch, "groups", "--header", "Authorization : s3cret")
    assert "expected 'Name: value', got 'Authorization '" in said
    assert "s3cret" not in said


async def test_a_certificate_of_ones_own(tmp_path: Path) -> None:
    """It is trusted where it is named, by a flag or the environment, and nowhere else."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    cacert = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(cacert))
    async with stub(context) as asked:
        named = await run("groups", "--url", asked.url, "--cacert", str(cacert))
        by_variable = await run("groups", "--url", asked.url, CAMELEER_CACERT=str(cacert))
        status, _, err = await run("groups", "--url", asked.url)
    assert [(0, "", "")] * 2 == [named, by_variable]
    assert 3 == status
    assert "certificate verify failed" in err


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file or directory"), ("no certificate", "it contains no certificate in PEM")],
)
async def test_a_file_without_certificates(content: str | None, words: str, tmp_path: Path) -> None:
    """One clear line, and status 2."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    status, out, err = await run("groups", "--cacert", str(file))
    assert (2, "") == (status, out)
    assert f"cannot use --cacert {file}: {words}" in err
    assert 1 == err.count("\n")


async def test_a_server_at_a_socket(tmp_path: Path) -> None:
    """unix: and its path, as where it listens."""
    async with server("--host", f"unix:{tmp_path}/s") as served:
        assert (0, "", "") == await run("groups", "--url", served.url)
    status, _, err = await run("groups", "--url", served.url)
    assert 3 == status
    assert "cannot reach http://localhost" in err


# What is said of credentials


@pytest.mark.parametrize(
    ("status", "code", "env", "words"),
    [
        (401, "unauthenticated", {}, "requires a token: put it into CAMELEER_TOKEN"),
        (401, "token-expired", {"CAMELEER_TOKEN": TOKEN}, "is not valid for this server"),
        (403, "insufficient-role", {"CAMELEER_TOKEN": TOKEN}, "does not allow it: ask"),
        (401, "", {}, "something in front of it requires credentials"),
        (403, "", {}, "something in front of it requires credentials"),
    ],
)
async def test_credentials_that_are_missing(
    status: int, code: str, env: dict[str, str], words: str
) -> None:
    """It is said on one line what to do; and no secret is shown."""
    async with stub() as asked:
        asked.status, asked.code = status, code
        ended, out, err = await run("groups", "--url", asked.url, **env)
    assert (3, "") == (ended, out)
    assert words in err
    assert 1 == err.count("\n")
    assert TOKEN not in err


def test_other_refusals_need_no_credentials() -> None:
    """A page of another site, and what is not there."""
    for status, code in ((403, "cross-site-request"), (404, "not-found"), (400, "invalid-request")):
        error = RegistryError.told(code=code, status=status, title="t", detail="d")
        assert "d" == exits.reason(error)
    assert "x was answered 404 Not Found: no" == exits.no_answer(
        UnexpectedAnswer("x was answered 404 Not Found: no")
    )
    assert "its address" in exits.no_answer(UnexpectedAnswer("x was answered 407 Proxy: no"))


# Passwords in addresses


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://a:b@c/", "http://c/"),
        ("http://a:b@c@d/", "http://d/"),
        ("http://:b@c", "http://c"),
        ("http://c/x@y", "http://y"),
        ("http://c", "http://c"),
        ("expected x, got 'http://a:b@c'", "expected x, got 'http://c'"),
    ],
)
def test_an_address_is_shown_without_its_password(text: str, shown: str) -> None:
    """Rather too little than too much."""
    assert shown == without_secrets(text)


async def test_a_password_in_the_address_is_used_and_never_shown(served: Served) -> None:
    """On the screen, in a note, in a question, in a refusal."""
    url = served.url.replace("://", "://operator:s3cret@")
    async with terminal("agents", "--watch", "--url", url) as shown:
        await shown.shows(served.url, "0 agents")
        assert b"s3cret" not in shown.raw
        shown.type("\x03")
        await shown.ended()
    async with terminal("send", "replay", "--all", "--url", url) as shown:
        await shown.shows(f"all 0 LIVE agents of {served.url}? [y/N]")
        shown.type("n\n")
        await shown.ended()
        assert b"s3cret" not in shown.raw
    async with terminal("simulate", "--agents", "1", "--url", url) as shown:
        await shown.shows(f"1 simulated agent of {served.url}")
        shown.type("\x03")
        await shown.ended()
        assert b"s3cret" not in shown.raw
    for bad in ("http://a:s3cret@", "ftp://a:s3cret@x/", "http://a:s3cret@127.0.0.1:1?x"):
        status, _, err = await run("groups", "--url", bad)
        assert 2 == status
        assert "s3cret" not in err
    status, _, err = await run("groups", "--url", "http://a:s3cret@127.0.0.1:1")
    assert 3 == status
    assert "s3cret" not in err


async def test_a_password_is_not_in_what_a_proxy_has_refused() -> None:
    """Which names the address that was asked."""
    async with stub() as asked:
        asked.status = 401
        url = asked.url.replace("://", "://operator:s3cret@")
        status, _, err = await run("groups", "--url", url)
    assert 3 == status
    assert "Basic " in asked.headers[0]["Authorization"]
    assert "requires credentials" in err
    assert "s3cret" not in err


async def test_a_password_and_a_token_are_one_too_many(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both would be the one header Authorization."""
    status, out, err = await run("groups", "--url", "http://a:b@x", CAMELEER_TOKEN=TOKEN)
    assert (2, "") == (status, out)
    assert "only one of them can be sent: the name and password in the address of http://x" in err
    assert TOKEN not in err


@pytest.mark.parametrize("zone", ["%25lo", "%lo"])
async def test_an_ipv6_address_with_a_zone(zone: str) -> None:
    """As RFC 6874 writes it, or as it is written elsewhere: it gets as far as connecting."""
    with socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", 0))
        port = sock.getsockname()[1]
    status, _, err = await run("groups", "--url", f"http://[fe80::1{zone}]:{port}")
    assert 3 == status
    assert "not known" not in err
    assert "expected an address" not in err
