"""JSON Schemas (draft 2020-12) of what crosses the wire, derived from the models.

A model looks different when it is sent and when it is answered: what a client sends may leave out
what has a default, and is never null; what the server answers is whole.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from functools import partial
from types import ModuleType, NoneType, UnionType
from typing import Any, Final, Literal, NewType, Union, get_args, get_origin

import attrs
import docstring_parser
from attrs import frozen

from ...core import model, rules
from ...wire.names import camel_case, wire_name
from ...wire.parsing import LARGEST, MAX_DEPTH, SMALLEST

Schema = dict[str, Any]

IDENTIFIER: Final[Schema] = {
    "type": "string",
    "minLength": 1,
    "maxLength": rules.MAX_IDENTIFIER,
    "pattern": f"^{rules.IDENTIFIER.pattern}$",
}
_NOTE: Final[Schema] = {
    "type": "string",
    "maxLength": rules.MAX_LABEL,
    "pattern": f"^{rules.CONTROL.pattern.replace('[', '[^')}*$",
}
_RULES: Final[Mapping[Any, Schema]] = {
    rules.AgentId: {**IDENTIFIER, "not": {"enum": sorted(rules.RESERVED_AGENT_IDS)}},
    rules.GroupName: IDENTIFIER,
    rules.Label: {**_NOTE, "minLength": 1},
    rules.Note: _NOTE,
}
"""What :mod:`~cameleer_registry.core.rules` says, in the words of JSON Schema."""

_PLAIN: Final[Mapping[Any, Schema]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    # Those that are answered count something, or are milliseconds.
    int: {"type": "integer", "minimum": 0},
}

_TIMESTAMP: Final[Schema] = {
    "description": "A moment in UTC, with milliseconds (RFC 3339).",
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
}

_JSON_VALUE: Final[Schema] = {
    "description": "Any JSON value; it is passed on unchanged. Integers fit into 64 bits, and "
    f"arrays and objects are nested {MAX_DEPTH} levels deep at most, including the body.",
    "anyOf": [
        {"type": ["null", "boolean", "string"]},
        {"type": "number", "minimum": SMALLEST, "maximum": LARGEST},
        {"type": "array", "items": {"$ref": "#/components/schemas/JsonValue"}},
        {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/JsonValue"}},
    ],
}

COMMAND_ID: Final[Schema] = {"type": "string", "format": "uuid"}

_NAMES_OF_ANSWERS: Final[Mapping[Any, str]] = {model.Ack: "Result"}
"""Names of what is sent in one form and answered in another."""

_ROLE: Final = re.compile(r":\w+:`~?(?:\w+\.)*(\w+)`")
_LITERAL: Final = re.compile(r"``(.+?)``")
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+")
"""Of a field in Python; an underscore that stands alone is one."""


@frozen
class Events:
    """An event stream: what its ids look like, and the model of an event's data by its name."""

    ids: Schema
    data: Mapping[str, type]


