"""Agents that enrol with a certificate: that of the connection, or one that a proxy passes on.

What a certificate says of its holder is believed of an authority that the settings name, and of a
proxy that they trust: that one has ended TLS, and has verified it. From anybody else the header is
refused rather than ignored, as somebody may rely on it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any, Final
from urllib.parse import unquote

from multidict import istr

from ..core import rules
from ..errors import Fault, InvalidRequest
from ..security.principals import Principal, Role, Scope
from ..settings import Settings
from .calls import Call

SAN: Final = "san-uri:"


class Certificates:
    """The certificates of the agents of one registry."""

    def __init__(self, settings: Settings) -> None:
        name = settings.client_cert_header
        self._header = None if name is None else istr(name)
        self._scope = Scope(tuple(settings.client_cert_groups))
        self._names: re.Pattern[str] | None = None
        if settings.tls_client_id.startswith(SAN):
            before, after = settings.tls_client_id.removeprefix(SAN).split("{agentId}")
            self._names = re.compile(f"{re.escape(before)}([^/]+){re.escape(after)}")
        self.are_read = self._header is not None or settings.tls_client_ca is not None

    def check_header(self, call: Call, *, trusted: bool) -> None:
        """Refuse the header from anybody but a trusted proxy, and twice; raises InvalidRequest."""
        if self._header is None or self._header not in call.headers:
            return
        if not trusted or len(call.headers.getall(self._header)) > 1:
            message = "expected one, from a trusted proxy"
            raise InvalidRequest([Fault(str(self._header), message)])

    def of(self, call: Call) -> Principal | None:
        """Return who enrols with the certificate of a call; None if it has none.

        The header has been checked. Raises InvalidRequest if a certificate cannot be read, or names
        no agent.
        """
        der = self._passed_on(call) or _of_connection(call)
        if der is None:
            return None
        try:
            agent_id = rules.agent_id(self._named(der))
        except ValueError as error:
            raise InvalidRequest([Fault("certificate", str(error))]) from None
        return Principal(
            token_id=f"certificate-{hashlib.sha256(der).hexdigest()[:24]}",
            role=Role.ENROL,
            scope=self._scope,
            agent_id=agent_id,
            of_host=True,
        )

    def _passed_on(self, call: Call) -> bytes | None:
        value = None if self._header is None else call.headers.get(self._header)
        if not value:
            return None
        try:
            if value.startswith(":") and value.endswith(":"):  # RFC 9440, section 2.1
                return base64.b64decode(value[1:-1], validate=True)
            lines = unquote(value).replace("\t", "\n").strip().splitlines()
            text = "".join(line.strip() for line in lines if not line.startswith("-----"))
            return base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            raise InvalidRequest([Fault(str(self._header), "expected a certificate")]) from None

    def _named(self, der: bytes) -> str:
        from cryptography import x509  # only if there are certificates
        from cryptography.x509.oid import NameOID

        certificate = x509.load_der_x509_certificate(der)
        if self._names is None:
            names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            if len(names) != 1:
                raise ValueError("expected one common name")
            return str(names[0].value)
        try:
            alternatives: Any = certificate.extensions.get_extension_for_class(
                x509.SubjectAlternativeName
            ).value
        except x509.ExtensionNotFound:
            raise ValueError("expected an alternative name") from None
        uris = alternatives.get_values_for_type(x509.UniformResourceIdentifier)
        found = [match[1] for uri in uris if (match := self._names.fullmatch(uri))]
        if len(found) != 1:
            raise ValueError("expected one alternative name that is an agent's")
        return found[0]


def _of_connection(call: Call) -> bytes | None:
    """Return the certificate that the client has shown, and TLS has verified; None without one."""
    transport = call.transport
    tls = None if transport is None else transport.get_extra_info("ssl_object")
    return None if tls is None else tls.getpeercert(binary_form=True)
