"""Operations on credentials: identity, tokens, sessions and keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...errors import AgentNotRegistered, AuthOff, InsufficientRole, NotFound, TooManyAttempts
from ...security.model import (
    AuthShown,
    CredentialShown,
    SessionCode,
    SessionRequest,
    TokenMade,
    TokenRequest,
    TokenShown,
)
from . import examples
from .terms import Answer, Operation, no_content, one_answer

_KEY: Final[dict[str, Any]] = {
    "description": "A public key (RFC 7517, RFC 8037).",
    "type": "object",
    "properties": {
        "kty": {"const": "OKP"},
        "crv": {"const": "Ed25519"},
        "x": {"type": "string", "minLength": 43, "maxLength": 43},
        "kid": {
            "description": "Its thumbprint (RFC 7638).",
            "type": "string",
            "minLength": 43,
            "maxLength": 43,
        },
        "use": {"const": "sig"},
        "alg": {"type": "string"},
        "for": {"description": "What it signs.", "enum": ["token", "command"]},
        "status": {"enum": ["next", "active", "retired", "revoked"]},
        "since": {"type": "string", "format": "date-time"},
    },
    "required": ["kty", "crv", "x", "kid"],
}

KEYS: Final[dict[str, Any]] = {
    "description": "The registry's keys, signed by their root key: one line, which ends in its "
    "signature.",
    "type": "object",
    "properties": {
        "registry": {"type": "string", "format": "uuid"},
        "version": {"type": "integer", "minimum": 1},
        "issuedAt": {"type": "string", "format": "date-time"},
        "root": _KEY,
        "keys": {"type": "array", "items": _KEY},
        "signs": {"const": "keys/1"},
        "keyId": {"type": "string"},
        "signature": {"type": "string", "minLength": 86, "maxLength": 86},
    },
    "required": ["registry", "version", "issuedAt", "root", "keys", "signs", "keyId", "signature"],
}

OPERATIONS: Final[Mapping[str, Operation]] = {
    "GET /api/v1/auth": Operation(
        operation_id="showAuth",
        tag="Credentials",
        summary="Is a credential needed, and who am I",
        answers=one_answer(
            "Whether a credential is needed, and whose credential was sent, if one was.",
            AuthShown,
            examples.AUTH,
        ),
    ),
    "POST /api/v1/auth/session": Operation(
        operation_id="signIn",
        tag="Credentials",
        summary="Sign a browser in",
        description="With a token, or with a code that stands for one. Tokens for enrolment, and "
        "those of agents, do not sign in. The cookie replaces the token for 12 hours. A browser "
        "that sends the cookie must say where a change comes from, in `Origin` or "
        "`Sec-Fetch-Site`.",
        body=SessionRequest,
        body_example=SessionRequest(token=examples.TOKEN_MADE.token),
        answers=(Answer(status=204, description="Signed in.", headers=("Set-Cookie",)),),
        problems=(AuthOff, InsufficientRole, TooManyAttempts),
    ),
    "POST /api/v1/auth/session/code": Operation(
        operation_id="makeCode",
        tag="Credentials",
        summary="Make a code that signs a browser in",
        description="The code is valid once, within a minute, at every node of the registry, "
        "and signs in as the holder of the token. A session cannot make one.",
        answers=one_answer("The code.", SessionCode, examples.SESSION_CODE, status=201),
        problems=(AuthOff,),
    ),
    "DELETE /api/v1/auth/session": Operation(
        operation_id="signOut",
        tag="Credentials",
        summary="Sign a browser out",
        answers=(Answer(status=204, description="Signed out.", headers=("Set-Cookie",)),),
        problems=(AuthOff,),
    ),
    "POST /api/v1/auth/tokens": Operation(
        operation_id="createToken",
        tag="Credentials",
        summary="Make a token",
        body=TokenRequest,
        body_example=examples.TOKEN_REQUEST,
        answers=one_answer(
            "The token, which is shown only this once.", TokenMade, examples.TOKEN_MADE, status=201
        ),
        problems=(AuthOff,),
    ),
    "GET /api/v1/auth/tokens": Operation(
        operation_id="listTokens",
        tag="Credentials",
        summary="List tokens",
        description="The tokens of people and programs and those for enrolment, without their "
        "secrets. Revoked and expired ones are listed for 30 more days.",
        answers=one_answer(
            "The tokens, in the order in which they were made.", list[TokenShown], [examples.TOKEN]
        ),
        problems=(AuthOff,),
    ),
    "DELETE /api/v1/auth/tokens/{tokenId}": Operation(
        operation_id="revokeToken",
        tag="Credentials",
        summary="Revoke a token",
        description="Streams, feeds and sessions that depend on the token end within a second.",
        answers=no_content("The token is void."),
        problems=(AuthOff, NotFound),
    ),
    "POST /api/v1/agents/{agentId}/token": Operation(
        operation_id="renewToken",
        tag="Credentials",
        summary="Renew an agent's token",
        description="With the agent's own token, even if it has expired, as long as it can be "
        "renewed. The agent's open stream then depends on the new token.",
        answers=one_answer(
            "The new token.", CredentialShown, CredentialShown(credential=examples.CREDENTIAL)
        ),
        problems=(AuthOff, AgentNotRegistered),
    ),
    "DELETE /api/v1/agents/{agentId}/token": Operation(
        operation_id="revokeCredentials",
        tag="Credentials",
        summary="Revoke an agent's credentials",
        description="All of its credentials become void at once, and its stream ends within a "
        "second. To come back it needs an enrolment token.",
        answers=no_content("The credentials are void."),
        problems=(AuthOff, AgentNotRegistered),
    ),
    "GET /api/v1/keys": Operation(
        operation_id="showKeys",
        tag="Credentials",
        summary="Show the keys",
        description="A JWKS (RFC 7517), and a signed line: see *Signed lines*.",
        answers=one_answer("The keys.", KEYS, examples.KEYS),
        problems=(NotFound,),
    ),
    "POST /api/v1/keys/{use}/rotate": Operation(
        operation_id="rotateKey",
        tag="Credentials",
        summary="Rotate a key",
        description="The first call announces the next key, so that all agents know it before it "
        "signs; the second call makes it sign.",
        answers=one_answer("The keys, as they are now.", KEYS, examples.KEYS),
        problems=(AuthOff, NotFound),
    ),
    "DELETE /api/v1/keys/{keyId}": Operation(
        operation_id="revokeKey",
        tag="Credentials",
        summary="Revoke a key",
        description="Everything that the key has signed becomes void. If it is the key that "
        "signs, another one takes its place at once.",
        answers=one_answer("The keys, as they are now.", KEYS, examples.KEYS),
        problems=(AuthOff, NotFound),
    ),
}
