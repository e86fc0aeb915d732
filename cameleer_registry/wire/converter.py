"""The strict converter: nothing is coerced, and nothing is changed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from functools import partial
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

import attrs
from cattrs import IterableValidationError, IterableValidationNote
from cattrs.fns import identity
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.preconf.orjson import OrjsonConverter
from cattrs.preconf.orjson import make_converter as make_orjson_converter

from .. import interning as sharing
from ..core import model, rules
from ..security import model as auth
from ..security import principals
from .faults import FAULTS_NAMED
from .names import wire_name
from .times import optional_timestamp, structure_datetime, timestamp


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
        return tuple(structure_each(converter, _structure_array(value, of), element))

    return hook


def structure_each(converter: OrjsonConverter, values: list[Any], shape: Any) -> list[Any]:
    """Structure the elements of an array, and give up if there are enough faults to name.

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
    """Accept an object, or an array of names, the value of each of which is then true."""
    match value:
        case dict():
            return value if converter.detailed_validation else sharing.json_object(value)
        case list() if converter.detailed_validation:
            return dict.fromkeys(structure_each(converter, value, rules.Label), True)
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


def make_converter(
    *, detailed: bool = False, requests: tuple[type, ...] = (), sending: bool = False
) -> OrjsonConverter:
    """Return a converter; a detailed one finds every fault, and takes longer.

    In ``requests`` what is optional may be absent but not null. One that is for ``sending`` leaves
    out what has its default.
    """
    converter = make_orjson_converter(detailed_validation=detailed)

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
                unstruct_hook=identity if attribute.type is Any else None,
                omit_if_default=True if attribute.metadata.get("absent") else None,
            )
            for attribute in attrs.fields(attrs.resolve_types(shape))
        }
        return make_dict_unstructure_fn(shape, converter, _cattrs_omit_if_default=sending, **fields)

    converter.register_structure_hook(str, _by_rule(rules.text))
    converter.register_structure_hook(bool, _strict(bool, name="a boolean"))
    converter.register_structure_hook(int, _strict(int, name="an integer"))
    converter.register_structure_hook(float, _strict(int, float, name="a number"))
    converter.register_structure_hook(datetime, structure_datetime)
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
    converter.register_unstructure_hook_func(
        partial(_is_equal, datetime | None), optional_timestamp
    )
    # What is passed on as it is costs no call in what cattrs generates.
    converter.register_unstructure_hook_func(_is_optional_scalar, identity)
    if sending:  # where cattrs would write them in base 85, as no reader expects
        converter.register_unstructure_hook(bytes, _refuse_bytes)
    # JSON is passed on as it came; cattrs would rebuild it piece by piece.
    converter.register_unstructure_hook_func(partial(_is_equal, model.JsonObject), identity)
    converter.register_unstructure_hook_func(_is_plain_tuple, identity)
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


def _is_optional_scalar(shape: Any) -> bool:
    """Tell whether a field holds what JSON takes as it is, or nothing."""
    return _is_optional(shape) and all(kind in _SCALARS for kind in get_args(shape))


_SCALARS: Final = (str, int, bool, type(None))


def _refuse_bytes(_: bytes) -> Any:
    raise TypeError("Type is not JSON serializable: bytes")


_NAMES_OF_TARGETS: Final = {
    kind: [(attribute.name, wire_name(attribute)) for attribute in attrs.fields(kind)]
    for kind in model.TARGETS.values()
}