class Schemas:
    """The schemas of one document: each model once, under its own name."""

    def __init__(self) -> None:
        # By name; filled as shapes are asked for.
        self.components: dict[str, Schema] = {}

    def of(self, shape: Any, *, sent: bool = False) -> Schema:
        """Return the schema of a shape, as a client sends it or as the server answers it.

        A shape is the type of a model or of one of its fields, an event stream, or a schema.
        """
        if isinstance(shape, dict):
            return shape
        if isinstance(shape, Events):
            return self._stream(shape)
        if shape is Any:
            return self.named("JsonValue", lambda: _JSON_VALUE) if sent else {}
        if shape is datetime:
            return self.named("Timestamp", lambda: _TIMESTAMP)
        if shape in _PLAIN:
            return _PLAIN[shape]
        if isinstance(shape, NewType):
            return self.named(
                shape.__name__, lambda: _described(_RULES[shape], _text_of_type(shape))
            )
        if isinstance(shape, type) and issubclass(shape, Enum):
            members = {"type": "string", "enum": [str(member.value) for member in shape]}
            return self.named(shape.__name__, lambda: _described(members, _text_of_class(shape)))
        if shape is model.Target:
            return self.named(shape.__name__, self._target)
        if attrs.has(shape):
            name = shape.__name__ if sent else _NAMES_OF_ANSWERS.get(shape, shape.__name__)
            return self.named(name, lambda: self._model(shape, sent=sent))
        return self._generic(shape, sent=sent)

    def named(self, name: str, make: Callable[[], Schema]) -> Schema:
        """Return a reference to the schema of that name, which is made when first asked for."""
        if name not in self.components:
            self.components[name] = {}  # keeps the place, in the order of asking
            self.components[name] = make()
        return {"$ref": f"#/components/schemas/{name}"}

    def _generic(self, shape: Any, *, sent: bool) -> Schema:
        origin, inner = get_origin(shape), get_args(shape)
        if origin in (tuple, list):
            return {"type": "array", "items": self.of(inner[0], sent=sent)}
        if origin is Literal:
            return {"type": "string", "enum": list(inner)}
        if origin in (Union, UnionType):
            (some,) = set(inner) - {NoneType}
            schema = self.of(some, sent=sent)
            return schema if sent else {"anyOf": [schema, {"type": "null"}]}
        assert origin is Mapping, f"{shape} has no schema"
        keys, values = inner
        schema = self.of(values, sent=sent)
        if keys is str:
            return {"type": "object", **({"additionalProperties": schema} if schema else {})}
        names = [str(key.value) for key in keys]
        properties = dict.fromkeys(names, schema)
        return {"type": "object", "properties": properties, "required": names}

    def _model(self, shape: Any, *, sent: bool) -> Schema:
        texts = _texts_of_fields(shape)
        properties, required = {}, []
        for attribute in attrs.fields(attrs.resolve_types(shape)):
            name = wire_name(attribute)
            # What is only there if there is something to be said is never null.
            absent = bool(attribute.metadata.get("absent"))
            schema = self._field(attribute, sent=sent)
            if absent:
                schema = schema["anyOf"][0]
            properties[name] = _described(schema, texts.get(attribute.name, ""))
            optional = sent and attribute.default is not attrs.NOTHING
            if not optional and "sparse" not in attribute.metadata:
                required.append(name)
        schema = {"type": "object", "properties": properties}
        if required:
            schema["required"] = required
        if sent:  # fields that are not known are ignored, but read
            schema["additionalProperties"] = self.of(Any, sent=True)
        return _described(schema, _text_of_class(shape))

    def _target(self) -> Schema:
        """Return the schema of a target: one for each level, which it says besides its fields."""
        kinds = {}
        for level, kind in model.TARGETS.items():
            schema = self._model(kind, sent=False)
            schema["properties"] = {"level": {"const": str(level)}, **schema["properties"]}
            schema["required"] = ["level", *schema.get("required", ())]
            kinds[str(level)] = self.named(kind.__name__, partial(dict, schema))["$ref"]
        return _described(
            {
                "oneOf": [{"$ref": reference} for reference in kinds.values()],
                "discriminator": {"propertyName": "level", "mapping": kinds},
            },
            _text_of_class(model.Target),
        )

    def _stream(self, events: Events) -> Schema:
        """Return the schema of a stream.

        It is text to who validates it; ``contentSchema`` says what is in it, as the list of
        events that clients parse it into (WHATWG HTML, section 9.2.6).
        """
        names: dict[type, list[str]] = {}
        for name, data in events.data.items():
            names.setdefault(data, []).append(str(name))
        kinds = [
            {
                "type": "object",
                "properties": {
                    "id": events.ids,
                    "event": {"type": "string", "enum": of_same_data},
                    "data": {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "contentSchema": self.of(data),
                    },
                },
                "required": ["id", "event", "data"],
            }
            for data, of_same_data in names.items()
        ]
        event = kinds[0] if len(kinds) == 1 else {"oneOf": kinds}
        return {
            "type": "string",
            "contentMediaType": "text/event-stream",
            "contentSchema": {"type": "array", "items": event},
        }

    def _field(self, attribute: attrs.Attribute[Any], *, sent: bool) -> Schema:
        if sent and attribute.name == "capabilities":
            names = self.of(tuple[rules.Label, ...])
            return {"anyOf": [self.of(attribute.type, sent=True), names]}
        if attribute.name == "command_id":
            return COMMAND_ID
        # Typed as text in answers, which were checked on their way in.
        identifiers = {"agent_id": rules.AgentId, "group": rules.GroupName}
        shape = identifiers.get(attribute.name, attribute.type)
        if shape is not attribute.type and NoneType in get_args(attribute.type):
            return {"anyOf": [self.of(shape, sent=sent), {"type": "null"}]}
        schema, more = self.of(shape, sent=sent), attribute.metadata.get("schema")
        return schema if more is None else {**schema, **more}


def _described(schema: Schema, text: str) -> Schema:
    return {"description": text, **schema} if text else dict(schema)


def _text_of_class(shape: type) -> str:
    """Return the first sentence of a class's docstring."""
    text = docstring_parser.parse(shape.__doc__ or "").short_description or ""
    return _markdown(re.split(r"(?<=\.)\s", text)[0])


def _text_of_type(shape: NewType) -> str:
    """Return what stands under a type in its module."""
    return _texts_under(sys.modules[shape.__module__]).get(shape.__name__, "")


def _texts_of_fields(shape: type) -> dict[str, str]:
    """Return what stands under the fields of a model, inherited ones included."""
    texts: dict[str, str] = {}
    for owner in reversed(shape.__mro__[:-1]):
        texts |= _texts_under(owner)
    return texts


def _texts_under(owner: type | ModuleType) -> dict[str, str]:
    """Return the docstrings of attributes by their names; none if there is no source."""
    documented = docstring_parser.parse_from_object(owner)
    return {found.arg_name: _markdown(found.description or "") for found in documented.params}


def _markdown(text: str) -> str:
    """Turn the reStructuredText of docstrings into the Markdown of OpenAPI."""
    text = _ROLE.sub(r"`\1`", " ".join(text.split()))
    return _LITERAL.sub(lambda found: f"`{_NAME.sub(_on_the_wire, found[1])}`", text)


def _on_the_wire(name: re.Match[str]) -> str:
    return camel_case(name[0])
