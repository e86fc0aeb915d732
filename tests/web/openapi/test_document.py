"""The document: valid, whole, and the same as the routes, the exceptions and the models."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from aiohttp import web
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from cameleer_registry import NODE, Settings, create_app
from cameleer_registry.errors import RegistryError
from cameleer_registry.web import answers
from cameleer_registry.web.openapi import examples
from cameleer_registry.web.openapi.operations import OPERATIONS
from cameleer_registry.web.responding import handler_of
from cameleer_registry.web.routes import PAGES, ROUTES
from cameleer_registry.wire.names import camel_case

from ...support import Served, running
from .contract import Contract, Documented

CONTRACT = Contract.of()
EVERY_OPERATION = pytest.mark.parametrize(
    "operation", CONTRACT.operations(), ids=lambda found: f"{found.method} {found.path}"
)


def kinds(base: type[RegistryError] = RegistryError) -> set[type[RegistryError]]:
    """Return every refusal that goes over the wire."""
    found = {kind for kind in base.__subclasses__() if kind.__module__ == RegistryError.__module__}
    return found.union(*(kinds(kind) for kind in found))


def route_of(operation: Documented) -> str:
    return f"{operation.method} {operation.path}"


# As a whole


@pytest.mark.parametrize(
    "settings",
    [Settings(), Settings(public_url="https://registry.example", require_protocol_version=True)],
    ids=["by default", "with settings"],
)
def test_it_is_a_valid_document(settings: Settings) -> None:
    """Of OpenAPI 3.1, whose schemas are valid by draft 2020-12."""
    contents = Contract.of(settings).contents
    assert re.fullmatch(r"3\.1\.\d+", contents["openapi"])
    OpenAPIV31SpecValidator(contents).validate()
    for schema in contents["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_route_is_described_and_nothing_else() -> None:
    """An address without a description, or the other way round, fails here."""
    braces = re.compile(r"{(\w+)(?::[^{}]*)?}")
    routed = [
        f"{method} " + braces.sub(lambda found: f"{{{camel_case(found[1])}}}", path)
        for method, path, *_ in ROUTES
    ]
    assert sorted(routed) == sorted(OPERATIONS)
    described = [route_of(found) for found in CONTRACT.operations() if found.method != "HEAD"]
    assert sorted(routed) == sorted(described)


def test_what_can_be_asked_with_head_is_described_too() -> None:
    """As the router has it: all that GET takes, streams as well."""
    routes = create_app().router.routes()
    pages = {handler for _, _, handler, _ in PAGES}
    heads = [
        route
        for route in routes
        if route.method == "HEAD" and handler_of(route.handler) not in pages
    ]
    described = [found for found in CONTRACT.operations() if found.method == "HEAD"]
    assert len(heads) == len(described)
    streams = {"/api/v1/agents/{agentId}/events", "/api/v1/events"}
    assert streams <= {found.path for found in described}


def test_names_are_unique() -> None:
    """Clients make functions of them."""
    names = [found.content["operationId"] for found in CONTRACT.operations()]
    assert sorted(set(names)) == sorted(names)


def test_every_tag_is_explained() -> None:
    """And none for nothing."""
    used = {tag for found in CONTRACT.operations() for tag in found.content["tags"]}
    assert used == {tag["name"] for tag in CONTRACT.contents["tags"]}


def test_texts_of_the_models_are_in_it() -> None:
    """As Markdown, in the words of the wire."""
    schemas = CONTRACT.contents["components"]["schemas"]
    text = schemas["Command"]["properties"]["counts"]["description"]
    assert "The number of deliveries in each state; together they are `targetCount`." == text
    assert "What an agent declares about itself." == schemas["Registration"]["description"]
    assert schemas["AgentId"]["description"].startswith("1–128 characters of `A–Z a–z")
    assert "``" not in json.dumps(CONTRACT.contents)
    assert ":mod:" not in json.dumps(CONTRACT.contents)


# Where it is


async def served_document(served: Served) -> dict[str, Any]:
    answer = await served.request("GET", "/openapi.json")
    assert (200, "application/json") == (answer.status, answer.headers["content-type"])
    contents: dict[str, Any] = answer.json()
    return contents


async def test_the_server_shows_it(served: Served) -> None:
    """The same each time."""
    assert CONTRACT.contents == await served_document(served)
    assert CONTRACT.contents == await served_document(served)


async def test_its_addresses_are_right_where_it_is_mounted() -> None:
    """Paths stay; the server's address has the prefix, and comes from outside where that is set."""
    host = web.Application()
    one, other = create_app(), create_app(Settings(public_url="https://registry.example"))
    host.add_subapp("/one", one)
    host.add_subapp("/other/", other)
    async with running(host) as (name, port):
        first = await served_document(Served(one[NODE], name, port, "/one"))
        second = await served_document(Served(other[NODE], name, port, "/other"))
    assert CONTRACT.contents["paths"].keys() == first["paths"].keys() == second["paths"].keys()
    assert ["/"] == [server["url"] for server in CONTRACT.contents["servers"]]
    assert ["/one"] == [server["url"] for server in first["servers"]]
    assert ["/other", "https://registry.example/other"] == [
        server["url"] for server in second["servers"]
    ]


