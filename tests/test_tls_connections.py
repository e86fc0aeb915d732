"""TLS on real connections: certificates of agents, versions, renewed pairs, and memory."""

from __future__ import annotations

import asyncio
import datetime
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from cameleer_registry import tls as tls_module
from cameleer_registry.settings import Settings
from cameleer_registry.tls import PACE, Tls

from .processes import Server, server
from .support import eventually, within

CA, OTHER = trustme.CA(), trustme.CA()
SPIFFE = "spiffe://example.org/agents/"
TOKEN = "a" * 40


def of_uris(*uris: str, by: trustme.CA = CA) -> trustme.LeafCert:
    """Issue a certificate with such alternative names, as SPIFFE has them."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(by.cert_pem.bytes())
    signing = load_pem_private_key(by.private_key_pem.bytes(), None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris]),
            critical=True,
        )
        .sign(signing, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return trustme.LeafCert(private, made.public_bytes(Encoding.PEM), [])


def put(made: trustme.LeafCert, folder: Path, *, key: bool = True) -> None:
    """Write a pair, or only its certificate."""
    folder.joinpath("cert.pem").write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))
    if key:
        folder.joinpath("key.pem").write_bytes(made.private_key_pem.bytes())


def trusting(shown: trustme.LeafCert | None = None) -> ssl.SSLContext:
    """Return what a client connects with, and shows."""
    context = ssl.create_default_context()
    CA.configure_trust(context)
    if shown is not None:
        shown.configure_cert(context)
    return context


@asynccontextmanager
async def closed_by_tls(folder: Path, *args: str) -> AsyncIterator[Server]:
    """Run a server that asks for certificates, with tokens of an admin and for enrolment."""
    put(CA.issue_cert("localhost"), folder)
    folder.joinpath("ca.pem").write_bytes(CA.cert_pem.bytes())
    folder.joinpath("token").write_text(TOKEN)
    settings = {
        "tls-cert": "cert.pem",
        "tls-key": "key.pem",
        "tls-client-ca": "ca.pem",
        "admin-token-file": "token",
    }
    named = [part for name, file in settings.items() for part in (f"--{name}", str(folder / file))]
    async with server("--port", "0", *named, *args) as served:
        yield served


def client(served: Server, shown: trustme.LeafCert | None = None, **more: Any) -> httpx.AsyncClient:
    made = served.client(verify=trusting(shown), **more)
    made.base_url = made.base_url.copy_with(host="localhost")
    return made


async def enrolled(asking: httpx.AsyncClient, agent_id: str, group: str = "g") -> httpx.Response:
    return await asking.post("/agents/register", json={"agentId": agent_id, "group": group})


def code(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rpartition(":")[2]


@pytest.mark.parametrize(
    ("client_id", "names"),
    [("cn", {"common_name": "n"}), (f"san-uri:{SPIFFE}{{agentId}}", {"uri": f"{SPIFFE}n"})],
    ids=["common name", "alternative name"],
)
async def test_an_agent_enrols_by_the_certificate_of_its_connection(
    client_id: str, names: dict[str, str], tmp_path: Path
) -> None:
    """As itself and in the groups that are for certificates; and nothing else is opened by it."""
    shown = (
        CA.issue_cert("x", common_name=names["common_name"])
        if "common_name" in names
        else of_uris(names["uri"])
    )
    args = ("--tls-client-id", client_id, "--client-cert-groups", "g,order-*")
    async with closed_by_tls(tmp_path, *args) as served:
        async with client(served, shown) as agent:
            answer = await enrolled(agent, "n")
            assert 201 == answer.status_code, answer.text
            token = answer.json()["credential"]["accessToken"]
            assert "not-your-agent" == code(await enrolled(agent, "m"))
            assert "group-not-allowed" == code(await enrolled(agent, "n", "other"))
            assert 200 == (await enrolled(agent, "n", "order-eu")).status_code
            for path in ("/agents", "/agents/n", "/auth/tokens"):
                assert "unauthenticated" == code(await agent.get(path))
            assert "unauthenticated" == code(await agent.post("/agents/n/heartbeat"))
            answer = await enrolled(agent, "n")
            token = answer.json()["credential"]["accessToken"]
        bearer = {"Authorization": f"Bearer {token}"}
        async with client(served, headers=bearer) as without:
            assert 204 == (await without.post("/agents/n/heartbeat")).status_code
        async with client(served) as nobody:
            assert "unauthenticated" == code(await enrolled(nobody, "n"))
        # A credential that is given counts before the certificate, also if it is not good.
        async with client(served, shown, headers={"Authorization": "Bearer x"}) as agent:
            assert "invalid-token" == code(await enrolled(agent, "n"))


async def test_certificates_that_name_no_agent(tmp_path: Path) -> None:
    """Refused with 400, and those of another authority before there is any request."""
    args = ("--tls-client-id", f"san-uri:{SPIFFE}{{agentId}}")
    async with closed_by_tls(tmp_path, *args) as served:
        for name in ("spiffe://example.com/agents/n", f"{SPIFFE}n/m", f"{SPIFFE}register"):
            async with client(served, of_uris(name)) as agent:
                answer = await enrolled(agent, "n")
                assert (400, "invalid-request") == (answer.status_code, code(answer)), name
        two = of_uris(f"{SPIFFE}n", f"{SPIFFE}m")
        async with client(served, two) as agent:
            assert "invalid-request" == code(await enrolled(agent, "n"))
        async with client(served, of_uris(f"{SPIFFE}n", by=OTHER)) as agent:
            with pytest.raises(httpx.TransportError):
                await enrolled(agent, "n")


async def test_a_common_name_is_taken_whole(tmp_path: Path) -> None:
    """What looks like two of them is one, and no agent's."""
    async with closed_by_tls(tmp_path, "--tls-client-id", "cn") as served:
        for name in ("a,CN=b", "a\\,CN=b", "a+CN=b", "a/CN=b", "a b"):
            async with client(served, CA.issue_cert("x", common_name=name)) as agent:
                for agent_id in ("a", "b"):
                    assert "invalid-request" == code(await enrolled(agent, agent_id)), name


