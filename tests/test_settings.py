"""Settings: what each takes, where it comes from, and what is said of one that makes no sense."""

from __future__ import annotations

import codecs
import importlib
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import click
import pytest

from cameleer_registry.cli.main import cli
from cameleer_registry.cli.serve import serve_command
from cameleer_registry.errors import SettingsError
from cameleer_registry.setting_values import (
    HostNames,
    color,
    duration,
    duration_or_off,
    label,
    name_of_host,
    url,
    whole_number,
    yes_or_no,
)
from cameleer_registry.settings import Settings, environment_variable_of, flag_of
from cameleer_registry.sources import load

SETTINGS = attrs.fields(Settings)
NAMES = [setting.name for setting in SETTINGS]

# Three values for each kind of setting that are no default of any, as text, and as they are read.
DURATIONS = [("61", 61.0), ("1.2m", 72.0), ("77s", 77.0)]
FILES = [("/run/a", "/run/a"), ("b c", "b c"), ("~/d", "~/d")]
NUMBERS = [("1101", 1101), ("1102", 1102), ("1103", 1103)]
SAMPLES: dict[type, list[tuple[str, Any]]] = {
    float: DURATIONS,
    int: NUMBERS,
    bool: [("yes", True), ("off", False), ("1", True)],
    str: [("::1", "::1"), ("localhost", "localhost"), ("0.0.0.0", "0.0.0.0")],
    HostNames: [
        ("a.example", ("a.example",)),
        ("*.b.example, c,", ("*.b.example", "c")),
        ("10.0.0.1,[::1]", ("10.0.0.1", "[::1]")),
    ],
    type(None): [(f"https://{host}.example/x/", f"https://{host}.example/x") for host in "abc"],
}
# … and of those whose bounds leave out the above.
OWN_SAMPLES: dict[str, list[tuple[str, Any]]] = {
    "database": [("/a/b.db", "/a/b.db"), ("memory", "memory"), ("~/c d", "~/c d")],
    "metrics_groups": [("11", 11), ("12", 12), ("13", 13)],
    "cluster": [
        ("nats://a:4222", ("nats://a:4222",)),
        ("tls://a:4222, b:4223,", ("tls://a:4222", "tls://b:4223")),
        ("nats://[::1]:4222", ("nats://[::1]:4222",)),
    ],
    "node_name": [("a", "a"), ("b-1", "b-1"), ("c.example", "c.example")],
    "cluster_name": [("test", "test"), ("b-1", "b-1"), ("C", "C")],
    "cluster_credentials": [("/a.creds", "/a.creds"), ("b", "b"), ("c d", "c d")],
    "cluster_ca": [("/a.pem", "/a.pem"), ("b", "b"), ("c d", "c d")],
    "forget_dead_after": DURATIONS,
    "auth": [("Required", "required"), ("accept", "accept"), ("off", "off")],
    "keys_file": FILES,
    "admin_token_file": FILES,
    "enrol_token_file": FILES,
    "tls_cert": FILES,
    "tls_key": FILES,
    "tls_client_ca": FILES,
    "tls_client_id": [
        (f"san-uri:{prefix}/{{agentId}}", f"san-uri:{prefix}/{{agentId}}")
        for prefix in ("spiffe://a", "urn:b:", "https://c")
    ],
    "client_cert_header": [("Client-Cert", "Client-Cert"), ("X-A", "X-A"), ("b", "b")],
    "client_cert_groups": [("a-*", ("a-*",)), ("b, c", ("b", "c")), ("d", ("d",))],
    "trusted_proxies": [
        ("10.0.0.5", ("10.0.0.5",)),
        ("10.0.0.0/8,::1", ("10.0.0.0/8", "::1")),
        ("fd00::/8,", ("fd00::/8",)),
    ],
    "name": [("Production", "Production"), (" Test ", "Test"), ("Größe 1", "Größe 1")],
    "name_color": [("red", "red"), ("#0a0", "#0a0"), ("#00AAFF", "#00aaff")],
}


def samples(name: str) -> list[tuple[str, Any]]:
    return OWN_SAMPLES.get(name) or SAMPLES[type(getattr(Settings(), name))]