def test_the_version_is_required_where_it_is() -> None:
    """By a setting."""
    name = answers.VERSION_HEADER
    for required in (False, True):
        contents = Contract.of(Settings(require_protocol_version=required)).contents
        assert required == contents["components"]["parameters"][name]["required"]


# Refusals


def test_there_is_an_example_of_every_refusal() -> None:
    """Of those that go over the wire."""
    assert kinds() == {type(error) for error in examples.PROBLEMS}


def test_every_refusal_is_there_with_its_status() -> None:
    """Somewhere at least; where, test_exchanges.py finds out."""
    shown = {}
    for operation in CONTRACT.operations():
        for status, response in operation.content["responses"].items():
            content = CONTRACT.resolve(response).get("content", {})
            for code in content.get("application/problem+json", {}).get("examples", ()):
                shown[code] = int(status)
    assert {kind.code: kind.status for kind in kinds()} == shown


# Examples


@EVERY_OPERATION
def test_examples_are_what_their_schemas_say(operation: Documented) -> None:
    """Of bodies, of answers and of refusals."""
    parts = [operation.content.get("requestBody", {}).get("content", {})]
    responses = map(CONTRACT.resolve, operation.content["responses"].values())
    parts += [response.get("content", {}) for response in responses]
    for part in parts:
        for content in part.values():
            for example in content.get("examples", {}).values():
                assert [] == CONTRACT.faults(content["schema"], example["value"])


def test_examples_of_parameters_and_headers_are_what_their_schemas_say() -> None:
    """A header's is what stands in the response."""
    for operation in CONTRACT.operations():
        for parameter in map(CONTRACT.resolve, operation.content.get("parameters", ())):
            examples = parameter["schema"].get("examples") or [parameter["example"]]
            assert [[]] == [CONTRACT.faults(parameter["schema"], each) for each in examples]
            # One that is optional must not be filled in by a page that lets one try it.
            assert parameter["required"] == ("example" in parameter)
    for header in CONTRACT.contents["components"]["headers"].values():
        assert [] == CONTRACT.faults(header["schema"], header["example"])


@EVERY_OPERATION
def test_whatever_is_read_or_answered_has_an_example(operation: Documented) -> None:
    """But for the document itself."""
    contents = [operation.content["requestBody"]] if "requestBody" in operation.content else []
    contents += map(CONTRACT.resolve, operation.content["responses"].values())
    missing = [
        content
        for part in contents
        for content in part.get("content", {}).values()
        if not content.get("examples")
    ]
    assert len(missing) == (operation.content["operationId"] == "showDocument")


@EVERY_OPERATION
def test_links_lead_to_operations_with_their_parameters(operation: Documented) -> None:
    """Each of which that operation takes from its address."""
    by_name = {found.content["operationId"]: found for found in CONTRACT.operations()}
    for response in map(CONTRACT.resolve, operation.content["responses"].values()):
        for link in response.get("links", {}).values():
            target = by_name[link["operationId"]]
            assert set(re.findall(r"{(\w+)}", target.path)) == link["parameters"].keys()
