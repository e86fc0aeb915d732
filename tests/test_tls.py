"""TLS on the port: certificates that are renewed, and those of agents."""

from __future__ import annotations

import asyncio
import base64
import signal
import ssl
import urllib.parse
from asyncio import sslproto
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cameleer_registry import Settings
from cameleer_registry.errors import SettingsError
from cameleer_registry.setting_values import Networks
from cameleer_registry.tls import BUFFER, Tls
from cameleer_registry.web.certificates import Certificates

from .closed import closed
from .processes import run, server
from .support import within

CA = trustme.CA()


def write(folder: Path, *names: str) -> dict[str, str]:
    """Write a certificate and its key; return the settings that name them."""
    made = CA.issue_cert(*names)
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    return {"tls_cert": str(cert), "tls_key": str(key)}


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context


async def serial(port: int) -> int:
    """Return the number of the certificate that is shown to who connects now."""
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=trusting(), server_hostname="localhost"
    )
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(der).serial_number


async def test_a_renewed_certificate_is_taken_up_and_no_stream_ends(tmp_path: Path) -> None:
    """At SIGHUP; and one that does not match its key changes nothing."""
    settings = write(tmp_path, "localhost")
    args = [arg for name, path in settings.items() for arg in (f"--{name.replace('_', '-')}", path)]
    async with server("--port", "0", *args) as served:
        assert served.url.startswith("https://")
        port = int(served.url.rpartition(":")[2])
        async with served.client(verify=trusting()) as client:
            client.base_url = client.base_url.copy_with(host="localhost")
            answer = await client.post("/agents/register", json={"agentId": "a", "group": "g"})
            assert 201 == answer.status_code
            async with client.stream("GET", "/agents/a/events") as stream:
                lines = stream.aiter_lines()
                await within(anext(lines))
                first = await serial(port)
                (tmp_path / "key.pem").write_bytes(CA.issue_cert("x").private_key_pem.bytes())
                served.process.send_signal(signal.SIGHUP)
                await asyncio.sleep(0.3)
                assert first == await serial(port)
                write(tmp_path, "localhost")
                served.process.send_signal(signal.SIGHUP)
                async with asyncio.timeout(20):
                    while first == await serial(port):  # noqa: ASYNC110 - of another process
                        await asyncio.sleep(0.05)
                assert (
                    202
                    == (
                        await client.post("/agents/a/commands", json={"type": "replay"})
                    ).status_code
                )
                while "replay" not in await within(anext(lines)):
                    pass


def test_what_has_changed_on_disk_is_noticed(tmp_path: Path) -> None:
    """By the watch, every few seconds."""
    tls = Tls.of(Settings(**write(tmp_path, "localhost")))  # type: ignore[arg-type]
    assert tls is not None
    assert tls._seen == tls._state()
    write(tmp_path, "localhost")
    assert tls._seen != tls._state()
    assert tls.reload()
    (tmp_path / "key.pem").chmod(0o400)
    assert tls._seen != tls._state(), "it may have been the owner's only"
    (tmp_path / "cert.pem").write_text("garbage")
    assert not tls.reload()
    (tmp_path / "cert.pem").unlink()
    assert not tls.reload()


def test_version_1_2_at_least(tmp_path: Path) -> None:
    tls = Tls.of(Settings(**write(tmp_path, "localhost")))  # type: ignore[arg-type]
    assert tls is not None
    assert ssl.TLSVersion.TLSv1_2 == tls.context.minimum_version


@pytest.mark.parametrize("missing", ["cert.pem", "key.pem"])
async def test_files_that_cannot_be_used(missing: str, tmp_path: Path) -> None:
    """One line, and nothing is listened on."""
    settings = write(tmp_path, "localhost")
    (tmp_path / missing).write_text("garbage")
    with pytest.raises(SettingsError, match="cannot use"):
        Tls.of(Settings(**settings))  # type: ignore[arg-type]
    args = [arg for name, path in settings.items() for arg in (f"--{name.replace('_', '-')}", path)]
    status, out, err = await run("serve", "--port", "0", *args)
    assert (2, "") == (status, out)
    assert "cannot use" in err.splitlines()[-1]