def sample(name: str, number: int) -> tuple[str, Any]:
    return samples(name)[number]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep whatever this machine has set out of the tests."""
    for variable in [name for name in os.environ if name.startswith("CAMELEER_")]:
        monkeypatch.delenv(variable)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "registry.toml"


def refusal(flags: dict[str, Any] | None = None, config: Path | None = None) -> str:
    """Return what is said of settings that make no sense: always one line."""
    with pytest.raises(SettingsError) as caught:
        load(flags or {}, config)
    message = str(caught.value)
    assert [message] == message.splitlines()
    return message


# Durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("2.", 2.0),
        ("90s", 90.0),
        ("1.5s", 1.5),
        ("5m", 300.0),
        ("1500ms", 1.5),
        ("2h", 7200.0),
        ("1d", 86_400.0),
        ("365d", 31_536_000.0),
        ("90 s", 90.0),
        ("  90s\t", 90.0),
        (90, 90.0),
        (1.5, 1.5),
        (0.001, 0.001),
    ],
)
def test_durations_are_seconds_or_carry_a_unit(text: Any, seconds: float) -> None:
    """A number is seconds; ms, s, m, h and d may follow."""
    assert seconds == pytest.approx(duration(text), rel=1e-12)
    assert isinstance(duration(text), float)


@pytest.mark.parametrize(
    "value",
    [
        *["", " ", "s", "m", "soon", "90x", "90 sec", "5M", "5min", "1m30s", "1e3", "1_0", "1,5"],
        *[
            "nan",
            "inf",
            "infinity",
            "-inf",
            "NaN",
            "-1",
            "-1s",
            "+1",
            "0",
            "0s",
            "0.0",
            "--5",
            "0.0009",
            "0.5ms",
        ],
        *[0, -1, 0.0, -0.5, math.nan, math.inf, -math.inf, "366d", 31_536_001, "9" * 400],
        *[None, True, False, [], [90], {}, b"90"],
    ],
    ids=lambda value: repr(value)[:20],
)
def test_no_other_duration_is_taken(value: Any) -> None:
    """Above 0 and up to a year; a word, a list or a boolean is none."""
    with pytest.raises(ValueError, match=r"^expected (seconds|a millisecond)"):
        duration(value)


@pytest.mark.parametrize("number", [10**400, -(10**400)], ids=["large", "small"])
def test_a_number_too_large_for_a_float_is_refused_like_any_other(number: int) -> None:
    """TOML has integers of any length."""
    with pytest.raises(ValueError, match="to 365d"):
        duration(number)


# Other kinds


@pytest.mark.parametrize(("value", "number"), [(5, 5), ("5", 5), (" 8081 ", 8081), ("-1", -1)])
def test_whole_numbers(value: Any, number: int) -> None:
    """As they are, or as their text."""
    assert number == whole_number(value)


@pytest.mark.parametrize(
    "value", [True, 1.0, 5.5, "5.0", "", "1e3", "0x10", "1_000", "٣", None, []]
)
def test_no_other_whole_number_is_taken(value: Any) -> None:
    """Neither a float that happens to be whole."""
    with pytest.raises(ValueError, match="expected a whole number, got"):
        whole_number(value)


@pytest.mark.parametrize("word", ["true", "yes", "on", "1", "TRUE", " Yes "])
def test_words_for_yes(word: str) -> None:
    """In any case; and the boolean itself."""
    assert yes_or_no(word) is True
    assert yes_or_no(True) is True


@pytest.mark.parametrize("word", ["false", "no", "off", "0", "False", " OFF "])
def test_words_for_no(word: str) -> None:
    """In any case; and the boolean itself."""
    assert yes_or_no(word) is False
    assert yes_or_no(False) is False


@pytest.mark.parametrize("value", ["", "y", "2", "truthy", 0, 1, None, []])
def test_no_other_word_is_yes_or_no(value: Any) -> None:
    """Nothing is false merely for being empty."""
    with pytest.raises(ValueError, match="expected true or false, got"):
        yes_or_no(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("https://registry.example", "https://registry.example"),
        ("https://registry.example/", "https://registry.example"),
        ("http://10.0.0.1:8081/a/b//", "http://10.0.0.1:8081/a/b"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_addresses_lose_the_slash_at_their_end(value: Any, expected: str | None) -> None:
    """So that paths can be appended; empty is none."""
    assert expected == url(value)


@pytest.mark.parametrize(
    "value",
    [
        *["registry.example", "ftp://a", "https://", "//a", "/a", "https://a:0", "https://a:99999"],
        *["https://a?q", "https://a#f", "https://a b", "https://a\n", "https://[::1", "https://é"],
        *[3, True, [], b"https://a"],
    ],
)
def test_no_other_address_is_taken(value: Any) -> None:
    """Absolute, http or https, and nothing after the path."""
    with pytest.raises(ValueError, match="expected an address such as https://"):
        url(value)


@pytest.mark.parametrize("value", ["off", "OFF", "none", "", None, False])
def test_a_duration_that_may_be_off(value: Any) -> None:
    """In words, or in a file as false."""
    assert duration_or_off(value) is None
    assert 86_400.0 == duration_or_off("1d")


@pytest.mark.parametrize("value", [0, "0", True, "no", "never", [], -1])
def test_what_is_neither_a_duration_nor_off(value: Any) -> None:
    """0 would be to forget at once, and most likely means the opposite."""
    with pytest.raises(ValueError, match=r"expected .*; off switches it off$"):
        duration_or_off(value)


@pytest.mark.parametrize("value", [" ", "a\nb", "\x1b[2J", "x" * 65, 3, []])
def test_no_such_label(value: Any) -> None:
    """It is shown in titles."""
    assert label("") is None
    assert "x" * 64 == label("x" * 64)
    with pytest.raises(ValueError, match="expected 1 to 64 printable characters"):
        label(value)


@pytest.mark.parametrize("value", ["#12345", "#ggg", "url(x)", "red;", "crimson", 3, " "])
def test_no_such_color(value: Any) -> None:
    """It becomes part of a style sheet."""
    assert color("") is None
    assert "gray" == color(" Gray ")
    with pytest.raises(ValueError, match="expected #rrggbb or one of red, orange"):
        color(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("[::1]", "::1"), ("[fe80::1%eth0]", "fe80::1%eth0"), ("unix:/run/x y", "unix:/run/x y")],
)
def test_hosts(value: str, expected: str) -> None:
    """An IPv6 address as in a URL, and a socket in the file system."""
    assert expected == name_of_host(value)


@pytest.mark.parametrize("value", ["unix:", "unix:" + "x" * 108, "unix:a\0b"])
def test_no_such_socket(value: str) -> None:
    """The kernel has room for 107 bytes, and abstract sockets have no permissions."""
    name_of_host("unix:" + "x" * 107)
    with pytest.raises(ValueError, match="expected unix: and a path of at most 107 bytes"):
        name_of_host(value)


@pytest.mark.parametrize("value", ["", " ", "a b", "a\n", None, 3, "é"])
def test_no_such_host(value: Any) -> None:
    """An empty one would listen on every interface."""
    assert name_of_host("::") == "::"
    with pytest.raises(ValueError, match="expected a host name"):
        name_of_host(value)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("port", 0, 65535),
        ("max_body", 1, 2**30),
        ("max_agents", 0, 10**15),
        ("max_pending_per_agent", 1, 10**15),
        ("command_history", 0, 10**15),
        ("max_stream_backlog", 1024, 2**30),
        ("metrics_groups", 0, 1000),
    ],
)
def test_numbers_have_bounds_of_their_own(name: str, least: int, most: int) -> None:
    """Both belong to what is allowed; the message names them."""
    for number in (least, most):
        assert number == getattr(load({name: str(number)}), name)
    for number in (least - 1, most + 1):
        assert f"{name}: expected {least} to {most}, got {number}" == refusal({name: number})


# Where they come from


def toml(config: Path, name: str, value: Any) -> Path:
    if isinstance(value, tuple):
        value = list(value)
    text = f'"{value}"' if isinstance(value, str) else str(value).lower()
    config.write_text(f"{name} = {text}\n")
    return config


@pytest.mark.parametrize("name", NAMES)
def test_flag_before_environment_before_file_before_default(
    name: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every setting can be given in each of these ways, as text."""
    default = next(setting.default for setting in SETTINGS if setting.name == name)
    (flag, flag_value), (variable, variable_value), (key, key_value) = samples(name)
    assert default == getattr(load({}), name)
    toml(config, name, key)
    assert key_value == getattr(load({}, config), name)
    monkeypatch.setenv(environment_variable_of(name), variable)
    assert variable_value == getattr(load({}, config), name)
    assert variable_value == getattr(load({}), name)
    assert flag_value == getattr(load({name: flag}, config), name)
    assert default == getattr(Settings(), name)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_may_have_values_of_tomls_own_types(name: str, config: Path) -> None:
    """A number or a boolean need not be quoted; nor in Python."""
    _, value = sample(name, 0)
    assert value == getattr(load({}, toml(config, name, value)), name)
    assert value == getattr(Settings(**{name: value}), name)


