"""What options take: a duration, a number, a key, a JSON object."""

from __future__ import annotations

import codecs
import math
import sys
from pathlib import Path
from typing import Any

import click

from .. import wire
from ..core import rules
from ..core.model import JsonObject
from ..errors import RegistryError
from ..setting_values import duration


class Duration(click.ParamType[float]):
    """Seconds, or 90s, 5m: as in the settings."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds."""
        try:
            return duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Number(click.FloatRange):
    """A number within bounds, outside of which is what is no number."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class Key(click.ParamType[str]):
    """A key that tells a repeated request from another one."""

    name = "key"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the key."""
        try:
            return rules.idempotency_key(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Payload(click.ParamType[JsonObject]):
    """A JSON object, read as strictly as the server will; ``@file``, or ``-`` for stdin."""

    name = "payload"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> JsonObject:
        """Return the object."""
        where = ""
        try:
            if value == "-":
                where, raw = "standard input: ", sys.stdin.buffer.read()
            elif value.startswith("@"):
                where, raw = f"{value[1:]}: ", Path(value[1:]).read_bytes()
            else:
                raw = value.encode("utf-8", "surrogateescape")
            # Editors and shells on Windows write it before a text; JSON has none (RFC 8259, 8.1).
            raw = raw.removeprefix(codecs.BOM_UTF8)
            if not raw.strip():
                self.fail(f"{where}expected an object, got nothing", param, ctx)
            return wire.decode_object(raw)
        except RegistryError as error:
            self.fail(f"{where}{error}", param, ctx)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the file's name
            self.fail(f"cannot read {value[1:]}: {_system(error)}", param, ctx)


def _system(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
