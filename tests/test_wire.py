"""The JSON boundary: what is let in, what is refused with which words, and what goes out."""

from __future__ import annotations

import json
import re
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from attrs import evolve
from cattrs import IterableValidationError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cameleer_registry import wire
from cameleer_registry.core.model import (
    Ack,
    Agent,
    AgentConfig,
    AgentDelivery,
    AgentStatus,
    Command,
    CommandEvent,
    CommandStatus,
    CommandType,
    Delivery,
    DeliveryState,
    GroupSummary,
    Order,
    Outcome,
    Registration,
    Target,
    Welcome,
)
from cameleer_registry.errors import Fault, InvalidRequest, MalformedJson, RegistryError
from cameleer_registry.wire import converter, parsing
from cameleer_registry.wire.times import timestamp

AT = datetime(2026, 11, 23, 8, 15, 30, 123000, tzinfo=UTC)
AT_TEXT = "2026-11-23T08:15:30.123Z"
MINIMAL: dict[str, Any] = {"agentId": "a", "group": "g"}
BIG = 2**64


def faults(body: Any, shape: type[Any] = Registration) -> dict[str, str]:
    """Return what is said of a refused body, by path; a body of bytes is taken as it is."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(InvalidRequest) as caught:
        wire.decode(raw, shape)
    found = {fault.path: fault.message for fault in caught.value.errors}
    assert len(found) == len(caught.value.errors)
    return found


def registration(**parts: Any) -> Registration:
    """Return a registration made in Python, of plain strings."""
    return Registration(**parts)


def malformed(raw: bytes) -> str:
    with pytest.raises(MalformedJson) as caught:
        wire.decode(raw, Registration)
    return caught.value.detail


# What is let in


def test_a_registration_needs_no_more_than_its_id_and_group() -> None:
    """Everything else has a default."""
    expected = registration(agent_id="a", group="g")
    assert expected == wire.decode(b'{"agentId":"a","group":"g"}', Registration)
    assert expected.route_ids == ()
    assert expected.capabilities == {}
    assert expected.name is None
    assert expected.version is None
    assert expected.instance_id is None


def test_defaults_of_orders_and_acks() -> None:
    """An order has an empty payload; an ack is a success without words."""
    assert Order(type=CommandType.REPLAY) == wire.decode(b'{"type":"replay"}', Order)
    assert wire.decode(b'{"type":"replay"}', Order).payload == {}
    assert Ack(status=Outcome.SUCCESS, message=None, data=None) == wire.decode(b"{}", Ack)


def test_every_field_is_read_by_its_name_on_the_wire() -> None:
    """The names are camelCase there; snake_case is an unknown field like any other."""
    parts = {"name": "n", "version": "", "instanceId": "i", "routeIds": ["r", "s"]}
    body = {**MINIMAL, **parts, "agent_id": 7, "route_ids": 7}
    expected = registration(
        agent_id="a",
        group="g",
        name="n",
        version="",
        instance_id="i",
        route_ids=("r", "s"),
    )
    assert expected == wire.decode(json.dumps(body).encode(), Registration)


@pytest.mark.parametrize("shape", wire.REQUESTS)
def test_unknown_fields_are_ignored(shape: type[Any]) -> None:
    """At the top, whatever they hold."""
    known = {**MINIMAL, "type": "replay", "role": "viewer"} if shape is not Ack else {}
    more = {**known, "new": [None, {"a": 1}], "": 0, "__class__": "x", "agent-id": None}
    one, other = (wire.decode(json.dumps(body).encode(), shape) for body in (known, more))
    assert one == other


@pytest.mark.parametrize(
    ("sent", "capabilities"),
    [
        ({}, {}),
        ([], {}),
        ({"a": {"b": [1, None]}, "": False}, {"a": {"b": [1, None]}, "": False}),
        (["a", "b"], {"a": True, "b": True}),
        (["a", "a"], {"a": True}),
    ],
)
def test_capabilities_are_an_object_or_a_list_of_names(
    sent: Any, capabilities: dict[str, Any]
) -> None:
    """Each name in a list stands for true."""
    raw = json.dumps({**MINIMAL, "capabilities": sent}).encode()
    assert capabilities == wire.decode(raw, Registration).capabilities


# What is refused: faults, every one with its path

NO_STRING = [None, True, False, 0, 3.9, [], ["a"], {}, {"a": "b"}]


def kind(value: Any) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return {type(None): "null", list: "an array", dict: "an object", **names}[type(value)]


@pytest.mark.parametrize("value", NO_STRING, ids=repr)
@pytest.mark.parametrize("name", ["agentId", "group", "name", "version", "instanceId"])
def test_no_value_is_turned_into_a_string(name: str, value: Any) -> None:
    """Nor does null stand for a field that was left out."""
    expected = {f"$.{name}": f"expected a string, got {kind(value)}"}
    assert expected == faults({**MINIMAL, name: value})
    if name == "name":
        assert {"$.message": expected["$.name"]} == faults({"message": value}, Ack)


@pytest.mark.parametrize("value", NO_STRING, ids=repr)
def test_no_value_is_turned_into_the_name_of_a_route(value: Any) -> None:
    """The index is that of the array."""
    expected = {"$.routeIds[2]": f"expected a string, got {kind(value)}"}
    assert expected == faults({**MINIMAL, "routeIds": ["a", "b", value, "c"]})
    capabilities = {"$.capabilities[1]": expected["$.routeIds[2]"]}
    assert capabilities == faults({**MINIMAL, "capabilities": ["a", value]})


@pytest.mark.parametrize("value", [None, True, 3, 3.9, "", "abc", {}, {"0": "a"}], ids=repr)
def test_nothing_but_an_array_is_a_list_of_routes(value: Any) -> None:
    """A string is not taken apart into its letters, an object not into its keys."""
    expected = {"$.routeIds": f"expected an array, got {kind(value)}"}
    assert expected == faults({**MINIMAL, "routeIds": value})


@pytest.mark.parametrize("value", [None, True, 3, 3.9, "", "{}", [], [["a", 1]]], ids=repr)
def test_nothing_but_an_object_is_a_body_or_a_payload(value: Any) -> None:
    """Neither an array of pairs nor null."""
    expected = f"expected an object, got {kind(value)}"
    assert {"$.payload": expected} == faults({"type": "replay", "payload": value}, Order)
    for shape in wire.REQUESTS:
        assert {"$": expected} == faults(value, shape)
    with pytest.raises(InvalidRequest, match=re.escape(f"$: {expected}")):
        wire.decode_object(json.dumps(value).encode())


@pytest.mark.parametrize("value", [None, True, 3, "deep"], ids=repr)
def test_capabilities_are_nothing_else(value: Any) -> None:
    """Both of the forms are named."""
    expected = f"expected an object or an array of names, got {kind(value)}"
    assert {"$.capabilities": expected} == faults({**MINIMAL, "capabilities": value})


@pytest.mark.parametrize(
    "value", [None, True, 3.9, [], ["replay"], {}, "", "REPLAY", "CONFIG_UPDATE", " replay"]
)
def test_words_are_taken_exactly(value: Any) -> None:
    """Neither another case nor the name in Python; the choices are listed."""
    shown = repr(value) if isinstance(value, str) else kind(value)
    types = f"expected one of 'config-update', 'deep-trace', 'replay', got {shown}"
    assert {"$.type": types} == faults({"type": value}, Order)
    outcomes = f"expected one of 'SUCCESS', 'FAILURE', got {shown}"
    assert {"$.status": outcomes} == faults({"status": value}, Ack)


def test_every_fault_is_named_with_its_path() -> None:
    """Not only the first, and in the words of the wire."""
    body = {
        "group": "-",
        "name": "",
        "version": "a\tb",
        "routeIds": ["ok", None, "x" * 257],
        "capabilities": ["ok", ""],
        "instanceId": 1,
    }
    expected = {
        "$.agentId": "required, but missing",
        "$.group": "expected letters, digits and . _ : @ - only, beginning with a letter or digit",
        "$.name": "expected at least 1 character",
        "$.version": "control characters are not allowed (U+0009 at 1)",
        "$.routeIds[1]": "expected a string, got null",
        "$.routeIds[2]": "expected at most 256 characters, got 257",
        "$.capabilities[1]": "expected at least 1 character",
        "$.instanceId": "expected a string, got a number",
    }
    assert expected == faults(body)


def test_ten_thousand_faults_make_a_short_answer() -> None:
    """A hundred are named, and that there are others."""
    raw = json.dumps({**MINIMAL, "routeIds": [None] * 10_000}).encode()
    with pytest.raises(InvalidRequest) as caught:
        wire.decode(raw, Registration)
    assert Fault("$.routeIds[99]", "expected a string, got null") == caught.value.errors[99]
    assert (Fault("$", "… and more faults"),) == caught.value.errors[100:]


def test_no_more_faults_are_looked_for_than_are_named() -> None:
    """A megabyte of them would hold the loop for seconds, and take a gigabyte."""
    looked_at: list[Any] = []

    class Converter:
        detailed_validation = True

        def get_structure_hook(self, _shape: Any) -> Any:
            def refuse(value: Any, _: Any) -> Any:
                looked_at.append(value)
                raise ValueError("wrong")

            return refuse

    with pytest.raises(IterableValidationError):
        converter.structure_each(Converter(), [1] * 500_000, str)  # type: ignore[arg-type]
    assert 101 == len(looked_at)


@pytest.mark.parametrize("shape", [Registration, Order])
def test_a_message_quotes_little_of_what_was_sent(shape: type[Any]) -> None:
    """However long a value is, the answer is short."""
    body = {"agentId": "~" * 100_000, "group": "g" * 100_000, "type": "t" * 100_000}
    assert all(len(message) < 350 for message in faults(body, shape).values())


# Malformed


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "missing"),
        (b" \r\n\t", "empty: line"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"{} {}", "line 1 column 4"),
        (b"{}\x00", "line 1 column 3"),
        (b"{\n'a': 1}", "line 2 column 1"),
        (b'{"a": 1,}', "line 1"),
        (b'{"agentId": NaN}', "line 1 column 13"),
        (b'{"agentId": -Infinity}', "line 1 column 14"),
        (b'{"agentId": 1e999}', "infinity"),
        (b'{"agentId": "\\ud800"}', "surrogate"),
        (b'{"agentId": "\\udc00x"}', "surrogate"),
        (b'{"agentId": "a\nb"}', "line 1"),
        (b"{", "line 1"),
        (b"\xff\xfe{\x00}\x00", "byte 0"),
        (b'{"agentId": "a\xff"}', "not UTF-8: invalid start byte at byte 14"),
        (b'{"agentId": "\xed\xa0\x80"}', "not UTF-8: invalid continuation byte at byte 13"),
        (b'{"agentId": "\xc0\x80"}', "not UTF-8: invalid start byte at byte 13"),
        (b'{"agentId": "\xf0\x9f', "not UTF-8: unexpected end of data at byte 13"),
        (b"[" * 100_000, "depth"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "depth"),
    ],
    ids=lambda value: ascii(value[:12]),
)
def test_what_is_no_json_is_malformed_and_the_message_says_where(raw: bytes, reason: str) -> None:
    """By RFC 8259, without the extensions that parsers like to have."""
    assert reason in malformed(raw)


def nested(levels: int, innermost: str) -> bytes:
    """Return an order whose innermost array or object is that many levels deep."""
    arrays = levels - 2
    payload = f'{{"x": {"[" * (arrays - 1)}{innermost}{"]" * (arrays - 1)}}}'
    return f'{{"type": "replay", "payload": {payload}}}'.encode()


@pytest.mark.parametrize("innermost", ["[1]", "[]", "{}", '{"a": null}'])
def test_nesting_has_a_limit(innermost: str) -> None:
    """128 levels of arrays and objects, whether or not there is anything in the last."""
    deepest = wire.decode(nested(parsing.MAX_DEPTH, innermost), Order)
    assert orjson.loads(wire.encode(deepest)) == orjson.loads(nested(128, innermost))
    expected = {"$": "nested more than 128 levels deep"}
    assert expected == faults(nested(parsing.MAX_DEPTH + 1, innermost), Order)
    assert expected == faults(nested(900, innermost), Order)


def test_brackets_in_strings_and_side_by_side_are_no_nesting() -> None:
    """Only depth counts, not the number of brackets."""
    payload = {"text": "[{" * 1000, "many": [[]] * 1000}
    raw = json.dumps({"type": "replay", "payload": payload}).encode()
    assert payload == wire.decode(raw, Order).payload


def depth_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth_of, inner), default=0) if isinstance(value, dict | list) else 0


@settings(deadline=None)
@given(
    st.recursive(
        st.text('[]{}"\\:, n/', max_size=6) | st.none(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text('[{"\\', max_size=3), inner)
        ),
    )
)
def test_nesting_is_that_of_the_value(value: Any) -> None:
    """Whatever brackets, quotes and backslashes its strings hold."""
    assert depth_of(value) == parsing.depth_of(json.dumps(value).encode())


def test_of_a_key_that_stands_twice_the_last_one_counts() -> None:
    """In models as in what is passed on, also where the first would be refused."""
    raw = b'{"type":null,"type":"replay","payload":{"a":1,"a":2}}'
    assert Order(type=CommandType.REPLAY, payload={"a": 2}) == wire.decode(raw, Order)


# What is kept exactly


@pytest.mark.parametrize("number", [2**64 - 1, 2**63, 2**53 + 1, -(2**63), 10**18, 0])
def test_integers_of_64_bits_are_exact(number: int) -> None:
    """Signed and unsigned, both ways."""
    raw = json.dumps({"type": "replay", "payload": {"n": [number]}}).encode()
    order = wire.decode(raw, Order)
    assert order.payload == {"n": [number]}
    assert str(number).encode() in wire.encode(order)


@pytest.mark.parametrize("number", [BIG, -(2**63) - 1, 10**30, -(10**300)])
def test_integers_beyond_64_bits_are_refused(number: int) -> None:
    """They would be rounded; the path is told."""
    body = {"type": "replay", "payload": {"a": [0, {"n": number}]}}
    assert {"$.payload.a[1].n": "integers must fit into 64 bits"} == faults(body, Order)


def test_every_integer_beyond_64_bits_is_named_and_so_are_the_other_faults() -> None:
    """A refused body names every fault, not only the first."""
    body = {"payload": {"a": BIG, "b": [BIG]}, "type": None}
    assert {"$.payload.a", "$.payload.b[0]", "$.type"} == set(faults(body, Order))


@pytest.mark.parametrize(
    "text", ["9" * 100, f'"{"9" * 40}"', f"[{'9' * 40}]", f":-{'1' * 30},", "\\" + "9" * 30]
)
def test_digits_in_a_string_are_a_string(text: str) -> None:
    """However many and whatever stands around them."""
    payload = {"text": text, text: 1}
    raw = json.dumps({"type": "replay", "payload": payload}).encode()
    assert payload == wire.decode(raw, Order).payload


@pytest.mark.parametrize("number", ["1" + "0" * 30 + ".0", "0." + "3" * 40, "1e30", "123e-20"])
def test_numbers_with_a_fraction_or_an_exponent_are_floats(number: str) -> None:
    """RFC 8259, section 6: their precision is that of a double."""
    raw = b'{"type":"replay","payload":{"n":%b}}' % number.encode()
    assert {"n": float(number)} == wire.decode(raw, Order).payload


def test_text_is_kept_as_it_is() -> None:
    """Four-byte UTF-8, a NUL, and an emoji that came as two escaped surrogates."""
    payload = {"\x00k": "a\x00b", "🐫": "\U0010ffff", "e\u0301": "\u2028\x7f\x85"}
    escaped = json.dumps({"type": "replay", "payload": payload}).encode()
    plain = json.dumps({"type": "replay", "payload": payload}, ensure_ascii=False).encode()
    for raw in (escaped, plain):
        order = wire.decode(raw, Order)
        assert payload == order.payload
        assert payload == orjson.loads(wire.encode(order))["payload"]


# What goes out

AGENT = Agent(
    agent_id="a",
    name="n",
    group="g",
    version=None,
    route_ids=("r",),
    capabilities={"x": {"kept_as": None}},
    instance_id="i",
    status=AgentStatus.STALE,
    connected=True,
    registered_at=AT,
    last_heartbeat_at=AT,
    status_changed_at=AT,
)
AGENT_JSON = {
    "agentId": "a",
    "name": "n",
    "group": "g",
    "version": None,
    "routeIds": ["r"],
    "capabilities": {"x": {"kept_as": None}},
    "instanceId": "i",
    "status": "STALE",
    "connected": True,
    "registeredAt": AT_TEXT,
    "lastHeartbeatAt": AT_TEXT,
    "statusChangedAt": AT_TEXT,
}
EVENT: dict[str, Any] = {
    "command_id": "c",
    "type": CommandType.DEEP_TRACE,
    "payload": {"a_b": [1]},
    "created_at": AT,
    "expires_at": AT,
}
EVENT_JSON = {
    "commandId": "c",
    "type": "deep-trace",
    "payload": {"a_b": [1]},
    "createdAt": AT_TEXT,
    "expiresAt": AT_TEXT,
}
DELIVERY: dict[str, Any] = {
    "agent_id": "a",
    "status": DeliveryState.EXPIRED,
    "delivered_at": AT,
    "acknowledged_at": None,
    "late_ack_at": AT,
}
DELIVERY_JSON = {
    "agentId": "a",
    "status": "EXPIRED",
    "deliveredAt": AT_TEXT,
    "acknowledgedAt": None,
    "lateAckAt": AT_TEXT,
}
COMMAND = Command(
    **EVENT,
    target=Target.of_group("g"),
    status=CommandStatus.UNDELIVERABLE,
    target_count=3,
    connected_count=1,
    skipped=("z",),
    counts={DeliveryState.PENDING: 0, DeliveryState.ACKNOWLEDGED: 1, DeliveryState.EXPIRED: 2},
    outcomes={Outcome.SUCCESS: 0, Outcome.FAILURE: 1},
    issued_by="t-1",
)
COMMAND_JSON = {
    **EVENT_JSON,
    "target": {"level": "group", "group": "g"},
    "status": "UNDELIVERABLE",
    "targetCount": 3,
    "connectedCount": 1,
    "skipped": ["z"],
    "counts": {"PENDING": 0, "ACKNOWLEDGED": 1, "EXPIRED": 2},
    "outcomes": {"SUCCESS": 0, "FAILURE": 1},
    "issuedBy": "t-1",
}
FAILED = Ack(status=Outcome.FAILURE, message="m", data=[1])
FAILED_JSON = {"status": "FAILURE", "message": "m", "data": [1]}
SILENT_JSON = {"status": "SUCCESS", "message": None, "data": None}
MODELS: list[tuple[Any, dict[str, Any]]] = [
    (AGENT, AGENT_JSON),
    (
        GroupSummary(group="g", live=1, stale=2, dead=3, connected=4),
        {"group": "g", "LIVE": 1, "STALE": 2, "DEAD": 3, "connected": 4},
    ),
    (Target.agent("a"), {"level": "agent", "agentId": "a"}),
    (Target.of_group("g"), {"level": "group", "group": "g"}),
    (Target.all(), {"level": "all"}),
    (COMMAND, COMMAND_JSON),
    (CommandEvent(**EVENT), EVENT_JSON),
    (
        Welcome(
            agent_id="a",
            status=AgentStatus.LIVE,
            resumed=False,
            sse_endpoint="/api/v1/agents/a/events",
            server_public_key=None,
            config=AgentConfig(
                heartbeat_interval_ms=1,
                stale_after_ms=2,
                dead_after_ms=3,
                keepalive_interval_ms=4,
                command_ttl_ms=5,
            ),
        ),
        {
            "agentId": "a",
            "status": "LIVE",
            "resumed": False,
            "sseEndpoint": "/api/v1/agents/a/events",
            "serverPublicKey": None,
            "config": {
                "heartbeatIntervalMs": 1,
                "staleAfterMs": 2,
                "deadAfterMs": 3,
                "keepaliveIntervalMs": 4,
                "commandTtlMs": 5,
            },
        },
    ),
    (Delivery(**DELIVERY, result=None), {**DELIVERY_JSON, "result": None}),
    (Delivery(**DELIVERY, result=FAILED), {**DELIVERY_JSON, "result": FAILED_JSON}),
    (Delivery(**DELIVERY, result=Ack()), {**DELIVERY_JSON, "result": SILENT_JSON}),
    (
        AgentDelivery(**EVENT, **DELIVERY, result=FAILED),
        {**EVENT_JSON, **DELIVERY_JSON, "result": FAILED_JSON},
    ),
]


@pytest.mark.parametrize(("value", "expected"), MODELS)
def test_models_are_written_by_their_names_on_the_wire(
    value: Any, expected: dict[str, Any]
) -> None:
    """What is not set is null, but in a target it is left out."""
    assert expected == orjson.loads(wire.encode(value))
    assert [expected] * 2 == orjson.loads(wire.encode([value, value]))


@pytest.mark.parametrize(("value", "encoded"), MODELS)
def test_what_is_shown_can_be_read_back(value: Any, encoded: dict[str, Any]) -> None:
    """So that a client has the same models."""
    assert value == wire.decode_answer(orjson.dumps(encoded), type(value))
    array: Any = list[type(value)]  # type: ignore[misc]
    assert [value] == wire.decode_answer(orjson.dumps([encoded]), array)


@pytest.mark.parametrize("target", [Target.agent("a"), Target.of_group("g"), Target.all()])
def test_a_target_is_read_by_its_level(target: Target) -> None:
    """Whoever reads one need not know which it will be."""
    assert target == wire.decode_answer(wire.encode(target), Target)
    shown = wire.decode_answer(wire.encode(evolve(COMMAND, target=target)), Command)
    assert target == shown.target


@pytest.mark.parametrize(
    ("encoded", "complaint"),
    [
        ({"agentId": "a"}, "$.target.level: required, but missing"),
        ({"level": "agent"}, "$.target.agentId: required, but missing"),
        ({"level": "group", "agentId": "a"}, "$.target.group: required, but missing"),
        ({"level": "route"}, "$.target.level: expected one of 'agent', 'group', 'all', got 'rou"),
        ("all", "$.target: expected an object, got a string"),
    ],
)
def test_a_target_of_no_level(encoded: Any, complaint: str) -> None:
    """It says what is wrong with it, and where."""
    with pytest.raises(ValueError, match=re.escape(complaint)):
        wire.decode_answer(orjson.dumps({**COMMAND_JSON, "target": encoded}), Command)


def test_a_target_is_made_by_its_constructors() -> None:
    """The base of all is none itself."""
    with pytest.raises(TypeError, match=r"Target\.agent"):
        Target()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"connected": "true"}, "$.connected: expected a boolean, got a string"),
        ({"routeIds": None}, "$.routeIds: expected an array, got null"),
        ({"registeredAt": "2026-11-23T08:15:30.123"}, "$.registeredAt: expected a time with its"),
        ({"registeredAt": "yesterday"}, "$.registeredAt: Invalid isoformat string: 'yesterday'"),
    ],
)
def test_what_is_read_back_is_checked_as_strictly(change: Any, complaint: str) -> None:
    """A client tells what is wrong with what it was sent."""
    with pytest.raises(ValueError, match=re.escape(complaint)):
        wire.decode_answer(orjson.dumps({**AGENT_JSON, **change}), Agent)


@pytest.mark.parametrize(
    "value",
    [
        registration(agent_id="a", group="g"),
        registration(agent_id="a", group="g", version="1", capabilities={"trace": None}),
        Order(type=CommandType.REPLAY),
        Ack(),
        Ack(status=Outcome.FAILURE, message="no", data=[None]),
    ],
)
def test_what_a_client_sends_is_what_the_server_takes(value: Any) -> None:
    """It leaves out what it need not say, since null would be refused."""
    assert value == wire.decode(wire.encode_request(value), type(value))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (float("nan"), "NaN and Infinity"),
        ({"ratios": [None, {"x": (1.5, float("-inf"))}]}, "NaN and Infinity"),
        (b"x", "bytes"),
        ({"image": [b"x"]}, "bytes"),
        (object(), "object"),
        (2**64, "64-bit"),
        ("\udce9", "UTF-8"),
    ],
)
def test_what_json_cannot_express_is_not_sent(data: Any, complaint: str) -> None:
    """Rather than changed unseen."""
    with pytest.raises(TypeError, match=complaint):
        wire.encode_request(Ack(data=data))


def test_null_is_sent() -> None:
    assert b'{"data":{"x":[null,1.5]}}' == wire.encode_request(Ack(data={"x": [None, 1.5]}))


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (AT, AT_TEXT),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00.000Z"),
        (AT.replace(microsecond=999_999), "2026-11-23T08:15:30.999Z"),
        (AT.astimezone(timezone(timedelta(hours=-9, minutes=-30))), AT_TEXT),
    ],
)
def test_timestamps_are_utc_with_milliseconds(moment: datetime, text: str) -> None:
    """RFC 3339, always 24 characters, and never a moment that is still to come."""
    assert text == timestamp(moment)
    assert wire.encode(moment) == b'"%b"' % text.encode()


def test_what_json_cannot_express_is_a_type_error() -> None:
    """A host application finds out where it passes the payload."""
    with pytest.raises(TypeError):
        wire.encode(Order(type=CommandType.REPLAY, payload={"x": object()}))


def test_a_line_has_no_line_ends_of_unicode() -> None:
    """They are escaped, and nothing else is."""
    assert wire.encode_line({"x\x85": "\u2028é\u2029"}) == '{"x\\u0085":"\\u2028é\\u2029"}'.encode()
    assert wire.encode({"x": "\u2028"}) == '{"x":"\u2028"}'.encode()


@pytest.mark.parametrize(
    "unit",
    ["[]", "{}", "[[]]", "[" * 100 + "]" * 100, '{"":{}}', '"\u00e9"', "1.5", f'"{"a" * 999}"'],
    ids=lambda unit: unit[:9],
)
def test_a_footprint_is_about_what_is_kept(unit: str) -> None:
    """To within a factor of four: what is kept of a body may be many times as large."""
    raw = (
        b'{"type":"replay","payload":{"x":[%b]}}'
        % ",".join([unit] * (200_000 // (len(unit) + 1))).encode()
    )
    tracemalloc.start()
    try:
        order = wire.decode(raw, Order)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert order.payload["x"]
    assert kept / 2 < wire.footprint(raw) < kept * 4


# Whatever comes

TEXTS = st.text() | st.sampled_from(["\x85", "\u2028\u2029", "\r\n", "\x0b\x1c", "9" * 25])
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)


def values(*others: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, *others),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
        max_leaves=12,
    )


JSON = values()
ANY = values(st.integers(), st.sampled_from(["a", "replay", "SUCCESS"]))
NAMES = "agentId group name version routeIds capabilities instanceId type payload status message"
ALMOST = st.fixed_dictionaries({}, optional=dict.fromkeys([*NAMES.split(), "data"], ANY))
PAYLOADS = st.dictionaries(TEXTS, JSON, max_size=5)
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}", fullmatch=True).filter(
    lambda word: word not in ("register", "commands", "groups")
)
NOTES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=256)
LABELS = NOTES.filter(bool)
OPTIONAL = {"name": LABELS, "version": NOTES, "instanceId": NOTES, "capabilities": PAYLOADS}


@pytest.mark.parametrize("shape", wire.REQUESTS)
@settings(deadline=None)
@given(raw=st.one_of(ANY, ALMOST).map(lambda body: json.dumps(body).encode()) | st.binary())
@example(raw=b'{"agentId":' + b"9" * 5000 + b"}")
@example(raw=b"\x00{\x00}")
def test_whatever_is_sent_is_taken_or_refused(shape: type[Any], raw: bytes) -> None:
    """Never another exception, and no refusal of a body without its faults."""
    result: object
    try:
        result = wire.decode(raw, shape)
    except RegistryError as error:
        result = error
    assert isinstance(result, (shape, InvalidRequest, MalformedJson))
    assert not isinstance(result, InvalidRequest) or result.errors


@settings(deadline=None)
@given(PAYLOADS)
def test_a_payload_is_passed_on_exactly(payload: dict[str, Any]) -> None:
    """Types, order and all, also on a line of an event stream."""
    text = json.dumps(payload)
    order = wire.decode(b'{"type":"replay","payload":%b}' % text.encode(), Order)
    for encoded in (wire.encode(order), wire.encode_line(order)):
        assert text == json.dumps(json.loads(encoded)["payload"])
    assert len(encoded.decode().splitlines()) == 1


@settings(deadline=None)
@given(IDS, IDS, st.lists(LABELS, max_size=3), st.fixed_dictionaries({}, optional=OPTIONAL))
def test_valid_parts_make_a_registration(
    agent_id: str, group: str, route_ids: list[str], more: dict[str, Any]
) -> None:
    """Each part is found in it as it was sent."""
    body = {"agentId": agent_id, "group": group, "routeIds": route_ids, **more}
    made = wire.decode(json.dumps(body).encode(), Registration)
    names = {"instanceId": "instance_id"}
    expected = registration(
        agent_id=agent_id,
        group=group,
        route_ids=route_ids,
        **{names.get(name, name): value for name, value in more.items()},
    )
    assert expected == made