@pytest.mark.parametrize("name", NAMES)
def test_a_refusal_names_the_setting_wherever_it_came_from(
    name: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one line, also where the value has several."""
    bad = "no\nsense"
    assert refusal({name: bad}).startswith(f"{name}: expected ")
    config.write_text(f"{name} = [1]\n")
    assert refusal(config=config).startswith(f"{name}: expected ")
    monkeypatch.setenv(environment_variable_of(name), bad)
    assert refusal().startswith(f"{name}: expected ")
    with pytest.raises(SettingsError, match=f"^{name}: expected "):
        Settings(**dict[str, Any]({name: bad}))


def test_names_of_flags_and_variables() -> None:
    """Both follow from the setting's name."""
    assert flag_of("stale_after") == "--stale-after"
    assert environment_variable_of("stale_after") == "CAMELEER_STALE_AFTER"


Remarks = list[tuple[str, Mapping[str, str]]]


def remarks(config: Path | None = None) -> Remarks:
    """Return what is remarked when settings are gathered."""
    found: Remarks = []
    load({}, config, remark=lambda *remark: found.append(remark))
    return found


def test_other_variables_prevent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that begins alike: it is said, because it may have been meant for us."""
    monkeypatch.setenv("CAMELEER_AGENT_ID", "a")
    monkeypatch.setenv("PORT", "1")
    assert Settings() == load({})
    expected = "an environment variable is not a setting, and is ignored"
    assert [(expected, {"variable": "CAMELEER_AGENT_ID"})] == remarks()


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("CAMELEER_PROT", "CAMELEER_PORT"),
        ("CAMELEER_STALEAFTER", "CAMELEER_STALE_AFTER"),
        ("CAMELEER_LOGLEVEL", "CAMELEER_LOG_LEVEL"),
        ("cameleer_port", "CAMELEER_PORT"),
        ("CAMELEER_TOKEN_FIEL", "CAMELEER_TOKEN_FILE"),
    ],
)
def test_a_variable_that_is_misspelt_is_said(
    variable: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the one that was meant."""
    monkeypatch.setenv(variable, "1")
    [(_, details)] = remarks()
    assert {"variable": variable, "did_you_mean": meant} == details


def test_options_of_the_command_line_are_known_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said of them, though they are no settings."""
    for option in [*serve_command.params, *cli.params]:
        if option.envvar is not None and option.envvar not in NAMES:
            monkeypatch.setenv(str(option.envvar), "x")
    assert "CAMELEER_LOG_LEVEL" in os.environ
    assert "CAMELEER_URL" in os.environ
    assert [] == remarks()


# A Service of that name, as Kubernetes 1.31 has it in each pod of the namespace.
OF_KUBERNETES = {
    "CAMELEER_SERVICE_HOST": "10.96.0.12",
    "CAMELEER_SERVICE_PORT": "8081",
    "CAMELEER_SERVICE_PORT_HTTP": "8081",
    "CAMELEER_PORT": "tcp://10.96.0.12:8081",
    "CAMELEER_PORT_8081_TCP": "tcp://10.96.0.12:8081",
    "CAMELEER_PORT_8081_TCP_PROTO": "tcp",
    "CAMELEER_PORT_8081_TCP_PORT": "8081",
    "CAMELEER_PORT_8081_TCP_ADDR": "10.96.0.12",
}


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
def test_a_service_called_cameleer(
    protocol: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its variables are passed over, also one that is called as a setting's; it is said once."""
    config.write_text("port = 9000\n")
    for variable, value in OF_KUBERNETES.items():
        monkeypatch.setenv(variable, value.replace("tcp", protocol))
    assert 9000 == load({}, config).port
    assert 8081 == load({}).port
    [(sentence, details)] = remarks(config)
    assert "that of a Service called cameleer" in sentence
    assert "CAMELEER_PORT" == details["variable"]


def test_a_service_called_cameleer_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variables have a longer prefix, and nothing is said of them."""
    for variable, value in OF_KUBERNETES.items():
        monkeypatch.setenv(variable.replace("CAMELEER_", "CAMELEER_REGISTRY_"), value)
    assert [] == remarks()
    assert Settings() == load({})


def test_a_linked_container_called_cameleer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker adds a variable that is called as another setting's; without a link it is one."""
    monkeypatch.setenv("CAMELEER_NAME", "/web/cameleer")
    assert "/web/cameleer" == load({}).name
    monkeypatch.setenv("CAMELEER_PORT", "tcp://172.17.0.5:8081")
    assert load({}).name is None
    monkeypatch.setenv("CAMELEER_NAME", "Production")
    assert "Production" == load({}).name


def test_a_port_that_is_no_link_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What looks like nobody else's is meant for us."""
    monkeypatch.setenv("CAMELEER_PORT", "http://10.96.0.12:8081")
    assert refusal().startswith("port: expected a whole number")


def test_a_file_may_begin_with_a_byte_order_mark(config: Path) -> None:
    """As editors on Windows write it."""
    config.write_bytes(codecs.BOM_UTF8 + b"port = 9000\r\nstale_after = 95\r\n")
    assert Settings(port=9000, stale_after=95) == load({}, config)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_variable_says_nothing(
    config: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Compose sets one where it has nothing to put into it: the file counts, or the default."""
    monkeypatch.setenv(environment_variable_of(name), "")
    assert Settings() == load({})
    config.write_text("public_url = 'https://registry.example'\nport = 9000\n")
    assert Settings(public_url="https://registry.example", port=9000) == load({}, config)


def test_an_empty_flag_says_something(config: Path) -> None:
    """It is no public_url, and refused where a value is needed."""
    toml(config, "public_url", "https://registry.example")
    assert load({"public_url": ""}, config).public_url is None
    assert refusal({"port": ""}) == "port: expected a whole number, got ''"


# What makes no sense


def test_stale_after_is_no_shorter_than_the_heartbeat_interval() -> None:
    """Equal is allowed; the message gives both."""
    assert load({"stale_after": "30s"}).stale_after == 30.0
    message = refusal({"stale_after": "20", "heartbeat_interval": "0.5m"})
    assert message.startswith("stale_after (20 s) is below heartbeat_interval (30 s): ")


def test_all_faults_are_told_at_once(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever they come from, on one line."""
    toml(config, "stale_after", "soon")
    monkeypatch.setenv("CAMELEER_MAX_BODY", "0")
    expected = [
        "port: expected 0 to 65535, got -1",
        "stale_after: expected seconds, or a duration such as 90s or 5m, got 'soon'",
        "max_body: expected 1 to 1073741824, got 0",
    ]
    assert expected == refusal({"port": "-1"}, config).split("; ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"prot = 1\nport = 2\n", "prot is no setting (did you mean port?)"),
        (b"stale-aftr = 1\n", "stale-aftr is no setting (did you mean stale_after?)"),
        (b"colour = 1\n", "registry.toml: colour is no setting"),
        (b"[server]\nport = 2\n", "remove the line [server]"),
        (
            b"server.port = 2\n",
            "server is a table, but settings stand at the top level of the file",
        ),
        (b"[prot]\na = 1\n", "prot is no setting (did you mean port?)"),
        (b"prot = 1\nhots = 2\n", "prot is no setting (did you mean port?); hots is no setting"),
        (b"log_level = 'debug'\n", "use --log-level or CAMELEER_LOG_LEVEL"),
        (b"stale-after = 95\nstale_after = 96\n", "stale_after is set twice"),
        (b'"a\\nb" = 1\n', "'a\\nb' is no setting"),
        (b'"" = 1\n', "'' is no setting"),
        (b"port = \n", "line 1, column 8"),
        (b"port = 1\nport = 2\n", "line 2"),
        (b'host = """', "document"),
        (b'host = "\xff"\n', "0xff"),
        ("port = 1\n".encode("utf-16"), "encoded in UTF-16; save it as UTF-8"),
        (codecs.BOM_UTF16_BE + "port = 1\n".encode("utf-16-be"), "encoded in UTF-16"),
        (codecs.BOM_UTF8 * 2 + b"port = 1\n", "line 1"),
        (b"\x00", "line 1"),
        (b"stale_after = 1" + b"0" * 400, "stale_after"),
        (b"stale_after = 1" + b"0" * 5000, "digits"),
    ],
    ids=lambda value: ascii(value[:14]),
)
def test_a_file_that_cannot_be_used(config: Path, content: bytes, words: str) -> None:
    """An unknown key, or what is no TOML: the message says what, on one line."""
    config.write_bytes(content)
    assert words in refusal(config=config)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """It is missing, or a directory: the message names it."""
    assert f"cannot read {tmp_path / 'x'}: No such file or directory" == refusal(
        config=tmp_path / "x"
    )
    assert f"cannot read {tmp_path}: Is a directory" == refusal(config=tmp_path)
    assert "No such file" in refusal(config=tmp_path / "x\ny")


def test_a_negative_number_is_a_value_on_the_command_line() -> None:
    """And is refused as such, on one line: it is not taken for an option."""
    context = serve_command.make_context("serve", ["--port", "-1"])
    assert context.params["port"] == "-1"
    assert refusal({"port": "-1"}) == "port: expected 0 to 65535, got -1"


SWITCHES = [setting.name for setting in SETTINGS if setting.default is False]


@pytest.mark.parametrize("value", ["a:4222", "http://a:1", "nats://", "nats://a:0", "nats://ä"])
def test_addresses_of_nats_servers_are_looked_at(value: str) -> None:
    """And named, where one cannot be."""
    assert "cluster: expected addresses such as nats://a:4222,b:4222" in refusal({"cluster": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("node_name", "a b"),
        ("node_name", "-a"),
        ("cluster_name", "a.b"),
        ("cluster_name", "x" * 33),
        ("cluster_name", "*"),
    ],
)
def test_names_in_a_cluster_are_looked_at(name: str, value: str) -> None:
    """They become parts of names elsewhere."""
    assert f"{name}: expected 1 to" in refusal({name: value})


def test_who_leaves_a_cluster_does_not_take_part_in_one() -> None:
    """Either is meant; and a database."""
    assert "leave_cluster" in refusal({"cluster": "nats://a", "leave_cluster": True})
    assert "leave_cluster" in refusal({"database": "memory", "leave_cluster": True})


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SWITCHES])
def test_a_flag_without_its_value_is_refused(name: str) -> None:
    """It is not passed over in silence."""
    with pytest.raises(click.UsageError, match=f"'{flag_of(name)}' requires an argument"):
        serve_command.make_context("serve", [flag_of(name)])


def test_settings_made_in_python_are_read_like_all_others() -> None:
    """Text is understood there, too; positions and new names are not, and nothing changes later."""
    settings = Settings(stale_after="2m", port="0", public_url="http://a/")  # type: ignore[arg-type]
    assert settings == Settings(stale_after=120, port=0, public_url="http://a")
    with pytest.raises(TypeError):
        Settings("localhost")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Settings(nope=1)  # type: ignore[call-arg]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        settings.port = 1  # type: ignore[misc]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_says_what_it_is_for(setting: attrs.Attribute[Any]) -> None:
    """In a sentence at least, and its default is one of its own values."""
    assert setting.metadata["help"].endswith(".")
    assert setting.default == setting.metadata["read"](setting.default)


def test_what_is_not_needed_to_read_settings_is_not_imported() -> None:
    """pydantic is installed with what tests a server, and may be with what runs one."""
    importlib.import_module("pydantic")
    code = (
        "import sys; from cameleer_registry.sources import load;"
        "load({'port': '1'}); assert 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
