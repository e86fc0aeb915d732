"""A server that asks for credentials: its keys, its tokens, and the certificate of its port."""

from __future__ import annotations

import datetime
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from . import http
from .requests import saturate
from .servers import ENVIRONMENT, Server


@frozen
class Closed:
    """What a server is started with, and what its clients show."""

    folder: Path
    admin: str
    enrolment: str

    @property
    def env(self) -> Mapping[str, str]:
        """Keys and tokens by files, as a container has them."""
        return {
            "CAMELEER_KEYS_FILE": str(self.folder / "keys.json"),
            "CAMELEER_ADMIN_TOKEN_FILE": str(self.folder / "admin"),
            "CAMELEER_ENROL_TOKEN_FILE": str(self.folder / "enrol"),
        }

    @property
    def tls(self) -> Mapping[str, str]:
        """The certificate of the port, besides."""
        return {
            **self.env,
            "CAMELEER_TLS_CERT": str(self.folder / "cert.pem"),
            "CAMELEER_TLS_KEY": str(self.folder / "key.pem"),
        }

    @property
    def kept(self) -> Mapping[str, str]:
        """The database that was made with the keys, so that agents' tokens outlive a restart."""
        return {**self.env, "CAMELEER_DATABASE": str(self.folder / "registry.db")}

    def enrol(
        self, server: Server, count: int, start: int = 0, *, tls: bool = False
    ) -> dict[str, str]:
        """Register agents, all in one group; return their tokens by their ids."""
        tokens: dict[str, str] = {}

        def heard(answer: bytes) -> None:
            body = http.body_of(answer)
            tokens[body["agentId"]] = body["credential"]["accessToken"]

        ids = http.agent_ids(count, start)
        requests = (http.registration(agent_id, token=self.enrolment) for agent_id in ids)
        saturate(server.address, requests, tls=tls, heard=heard)
        return {agent_id: tokens[agent_id] for agent_id in http.agent_ids(count, start)}


def found(folder: Path) -> Closed:
    """Make keys, tokens and a certificate."""
    out = subprocess.run(
        [
            *(sys.executable, "-m", "cameleer_registry", "auth", "init"),
            *("--database", str(folder / "registry.db")),
        ],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
        text=True,
    ).stdout
    said = {line[:17].strip(): line[17:].strip() for line in out.splitlines()}
    made = Closed(folder, said["admin token"], said["enrolment token"])
    for name, text in (("admin", made.admin), ("enrol", made.enrolment)):
        folder.joinpath(name).write_text(text)
    _certify(folder)
    return made


def _certify(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, SHA256())
    )
    pem = serialization.Encoding.PEM
    folder.joinpath("cert.pem").write_bytes(certificate.public_bytes(pem))
    folder.joinpath("key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
