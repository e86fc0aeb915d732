"""The document itself: what the router knows, with the texts of each operation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from aiohttp import hdrs, web
from attrs import evolve

from ... import wire
from ...settings import Settings
from ...version import __version__
from ..addresses import template
from ..responding import access_of
from . import refusals
from .operations import OPERATIONS, TAGS
from .parameters import HEADERS, IN_PATHS, OF_EVERY_RESPONSE, VERSION
from .schemas import Schema, Schemas
from .terms import Answer, Link, Operation, Parameter

_INFO: Final = {
    "title": "cameleer-registry",
    "summary": "An agent registry and command-push server.",
    "description": "Observability agents register, send heartbeats and hold an event stream; "
    "operators list agents and send commands to one agent, a group, or all.\n\n"
    "Bodies are JSON in UTF-8, whatever the `Content-Type`; unknown fields are ignored. Every "
    "address that takes GET also takes HEAD. Refusals are RFC 9457 "
    "problem details.",
    "version": __version__,
    "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
}

_SCHEMES: Final = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An enrolment token, an agent's own token, or a token of a person or "
        "program. A server that asks for no credentials ignores it.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "cameleer-e3b0c442",
        "description": "A browser that is signed in. Over TLS the name begins with `__Host-`.",
    },
}

_BRACES: Final = re.compile(r"{(\w+)}")


def operations_of(router: web.UrlDispatcher, prefix: str) -> dict[str, dict[str, Operation]]:
    """Return the operation of each route, by its path below the prefix and its method.

    Routes without one, the pages for people, are left out.
    """
    found: dict[str, dict[str, Operation]] = {}
    for route in router.routes():
        assert route.resource is not None
        path = template(route.resource.canonical.removeprefix(prefix))
        asked = hdrs.METH_GET if route.method == hdrs.METH_HEAD else route.method
        if operation := OPERATIONS.get(f"{asked} {path}"):
            access = access_of(route.handler)
            assert access is not None
            found.setdefault(path, {})[route.method] = evolve(operation, access=access)
    return found


def render(router: web.UrlDispatcher, prefix: str, settings: Settings) -> bytes:
    """Return the document of an application, as JSON in UTF-8."""
    return orjson.dumps(_Document(settings).describe(operations_of(router, prefix), prefix))


class _Document:
    """One document while it is written: its components are gathered on the way."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._schemas = Schemas()
        # By name, like the schemas.
        self._parameters: dict[str, Any] = {}
        self._headers: dict[str, Any] = {}
        self._responses: dict[str, Any] = {}

    def describe(
        self, operations: Mapping[str, Mapping[str, Operation]], prefix: str
    ) -> dict[str, Any]:
        paths = {
            path: {
                method.lower(): self._operation(method, path, operation)
                for method, operation in of_path.items()
            }
            for path, of_path in operations.items()
        }
        return {
            "openapi": "3.1.1",
            "info": _INFO,
            "servers": self._servers(prefix),
            "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
            "paths": paths,
            "components": {
                "schemas": self._schemas.components,
                "parameters": self._parameters,
                "headers": self._headers,
                "responses": self._responses,
                "securitySchemes": _SCHEMES,
            },
        }

    def _servers(self, prefix: str) -> list[dict[str, str]]:
        servers = [{"url": prefix or "/", "description": "The server that serves this document."}]
        if self._settings.public_url:
            servers.append(
                {
                    "url": self._settings.public_url + prefix,
                    "description": "The address from outside.",
                }
            )
        return servers

    def _operation(self, method: str, path: str, operation: Operation) -> dict[str, Any]:
        head = method == hdrs.METH_HEAD
        described: dict[str, Any] = {
            "operationId": operation.operation_id + ("Head" if head else ""),
            "tags": [operation.tag],
            "summary": operation.summary + (" (the head only)" if head else ""),
        }
        if operation.description:
            described["description"] = operation.description
        if parameters := self._parameters_of(path, operation):
            described["parameters"] = parameters
        if operation.body is not None:
            described["requestBody"] = {
                "required": operation.body_required,
                "content": {
                    "application/json": {
                        "schema": self._schemas.of(operation.body, sent=True),
                        "examples": {"example": {"value": _as_sent(operation.body_example)}},
                    }
                },
            }
        described["security"] = _security_of(operation)
        described["responses"] = self._responses_of(method, path, operation)
        return described

    # What is taken

    def _parameters_of(self, path: str, operation: Operation) -> list[Any]:
        taken = [
            *(IN_PATHS[name] for name in _BRACES.findall(path)),
            *operation.parameters,
            *((VERSION,) if operation.access.versioned else ()),
        ]
        return [self._parameter(parameter) for parameter in taken]

    def _parameter(self, parameter: Parameter) -> dict[str, Any]:
        required = parameter.required or parameter.where == "path"
        if parameter is VERSION:
            required = self._settings.require_protocol_version
        described: dict[str, Any] = {
            "name": parameter.name,
            "in": parameter.where,
            "description": parameter.description,
            "required": required,
            "schema": self._schemas.of(parameter.shape, sent=True),
        }
        if required:
            described["example"] = parameter.example
        else:
            # Pages fill an example of a parameter in, and whoever wants to see all agents would be
            # shown those of a group that does not exist. One of its schema they only show.
            described["schema"] = {**described["schema"], "examples": [parameter.example]}
        if parameter.where == "query":
            return described
        self._parameters.setdefault(parameter.name, described)
        return {"$ref": f"#/components/parameters/{parameter.name}"}

    # What is answered

    def _responses_of(self, method: str, path: str, operation: Operation) -> dict[str, Any]:
        head = method == hdrs.METH_HEAD
        responses = {
            str(answer.status): self._answer(answer, head=head) for answer in operation.answers
        }
        by_status: dict[int, list[refusals.Kind]] = {}
        for kind in refusals.possible(method, path, operation):
            by_status.setdefault(kind.status, []).append(kind)
        for status, kinds in by_status.items():
            responses[str(status)] = self._refusal(kinds, head=head)
        return dict(sorted(responses.items()))

    def _answer(self, answer: Answer, *, head: bool) -> dict[str, Any]:
        described: dict[str, Any] = {
            "description": answer.description,
            "headers": self._headers_of(answer.headers),
        }
        if answer.shape is not None and not head:
            content = {"schema": self._schemas.of(answer.shape)}
            if answer.example is not None:
                content["examples"] = {"example": {"value": _as_answered(answer.example)}}
            described["content"] = dict.fromkeys(answer.media_types, content)
        if answer.links and not head:
            described["links"] = {link.operation_id: _link(link) for link in answer.links}
        return described

    def _refusal(self, kinds: list[refusals.Kind], *, head: bool) -> Schema:
        name = ".".join(kind.__name__ for kind in kinds) + (".Head" if head else "")
        if name not in self._responses:
            self._responses[name] = {
                "description": refusals.description_of(kinds),
                "headers": self._headers_of(refusals.headers_of(kinds)),
            }
            if not head:
                self._responses[name]["content"] = refusals.content_of(kinds, self._schemas)
        return {"$ref": f"#/components/responses/{name}"}

    def _headers_of(self, particular: Iterable[str]) -> dict[str, Any]:
        return {name: self._header(name) for name in (*OF_EVERY_RESPONSE, *particular)}

    def _header(self, name: str) -> dict[str, Any]:
        header = HEADERS[name]
        self._headers[name] = {
            "description": header.description,
            "required": header.required,
            "schema": header.schema,
            "example": header.example,
        }
        return {"$ref": f"#/components/headers/{name}"}


def _security_of(operation: Operation) -> list[dict[str, list[str]]]:
    """Return what an operation needs: one of these, or nothing, which stands for an open server."""
    shown: list[dict[str, list[str]]] = [{"token": []}]
    if operation.access.sessions:
        shown.append({"session": []})
    return [{}, *shown] if operation.access.needs is None else shown


def _link(link: Link) -> dict[str, Any]:
    return {"operationId": link.operation_id, "parameters": link.parameters}


def _as_sent(example: Any) -> Any:
    return orjson.loads(wire.encode_request(example))


def _as_answered(example: Any) -> Any:
    return example if isinstance(example, str) else orjson.loads(wire.encode(example))
