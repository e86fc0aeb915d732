"""The JSON boundary: what comes in is structured by one strict cattrs converter, or refused.

Strict means that nothing is coerced (``"false"`` is no boolean, ``null`` is no string, ``3.9`` is
no integer) and nothing is changed on its way through: an integer that JSON libraries would round
is refused rather than rounded. A field that has a default may be left out of a request, but not
set to null. Unknown fields are ignored. Of a key that stands twice the last one counts, as in
nearly every JSON library (RFC 8259, section 4).

Bodies are structured fast, and a second time in detail only where that fails, to name every
fault.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import accumulate
from types import UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin

import attrs
import orjson
from cattrs import ClassValidationError, IterableValidationError, IterableValidationNote
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.preconf.orjson import OrjsonConverter, make_converter

from . import interning as sharing
from .core import model, rules
from .errors import Fault, InvalidRequest, MalformedJson
from .security import model as auth
from .security import principals

T = TypeVar("T")

ValidationError = ClassValidationError | IterableValidationError

MAX_DEPTH: Final = 128
"""Levels of nesting a request may have. orjson reads 1,024 and writes 254, and what we were given
is nested deeper in what we send."""

REQUESTS: Final = (
    model.Registration,
    model.Order,
    model.Ack,
    auth.TokenRequest,
    auth.SessionRequest,
    auth.ChallengeRequest,
)
"""What clients send. In these, what is optional may be absent but not null."""

_LONG_INTEGER: Final = re.compile(rb"(?<![\d.])-?\d{19,}(?![\d.eE])")
_LONG: Final = b"0" * 19
_DIGITS: Final = bytes.maketrans(b"123456789", b"0" * 9)
SMALLEST, LARGEST = -(2**63), 2**64 - 1
FAULTS_NAMED: Final = 100
VALUE: Final = 64
"""Bytes that a value takes in memory beyond those it is written with: an empty list, or a list's
place for it."""
_MESSAGE_LENGTH: Final = 300


def decode(raw: bytes, shape: type[T]) -> T:
    """Structure a request body.

    Raises MalformedJson where it is not JSON, and InvalidRequest, naming every fault, where it
    is not of that shape.
    """
    value, rounded = _parse(raw)
    try:
        structured = _fast.structure(value, shape)
    except Exception:
        raise InvalidRequest(_named([*_faults_of(value, shape, _detailed), *rounded])) from None
    if rounded:
        raise InvalidRequest(_named(rounded))
    return structured


def decode_object(raw: bytes) -> model.JsonObject:
    """Structure a JSON object that is to become part of a request; raises like :func:`decode`."""
    return decode(raw, model.JsonObject)  # type: ignore[type-abstract]


def decode_answer(raw: bytes | str, shape: type[T]) -> T:
    """Structure what a server has sent: a body, or the data of an event.

    It may be a list of models (``list[Agent]``), and what is optional may be null. Raises
    ValueError with one line that says what is wrong with it.
    """
    value = orjson.loads(raw)
    try:
        return _reading.structure(value, shape)
    except Exception:
        fault = _faults_of(value, shape, _reading)[0]
        raise ValueError(f"{fault.path}: {fault.message}") from None


def encode(value: Any) -> bytes:
    """Return the JSON of a model, or of a list of them, in UTF-8 on one line."""
    return orjson.dumps(_fast.unstructure(value))


def encode_sorted(value: Any) -> bytes:
    """Return the same with the keys of all objects in order: equal for equal values.

    Raises TypeError where a value is nothing that JSON can express.
    """
    return orjson.dumps(_fast.unstructure(value), option=orjson.OPT_SORT_KEYS)


def encode_request(value: Any) -> bytes:
    """Return the JSON of what a client sends, in which what has its default is left out.

    Raises TypeError where a value is nothing that JSON can express.
    """
    unstructured = _sending.unstructure(value)
    raw = orjson.dumps(unstructured)
    # orjson writes the numbers that JSON does not have as null, which would change them unseen.
    if b"null" in raw and not all(map(math.isfinite, _floats_in(unstructured))):
        raise TypeError("NaN and Infinity are not JSON serializable")
    return raw


def _floats_in(value: Any) -> Iterator[float]:
    """Return the floats in what has been written as JSON, and so is no deeper than that takes."""
    match value:
        case float():
            yield value
        case dict():
            for inner in value.values():
                yield from _floats_in(inner)
        case list() | tuple():
            for inner in value:
                yield from _floats_in(inner)


def encode_line(value: Any) -> bytes:
    """Return the same for a line-based protocol.

    U+0085, U+2028 and U+2029 are escaped: they are no line ends in an event stream (WHATWG HTML,
    section 9.2.6), but are for clients that split lines with the tools of their language.
    """
    line = encode(value)
    if line.isascii():
        return line
    for raw, escaped in _LINE_ENDS_OF_UNICODE:
        line = line.replace(raw, escaped)
    return line


_LINE_ENDS_OF_UNICODE: Final = tuple(
    (char.encode(), f"\\u{ord(char):04x}".encode()) for char in "\x85\u2028\u2029"
)


def footprint(document: bytes) -> int:
    """Return about how many bytes of memory a document takes once it has been read.

    A megabyte of empty arrays takes 22 of them, and one of arrays in arrays 33.
    """
    values = document.count(b",") + document.count(b"[") + document.count(b"{")
    return len(document) + VALUE * values


def footprint_of(ack: model.Ack) -> int:
    """Return the same for an answer; raises TypeError where it is nothing that JSON can express."""
    if ack.message is None and ack.data is None:
        return 0
    return footprint(encode(ack))


def timestamp(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC with milliseconds: ``2026-11-23T08:15:30.123Z``."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat("T", "milliseconds")[: -len("+00:00")] + "Z"


# Parsing


def _parse(raw: bytes) -> tuple[Any, list[Fault]]:
    if not raw:
        raise MalformedJson("the body is missing")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(_not_utf8(raw) or str(error)) from None
    brackets = raw.count(b"[") + raw.count(b"{")
    if brackets > MAX_DEPTH and _depth_of(raw) > MAX_DEPTH:
        raise InvalidRequest([Fault("$", f"nested more than {MAX_DEPTH} levels deep")])
    # orjson turns integers beyond 64 bits into floats, which would change them unseen.
    rounded = _find_rounded(raw) if _has_long_integer(raw) else []
    return value, [Fault(path, "integers must fit into 64 bits") for path in rounded]


def _not_utf8(raw: bytes) -> str | None:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason} at byte {error.start}"
    return None


def _depth_of(document: bytes) -> int:
    """Return how deep a JSON document is nested.

    Its brackets are counted, not its values: to walk through a megabyte of empty arrays takes
    ten times as long.
    """
    # What is left of strings, whose quotes are plain then, are all brackets between them.
    unescaped = document.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(unescaped.translate(_STEPS, _NO_STEPS).split(b'"')[::2])
    return max(accumulate(memoryview(outside).cast("b")), default=0)


_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""Brackets as signed bytes: one level down, and one up."""