@pytest.mark.parametrize(
    "settings",
    [
        {"tls_cert": "c"},
        {"tls_key": "k"},
        {"tls_client_ca": "c"},
        {"tls_client_id": "dn"},
        {"tls_client_id": "san-uri:spiffe://x"},
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, str]) -> None:
    """One line says which."""
    with pytest.raises(SettingsError, match=r"^tls_"):
        Tls.of(Settings(**settings))  # type: ignore[arg-type]


def test_the_buffer_that_is_made_smaller_is_asyncios() -> None:
    """Nothing promises it: an asyncio without it takes its memory."""
    assert isinstance(sslproto.SSLProtocol.max_size, int)
    assert BUFFER < 48 * 1024


# Certificates of agents


def passed_on(made: trustme.LeafCert) -> dict[str, str]:
    """Return the header by which nginx passes a certificate on."""
    return {"X-Client-Cert": urllib.parse.quote(made.cert_chain_pems[0].bytes())}


BEHIND: dict[str, Any] = {
    "auth": "required",
    "client_cert_header": "X-Client-Cert",
    "client_cert_groups": ["g"],
}


async def test_an_agent_enrols_with_what_a_trusted_proxy_passes_on() -> None:
    """Under the id that its certificate names, into the groups that are for certificates."""
    settings = Settings(**BEHIND, trusted_proxies=Networks(["127.0.0.1"]))
    async with closed(settings=settings, agents={}) as served:
        headers = passed_on(CA.issue_cert("x", common_name="n"))
        for body, code in {
            ("n", "g"): None,
            ("m", "g"): "not-your-agent",
            ("n", "other"): "group-not-allowed",
        }.items():
            registration = {"agentId": body[0], "group": body[1]}
            answer = await served.request("POST", "/agents/register", registration, headers=headers)
            if code is None:
                assert 201 == answer.status
                assert answer.json()["credential"]["accessToken"]
            else:
                assert code == answer.code
        der = x509.load_pem_x509_certificate(
            CA.issue_cert("x", common_name="n").cert_chain_pems[0].bytes()
        ).public_bytes(Encoding.DER)
        rfc_9440 = {"X-Client-Cert": f":{base64.b64encode(der).decode()}:"}
        answer = await served.request(
            "POST", "/agents/register", {"agentId": "n", "group": "g"}, headers=rfc_9440
        )
        assert 200 == answer.status
        for bad in (":x:", "garbage", urllib.parse.quote("-----BEGIN\nAAAA")):
            answer = await served.request(
                "POST",
                "/agents/register",
                {"agentId": "n", "group": "g"},
                headers={"X-Client-Cert": bad},
            )
            assert "invalid-request" == answer.code
        # It is good for enrolling and for nothing else.
        answer = await served.request("GET", "/agents", headers=headers)
        assert "unauthenticated" == answer.code


async def test_the_header_of_anybody_else_is_refused() -> None:
    """At every address, also beside a token."""
    settings = Settings(**BEHIND, trusted_proxies=Networks(["10.0.0.1"]))
    async with closed(settings=settings, agents={}) as served:
        headers = passed_on(CA.issue_cert("x", common_name="n"))
        for kind, method, path in ((None, "POST", "/agents/register"), ("admin", "GET", "/agents")):
            answer = await served.ask(kind, method, path, headers=headers)
            assert "invalid-request" == answer.code
        token = {"token": served.tokens["admin"]}
        cookie = (await served.ask(None, "POST", "/auth/session", token)).headers["set-cookie"]
        headers |= {"Cookie": cookie.partition(";")[0]}
        assert "invalid-request" == (await served.ask(None, "GET", "/agents", headers=headers)).code


def test_an_alternative_name_is_an_agents() -> None:
    """As SPIFFE has it; another trust domain's is none."""
    certificates = Certificates(
        Settings(tls_client_id="san-uri:spiffe://example.org/agents/{agentId}")
    )
    pattern = certificates._names
    assert pattern is not None
    assert pattern.fullmatch("spiffe://example.org/agents/n")
    assert not pattern.fullmatch("spiffe://example.com/agents/n")
    assert not pattern.fullmatch("spiffe://example.org/agents/n/m")
