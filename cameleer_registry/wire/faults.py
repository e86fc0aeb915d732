"""Why a value is refused: every fault, with its place on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs
from cattrs import ClassValidationError, IterableValidationError, IterableValidationNote
from cattrs.preconf.orjson import OrjsonConverter

from ..errors import Fault
from .names import wire_name

ValidationError = ClassValidationError | IterableValidationError

FAULTS_NAMED: Final = 100
_MESSAGE_LENGTH: Final = 300


def faults_of(value: Any, shape: Any, detailed: OrjsonConverter) -> list[Fault]:
    """Return every fault of a value that is refused."""
    try:
        detailed.structure(value, shape)
    except (ClassValidationError, IterableValidationError) as error:
        faults = list(_walk(error, "$"))
    except Exception as error:
        faults = [Fault("$", _message(error))]
    else:
        raise AssertionError(f"{shape} is refused fast but accepted in detail")
    return faults


def named(faults: list[Fault]) -> list[Fault]:
    """Return as many faults as are named, and whether there are more."""
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
        yield _of_a_field(error, path, _message(inner))


def _of_a_field(error: ValidationError, path: str, message: str) -> Fault:
    """Return the fault of a field whose validator has put its name in front of the message."""
    name, _, rest = message.partition(": ")
    cls = getattr(error, "cl", None)
    attribute = attrs.fields_dict(cls).get(name) if cls is not None and attrs.has(cls) else None
    if attribute is None:
        return Fault(path, message)
    return Fault(f"{path}.{wire_name(attribute)}", rest)


def _message(error: Exception) -> str:
    if isinstance(error, KeyError):
        return "required, but missing"
    message = str(error)
    return message if len(message) <= _MESSAGE_LENGTH else message[:_MESSAGE_LENGTH] + "…"