_NO_STEPS: Final = bytes(byte for byte in range(256) if byte not in b'[{]}"')


def _has_long_integer(raw: bytes) -> bool:
    # The expression alone takes 18 ms for a megabyte, in which mostly no number is that long.
    return _LONG in raw.translate(_DIGITS) and _LONG_INTEGER.search(raw) is not None


def _find_rounded(raw: bytes) -> list[str]:
    """Return the paths of the integers that are out of range."""
    import json  # rarely needed: only where a number has 19 digits

    def walk(exact: Any, path: str) -> Iterator[str]:
        match exact:
            case int() if not SMALLEST <= exact <= LARGEST:
                yield path
            case dict():
                for key, inner in exact.items():
                    yield from walk(inner, f"{path}.{key}")
            case list():
                for index, inner in enumerate(exact):
                    yield from walk(inner, f"{path}[{index}]")

    try:
        return list(walk(json.loads(raw), "$"))
    except ValueError:  # Python refuses to read integers of thousands of digits
        return ["$"]


# Explaining


def _faults_of(value: Any, shape: Any, detailed: OrjsonConverter) -> list[Fault]:
    try:
        detailed.structure(value, shape)
    except (ClassValidationError, IterableValidationError) as error:
        faults = list(_walk(error, "$"))
    except Exception as error:
        faults = [Fault("$", _message(error))]
    else:
        raise AssertionError(f"{shape} is refused fast but accepted in detail")
    return faults


def _named(faults: list[Fault]) -> list[Fault]:
    if len(faults) > FAULTS_NAMED:
        faults = [*faults[:FAULTS_NAMED], Fault("$", "… and more faults")]
    return faults


def _walk(error: ValidationError, path: str) -> Iterator[Fault]:
    """Follow cattrs' notes down to each fault, on the names that the wire uses."""
    with_notes, without = error.group_exceptions()
    for inner, note in with_notes:
        if isinstance(note, IterableValidationNote):
            where = f"{path}[{note.index}]"
        else:
            where = f"{path}.{wire_name(attrs.fields_dict(error.cl)[note.name])}"
        if isinstance(inner, ValidationError):
            yield from _walk(inner, where)
        else:
            yield Fault(where, _message(inner))
    for inner in without:
        yield Fault(path, _message(inner))


