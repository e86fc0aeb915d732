"""Where settings come from: flags, the environment and a TOML file, in that precedence.

A misspelt setting is reported with the name that was probably meant. A variable of the environment
may belong to something else: those that Kubernetes and Docker make are ignored.
"""

from __future__ import annotations

import codecs
import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from .errors import SettingsError
from .settings import ENV_PREFIX, Settings, environment_variable_of

NAMES: Final = tuple(setting.name for setting in attrs.fields(Settings))

OPTIONS: Final = ("config", "log_format", "log_level")
"""Options of the command line that are no settings; each has a flag and a variable."""

VARIABLES: Final = (*OPTIONS, "url", "cacert", "token", "token_file")
"""What the command line reads from the environment besides settings, named as settings are."""

Remark = Callable[[str, Mapping[str, str]], None]
"""Takes a sentence about what was found, and its details by name."""

# A Service called cameleer (Kubernetes), or a container linked under that name (Docker), has
# CAMELEER_PORT=tcp://10.96.0.12:8081 and a dozen more set in each process that may use it. So has
# one called cameleer-registry, with a longer prefix.
_LINKED: Final = re.compile(r"(tcp|udp|sctp)://\S*", re.IGNORECASE)
_OF_LINKS: Final = re.compile(
    r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)

_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _pass_over(_sentence: str, _details: Mapping[str, str]) -> None:
    """Take no note of a remark."""


def load(
    flags: Mapping[str, Any], config: Path | None = None, *, remark: Remark = _pass_over
) -> Settings:
    """Gather the settings from flags, the environment and a TOML file, in that precedence.

    ``flags`` contains the values from the command line by the names of the settings. ``remark`` is
    called with whatever is odd about the environment, but prevents nothing. Raises SettingsError
    with one line that names the setting and the fault.
    """
    of_file = {} if config is None else _read(config)
    return Settings(**{**of_file, **from_environment(os.environ, remark), **flags})


def from_environment(environment: Mapping[str, str], remark: Remark) -> dict[str, str]:
    """Return the settings that stand in an environment, and remark on what seems to be meant so.

    An empty variable is none: Compose sets ``CAMELEER_PORT: ${PORT:-}`` so.
    """
    known = {environment_variable_of(name): name for name in NAMES}
    others = {environment_variable_of(name) for name in VARIABLES}
    linked = _is_link(environment.get(f"{ENV_PREFIX}PORT", ""))
    found = {}
    for variable, value in environment.items():
        if variable in known:
            if not value:
                continue
            if linked and _is_of_link(known[variable], value):
                remark(
                    "an environment variable is that of a Service called cameleer, not a setting",
                    {"variable": variable, "value": value},
                )
            else:
                found[known[variable]] = value
        elif (
            variable.upper().startswith(ENV_PREFIX)
            and variable not in others
            and not _OF_LINKS.fullmatch(variable.removeprefix(ENV_PREFIX))
            and not (variable.endswith("_PORT") and _is_link(value))
        ):
            rest = variable.upper().removeprefix(ENV_PREFIX).lower()
            meant = _nearest(rest, (*NAMES, *VARIABLES))
            details = {"variable": variable}
            if meant:
                details["did_you_mean"] = environment_variable_of(meant)
            remark("an environment variable is not a setting, and is ignored", details)
    return found


def _is_link(value: str) -> bool:
    return _LINKED.fullmatch(value) is not None


def _is_of_link(name: str, value: str) -> bool:
    """Tell whether a variable that is called as a setting's was made by a link, by its value."""
    match name:
        case "port":
            return _is_link(value)
        case "name":  # Docker: the names of both containers, /web/cameleer
            return bool(re.fullmatch(r"(/[\w.-]+){2}", value))
        case _:
            return False


def _read(config: Path) -> dict[str, Any]:
    """Return the settings that stand in a file; raises SettingsError."""
    try:
        raw = config.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise SettingsError(_on_one_line(f"cannot read {config}: {reason}")) from None
    try:
        if raw.startswith(_UTF_16):
            raise ValueError("it is encoded in UTF-16; save it as UTF-8, which TOML requires")
        # Editors on Windows begin a file with a byte order mark, which is no part of the text.
        document = tomllib.loads(raw.decode("utf-8-sig"))
        return _settings_of(document)
    except (ValueError, RecursionError) as error:
        raise SettingsError(_on_one_line(f"{config}: {error}")) from None


def _settings_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in a document by their names; raises ValueError for all other keys."""
    found: dict[str, Any] = {}
    faults = []
    for key, value in document.items():
        name = key.replace("-", "_")
        if name in found:
            faults.append(f"{name} is set twice")
        elif name in NAMES:
            found[name] = value
        elif name in OPTIONS:
            flag, variable = "--" + name.replace("_", "-"), environment_variable_of(name)
            faults.append(f"{name} is an option, not a setting: use {flag} or {variable}")
        elif isinstance(value, dict) and not _nearest(name, NAMES):
            faults.append(
                f"{_shown(key)} is a table, but settings stand at the top level of the file: "
                f"remove the line [{_shown(key)}]"
            )
        else:
            meant = _nearest(name, NAMES)
            faults.append(
                f"{_shown(key)} is no setting" + (f" (did you mean {meant}?)" if meant else "")
            )
    if faults:
        raise ValueError("; ".join(faults))
    return found


def _nearest(name: str, known: Iterable[str]) -> str | None:
    """Return which of these was probably meant; None if none is similar."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.75)), None)


def _shown(key: str) -> str:
    return key if key.isprintable() and key else repr(key)


def _on_one_line(message: str) -> str:
    return " ".join(message.splitlines())
