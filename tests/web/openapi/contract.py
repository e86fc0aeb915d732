"""The document, as something that answers can be held against."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any, Final, NamedTuple

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from cameleer_registry import NODE, Settings, create_app
from cameleer_registry.web.openapi import document

from ...support import Answer

HTTP_HEADERS: Final = {
    "connection",
    "content-length",
    "content-type",
    "date",
    "server",
    "transfer-encoding",
}
"""Those of HTTP itself, which an OpenAPI document leaves out."""


class Documented(NamedTuple):
    """One operation of a document."""

    method: str
    path: str
    content: dict[str, Any]


class Contract:
    """A document, in which an object has no other properties than those that are named."""

    def __init__(self, contents: dict[str, Any]) -> None:
        self.contents = contents
        closed = deepcopy(contents)
        for schema in closed["components"]["schemas"].values():
            if "properties" in schema:
                schema.setdefault("additionalProperties", False)
        resource = DRAFT202012.create_resource(closed)
        self._registry: Any = Registry().with_resource("urn:document", resource)

    @classmethod
    def of(cls, settings: Settings | None = None) -> Contract:
        """Return what an application says of itself that is mounted nowhere."""
        app = create_app(settings)
        return cls(json.loads(document.render(app.router, "", app[NODE].settings)))

    def operations(self) -> list[Documented]:
        return [
            Documented(method.upper(), path, content)
            for path, methods in self.contents["paths"].items()
            for method, content in methods.items()
        ]

    def operation(self, method: str, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self.contents["paths"][path][method.lower()]
        return found

    def resolve(self, part: dict[str, Any]) -> dict[str, Any]:
        """Follow a reference to a component, where it is one."""
        if "$ref" not in part:
            return part
        found = self.contents
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return found

    def faults(self, schema: dict[str, Any], value: Any) -> list[str]:
        """Return what a schema of this document has against a value."""
        validator = Draft202012Validator(
            _absolute(schema), registry=self._registry, format_checker=FormatChecker()
        )
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def check(self, method: str, path: str, answer: Answer) -> None:
        """Hold an answer against what is said of its operation: status, head and body."""
        content = self.check_head(method, path, answer)
        if content is None:
            assert b"" == answer.body
        else:
            is_json = answer.headers["content-type"].endswith("json")
            body = answer.json() if is_json else answer.body.decode()
            assert [] == self.faults(content["schema"], body)

    def check_head(self, method: str, path: str, answer: Answer) -> dict[str, Any] | None:
        """Hold the status and the head of an answer against it; return what its body should be."""
        response = self.resolve(self.operation(method, path)["responses"][str(answer.status)])
        named = {name.lower(): self.resolve(h) for name, h in response["headers"].items()}
        assert set() == answer.headers.keys() - named.keys() - HTTP_HEADERS
        for name, header in named.items():
            assert name in answer.headers or not header["required"]
            if name in answer.headers:
                assert [] == self.faults(header["schema"], _read(header, answer.headers[name]))
        if "content" not in response:
            return None
        content: dict[str, dict[str, Any]] = response["content"]
        assert answer.headers["content-type"] in content
        return content[answer.headers["content-type"]]


def _read(header: dict[str, Any], value: str) -> Any:
    return int(value) if header["schema"]["type"] == "integer" else value


def _absolute(schema: Any) -> Any:
    """Return a schema whose references lead into the document, wherever it stands itself."""
    match schema:
        case {"$ref": str(reference), **others}:
            return {"$ref": f"urn:document{reference}", **others}
        case dict():
            return {key: _absolute(value) for key, value in schema.items()}
        case list():
            return [_absolute(value) for value in schema]
        case _:
            return schema