def _message(error: Exception) -> str:
    if isinstance(error, KeyError):
        return "required, but missing"
    message = str(error)
    return message if len(message) <= _MESSAGE_LENGTH else message[:_MESSAGE_LENGTH] + "…"


# The converter


def _strict(*types: type, name: str) -> Callable[[Any, Any], Any]:
    def hook(value: Any, _: Any) -> Any:
        # By exact type, because in Python a bool is an int.
        if type(value) not in types:
            raise ValueError(f"expected {name}, got {rules.kind_of(value)}")
        return value

    return hook


_structure_object: Final = _strict(dict, name="an object")
_structure_array: Final = _strict(list, name="an array")


def _structure_enum(value: Any, enum: Any) -> Any:
    try:
        return enum(value)
    except ValueError:
        choices = ", ".join(repr(str(member)) for member in enum)
        raise ValueError(f"expected one of {choices}, got {_shown(value)}") from None


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) and len(value) < 64 else rules.kind_of(value)


def _structure_tuple(converter: OrjsonConverter, shape: Any) -> Callable[[Any, Any], Any]:
    """Accept arrays only: cattrs would also take a string apart into its letters."""
    element = get_args(shape)[0]
    if element is rules.Label and not converter.detailed_validation:
        return lambda value, of: sharing.labels(_structure_array(value, of))

    def hook(value: Any, of: Any) -> Any:
        return tuple(_structure_each(converter, _structure_array(value, of), element))

    return hook


def _structure_each(converter: OrjsonConverter, values: list[Any], shape: Any) -> list[Any]:
    """Structure the elements of an array, and give up where there are enough faults to name.

    cattrs would make an exception for each of a million.
    """
    structure = converter.get_structure_hook(shape)
    if not converter.detailed_validation:
        return [structure(value, shape) for value in values]
    structured, faults = [], []
    for index, value in enumerate(values):
        try:
            structured.append(structure(value, shape))
        except Exception as error:
            error.add_note(IterableValidationNote(f"at {index}", index, shape))
            faults.append(error)
            if len(faults) > FAULTS_NAMED:
                break
    if faults:
        raise IterableValidationError("faults in an array", faults, list)
    return structured


def _structure_capabilities(converter: OrjsonConverter, value: Any, _: Any) -> Any:
    """Accept an object, or an array of names each of which then is true."""
    match value:
        case dict():
            return value if converter.detailed_validation else sharing.json_object(value)
        case list() if converter.detailed_validation:
            return dict.fromkeys(_structure_each(converter, value, rules.Label), True)
        case list():
            return sharing.json_object(dict.fromkeys(rules.labels(value), True))
        case _:
            raise ValueError(f"expected an object or an array of names, got {rules.kind_of(value)}")


@attrs.frozen
class _Level:
    level: model.TargetLevel


def _structure_target(converter: OrjsonConverter, value: Any, _: Any) -> model.Target:
    kind = model.TARGETS[converter.structure(value, _Level).level]
    return converter.structure(value, kind)


def _unstructure_target(target: model.Target) -> dict[str, Any]:
    names = _NAMES_OF_TARGETS[type(target)]
    return {"level": target.level.value} | {wire: getattr(target, name) for name, wire in names}


def _unstructure_listed(
    unstructure: Callable[[Any], dict[str, Any]], command: model.ListedCommand
) -> dict[str, Any]:
    fields = unstructure(command)
    del fields["payload" if command.payload_truncated else "payloadTruncated"]
    return fields


def _structure_datetime(value: Any, _: Any) -> datetime:
    moment = datetime.fromisoformat(rules.text(value))
    if moment.tzinfo is None:
        raise ValueError("expected a time with its offset from UTC")
    return moment


def wire_name(attribute: attrs.Attribute[Any]) -> str:
    """Return what a field of a model is called on the wire."""
    if name := attribute.metadata.get("wire"):
        return str(name)
    return camel_case(attribute.name)