async def test_a_session_over_tls_is_nobody_elses(tmp_path: Path) -> None:
    """Cookies without the prefix, and pages without TLS, may be anybody's."""
    async with closed_by_tls(tmp_path) as served, client(served) as asking:
        answer = await asking.post("/auth/session", json={"token": TOKEN})
        cookie = answer.headers["set-cookie"].partition(";")[0]
        asking.cookies.clear()
        assert cookie.startswith("__Host-")
        other = {"Cookie": cookie.removeprefix("__Host-")}
        assert 401 == (await asking.get("/agents", headers=other)).status_code
        here = str(asking.base_url.copy_with(path="/")).rstrip("/")
        for origin, status in ((here, 202), (here.replace("https", "http"), 403)):
            answer = await asking.post(
                "/agents/commands",
                json={"type": "replay"},
                headers={"Cookie": cookie, "Origin": origin},
            )
            assert status == answer.status_code, origin


async def test_a_proxys_header_is_nothing_from_anybody_else(tmp_path: Path) -> None:
    """Also from an agent that has a certificate of its own, or beside a token."""
    async with closed_by_tls(tmp_path, "--client-cert-header", "X-Client-Cert") as served:
        header = {"X-Client-Cert": "anything"}
        for more in (header, {**header, "Authorization": f"Bearer {TOKEN}"}):
            async with client(served, CA.issue_cert("x", common_name="n"), headers=more) as agent:
                for asked in (enrolled(agent, "n"), agent.get("/agents"), agent.get("/auth")):
                    assert "invalid-request" == code(await asked)


# Versions