def camel_case(name: str) -> str:
    """Return the wire's form of a name: ``agent_id`` is ``agentId`` there."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _make_converter(
    *, detailed: bool = False, requests: tuple[type, ...] = (), sending: bool = False
) -> OrjsonConverter:
    converter = make_converter(detailed_validation=detailed)

    def structure_model(shape: type) -> Callable[[Any, Any], Any]:
        fields: dict[str, Any] = {}
        for attribute in attrs.fields(attrs.resolve_types(shape)):
            hook: Callable[[Any, Any], Any] | None = None
            if attribute.name == "capabilities":
                hook = partial(_structure_capabilities, converter)
            elif shape in requests and _is_optional(attribute.type):
                hook = converter.get_structure_hook(get_args(attribute.type)[0])
            fields[attribute.name] = override(rename=wire_name(attribute), struct_hook=hook)
        structure_fields: Callable[[Any, Any], Any] = make_dict_structure_fn(
            shape, converter, _cattrs_forbid_extra_keys=False, **fields
        )

        def hook_of_model(value: Any, of: Any) -> Any:
            return structure_fields(_structure_object(value, of), of)

        return hook_of_model

    def unstructure_model(shape: type) -> Callable[[Any], dict[str, Any]]:
        fields: dict[str, Any] = {
            attribute.name: override(
                rename=wire_name(attribute),
                unstruct_hook=_same if attribute.type is Any else None,
                omit_if_default=True if attribute.metadata.get("absent") else None,
            )
            for attribute in attrs.fields(attrs.resolve_types(shape))
        }
        return make_dict_unstructure_fn(shape, converter, _cattrs_omit_if_default=sending, **fields)

    converter.register_structure_hook(str, _by_rule(rules.text))
    converter.register_structure_hook(bool, _strict(bool, name="a boolean"))
    converter.register_structure_hook(int, _strict(int, name="an integer"))
    converter.register_structure_hook(float, _strict(int, float, name="a number"))
    converter.register_structure_hook(datetime, _structure_datetime)
    converter.register_structure_hook_func(partial(_is_equal, model.JsonObject), _structure_object)
    for new_type, rule in (
        (rules.AgentId, rules.agent_id),
        (rules.GroupName, rules.group_name),
        (rules.Label, rules.label),
        (rules.Note, rules.note),
        (rules.Nonce, rules.nonce),
    ):
        # The models check it, too, and where that fails the detailed converter says why. What
        # thousands of agents have in common is kept once: their group, version and routes.
        take = rule if detailed else rules.text if new_type is rules.AgentId else sys.intern
        converter.register_structure_hook_func(partial(_is_equal, new_type), _by_rule(take))
    for enum in (
        model.AgentStatus,
        model.DeliveryState,
        model.CommandStatus,
        model.CommandType,
        model.Outcome,
        model.TargetLevel,
        principals.Role,
        principals.Reclaim,
        auth.TokenStatus,
    ):
        converter.register_structure_hook(enum, _structure_enum)
    converter.register_structure_hook_factory(_is_tuple, partial(_structure_tuple, converter))
    converter.register_structure_hook_factory(attrs.has, structure_model)
    converter.register_unstructure_hook_factory(attrs.has, unstructure_model)
    # Behind the general ones, to come before them: a target says its level, too.
    converter.register_structure_hook_func(
        partial(_is_equal, model.Target), partial(_structure_target, converter)
    )
    converter.register_unstructure_hook_func(_is_target, _unstructure_target)
    converter.register_unstructure_hook_factory(
        partial(_is_equal, model.ListedCommand),
        lambda shape: partial(_unstructure_listed, unstructure_model(shape)),
    )
    converter.register_unstructure_hook(datetime, timestamp)
    if sending:  # where cattrs would write them in base 85, as no reader expects
        converter.register_unstructure_hook(bytes, _refuse_bytes)
    # JSON is passed on as it came; cattrs would rebuild it piece by piece.
    converter.register_unstructure_hook_func(partial(_is_equal, model.JsonObject), _same)
    converter.register_unstructure_hook_func(_is_plain_tuple, _same)
    return converter


def _by_rule(rule: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda value, _: rule(value)


def _is_equal(expected: Any, shape: Any) -> bool:
    return bool(shape == expected)


def _is_target(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, model.Target)


def _is_tuple(shape: Any) -> bool:
    return get_origin(shape) is tuple


def _is_plain_tuple(shape: Any) -> bool:
    return _is_tuple(shape) and not attrs.has(get_args(shape)[0])


def _is_optional(shape: Any) -> bool:
    return get_origin(shape) in (Union, UnionType)


def _same(value: Any) -> Any:
    return value


def _refuse_bytes(_: bytes) -> Any:
    raise TypeError("Type is not JSON serializable: bytes")


_NAMES_OF_TARGETS: Final = {
    kind: [(attribute.name, wire_name(attribute)) for attribute in attrs.fields(kind)]
    for kind in model.TARGETS.values()
}

_fast: Final = _make_converter(requests=REQUESTS)
_detailed: Final = _make_converter(detailed=True, requests=REQUESTS)
_reading: Final = _make_converter(detailed=True)
_sending: Final = _make_converter(sending=True)