def negotiated(of_server: ssl.SSLContext, of_client: ssl.SSLContext) -> str | None:
    """Have two sides negotiate, in memory; return the version."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = of_server.wrap_bio(to_server, to_client, server_side=True)
    there = of_client.wrap_bio(to_client, to_server, server_hostname="localhost")
    for _ in range(6):
        for side in (there, here):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return there.version()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"])
def test_versions(version: str, tmp_path: Path) -> None:
    """1.2 at least; what is older would be spoken by this client, if the server did."""
    put(CA.issue_cert("localhost"), tmp_path)
    files = {"tls_cert": str(tmp_path / "cert.pem"), "tls_key": str(tmp_path / "key.pem")}
    made = Tls.of(Settings(**files))  # type: ignore[arg-type]
    assert made is not None
    asking = trusting()
    asking.set_ciphers("ALL:@SECLEVEL=0")
    asking.minimum_version = asking.maximum_version = ssl.TLSVersion[version]
    lenient = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    lenient.load_cert_chain(files["tls_cert"], files["tls_key"])
    lenient.set_ciphers("ALL:@SECLEVEL=0")
    lenient.minimum_version = ssl.TLSVersion.TLSv1
    if version in ("TLSv1", "TLSv1_1"):
        assert negotiated(lenient, asking) is not None
        with pytest.raises(ssl.SSLError):
            negotiated(made.context, asking)
    else:
        assert version.replace("_", ".") == negotiated(made.context, asking)


# Renewed pairs


def in_place(made: trustme.LeafCert, folder: Path) -> None:
    put(made, folder)


def by_renaming(made: trustme.LeafCert, folder: Path) -> None:
    beside = folder / "new"
    beside.mkdir()
    put(made, beside)
    for name in ("cert.pem", "key.pem"):
        os.replace(beside / name, folder / name)


def by_a_link(made: trustme.LeafCert, folder: Path) -> None:
    """As Kubernetes does it: the names stay, and the folder behind them is another one."""
    beside = folder / "..new"
    beside.mkdir()
    put(made, beside)
    folder.joinpath("..tmp").symlink_to("..new")
    os.replace(folder / "..tmp", folder / "..data")


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=trusting(), server_hostname="localhost"
    )
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):  # the other side may be quicker
            await within(writer.wait_closed())


async def shown_by(port: int) -> int:
    async with connected(port) as (_, writer):
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(der).serial_number


@pytest.mark.parametrize("renew", [in_place, by_renaming, by_a_link])
async def test_a_renewed_pair_is_noticed(
    renew: Callable[[trustme.LeafCert, Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """However it comes, and one half after the other; what is connected stays so."""
    assert 2 * PACE <= 10, "a look may come between the two halves"
    monkeypatch.setattr(tls_module, "PACE", 0.01)
    caplog.set_level("INFO")
    tmp_path.joinpath("..old").mkdir()
    put(CA.issue_cert("localhost"), tmp_path / "..old")
    tmp_path.joinpath("..data").symlink_to("..old")
    for name in ("cert.pem", "key.pem"):
        tmp_path.joinpath(name).symlink_to(Path("..data") / name)
    made = Tls(tmp_path / "cert.pem", tmp_path / "key.pem")

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(line)
        finally:
            writer.close()

    listening = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=made.context)
    port = listening.sockets[0].getsockname()[1]
    watching = asyncio.create_task(made.watch())
    try:
        async with connected(port) as (reader, writer):
            first = await shown_by(port)
            renewed = CA.issue_cert("localhost")
            if renew is not by_a_link:
                # A certificate whose key is yet to come.
                tmp_path.joinpath("cert.pem").unlink()
                put(renewed, tmp_path, key=False)
                await eventually(lambda: "cannot be used, so the previous one stays" in caplog.text)
                assert first == await shown_by(port)
            renew(renewed, tmp_path)
            await eventually(lambda: "certificate loaded" in caplog.text)
            leaf = x509.load_pem_x509_certificate(renewed.cert_chain_pems[0].bytes())
            assert leaf.serial_number == await shown_by(port)
            writer.write(b"still here\n")
            assert b"still here\n" == await within(reader.readline())
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        listening.close()
        await within(listening.wait_closed())


# Memory

STREAMS = 300
MOST = 48 * 1024
"""Bytes of a stream, by the contract."""


def opened(port: int, first: int, last: int, stack: ExitStack) -> None:
    """Open agents' streams, and read what they begin with."""
    context = trusting()
    for number in range(first, last):
        sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))
        stream = stack.enter_context(context.wrap_socket(sock, server_hostname="localhost"))
        head = f"GET /api/v1/agents/a-{number}/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
        stream.sendall(head.encode())
        seen = b""
        while b": connected" not in seen:
            data = stream.recv(4096)
            assert data, seen
            seen += data


def resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise LookupError("VmRSS")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
async def test_what_a_stream_takes(tmp_path: Path) -> None:
    """asyncio alone would take 278 KiB for each."""
    put(CA.issue_cert("localhost"), tmp_path)
    files = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    async with server("--port", "0", *files) as served, client(served) as asking:
        for number in range(STREAMS + 50):
            assert 201 == (await enrolled(asking, f"a-{number}")).status_code
        port = int(served.url.rpartition(":")[2])
        with ExitStack() as stack:
            await asyncio.to_thread(opened, port, 0, 50, stack)  # what is made once
            before = resident(served.process.pid)
            await asyncio.to_thread(opened, port, 50, 50 + STREAMS, stack)
            assert (resident(served.process.pid) - before) / STREAMS <= MOST
