"""The modules of the console on their own: their types, and what each computes."""

from __future__ import annotations

import csv
import io
import re
import subprocess
from pathlib import Path

import pytest

from cameleer_registry.web import documentation
from cameleer_registry.web.console import FOLDER

from ..npm import install
from ..processes import required
from ..support import Served
from .browser import Console
from .modules import evaluate


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TypeScript and Prettier."""
    folder = install(tmp_path_factory.mktemp("tools"), "typescript@7", "prettier@3")
    return folder / "node_modules"


def run(*command: str) -> tuple[int, str]:
    done = subprocess.run([required("node"), *command], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


FOLDERS = pytest.mark.parametrize("folder", [FOLDER, documentation.FOLDER], ids=lambda f: f.name)


@FOLDERS
def test_types(tools: Path, folder: Path) -> None:
    """TypeScript agrees with every type that the comments state."""
    flags = "--noEmit --checkJs --strict --noUnusedLocals --target esnext --module esnext"
    more = "--moduleResolution bundler --lib esnext,dom,dom.iterable"
    tsc = str(tools / "typescript/bin/tsc")
    assert (0, "") == run(tsc, *flags.split(), *more.split(), str(folder / "main.js"))


@FOLDERS
def test_format(tools: Path, folder: Path) -> None:
    """As Prettier has it, with lines of 100 characters, as in Python."""
    prettier = str(tools / "prettier/bin/prettier.cjs")
    status, said = run(prettier, "--print-width", "100", "--check", str(folder))
    assert 0 == status, said


OBJECTS = [
    "{}",
    ' {"a": 1, "b": [1.5e3, -0, true, false, null, "\\u00e4\\n"], "c": {"d": {}}} \n',
    '{"long": 18446744073709551615, "least": -9223372036854775808}',
    '{"pair": "\\ud83d\\udc2b", "\u2028": "🐫"}',
    '{"deep": ' + "[" * 126 + "]" * 126 + "}",
]
FAULTY = [
    "{",
    "{]",
    '{"a"}',
    '{"a":}',
    '{"a": 01}',
    '{"a": 1.}',
    '{"a": .5}',
    '{"a": +1}',
    '{"a": -}',
    '{"a": 1e}',
    "{'a': 1}",
    "{a: 1}",
    '{"a": 1,}',
    '{"a": [1,]}',
    '{"a": [1 2]}',
    '{"a": 1} x',
    '{"a": "\t"}',
    '{"a": "\\x"}',
    '{"a": "\\u12"}',
    '{"a": "no end',
    '{"a": NaN}',
    '{"a": undefined}',
    '{"a": nul}',
    "// comment\n{}",
    "\ufeff{}",
]
REFUSED = [
    "[]",
    '"text"',
    "null",
    '{"a": 18446744073709551616}',
    '{"a": -9223372036854775809}',
    '{"a": 1e400}',
    '{"half": "\\ud83d"}',
    '{"deep": ' + "[" * 127 + "]" * 127 + "}",
]


async def test_the_checker_agrees_with_json(console: Console) -> None:
    """With the browser's own parser on what is JSON."""
    parses = "(() => { try { JSON.parse(text) } catch { return 1 } })()"
    code = f"a.map(text => [m.faultOf(text), {parses}])"
    for fault, broken in await evaluate(console, "json.js", code, OBJECTS):
        assert (None, None) == (fault, broken)
    for text, (fault, broken) in zip(
        FAULTY, await evaluate(console, "json.js", code, FAULTY), strict=True
    ):
        assert broken, text
        assert fault, text
        assert fault["message"]
        assert 0 <= fault["offset"] <= len(text)


async def test_the_checker_agrees_with_the_server(served: Served, console: Console) -> None:
    """What the one refuses the other refuses, too."""
    await served.register("a")
    faults = await evaluate(console, "json.js", "a.map(m.faultOf)", OBJECTS + REFUSED)
    for text, fault in zip(OBJECTS + REFUSED, faults, strict=True):
        body = f'{{"type":"replay","payload":{text}}}'.encode()
        answer = await served.request("POST", "/agents/a/commands", raw=body)
        assert (202 if fault is None else 400) == answer.status, text


async def test_numbers_are_shown_as_they_were_written(console: Console) -> None:
    """However long, and whatever other number the browser would make of them; texts are texts."""
    texts = [
        '{"long":9007199254740993,"float":1.0,"short":-7,"exponent":1E+2,"minus":-0}',
        '[18446744073709551615,0.10,1e-7,"1.0","\\"2.0",{"3.0":[4.0]}]',
    ]
    assert texts == await evaluate(console, "json.js", "a.map(t => m.written(m.parse(t)))", texts)
    indented = "m.written(m.parse(a), 2)"
    assert '{\n  "a": 1.0\n}' == await evaluate(console, "json.js", indented, '{"a":1.0}')
    assert 15 == await evaluate(console, "json.js", "m.parse(a).n + 1", '{"n":14}')


async def test_the_reader_of_streams(console: Console) -> None:
    """However the bytes are cut up, and whatever ends the lines."""
    code = """a.map(pieces => {
        const parser = new m.EventParser();
        return [pieces.flatMap(piece => parser.push(piece)), parser.retry];
    })"""
    event = {"id": "7", "type": "x", "data": "1\n2"}
    whole = "retry: 2000\n: hello\nid: 7\nevent: x\ndata: 1\ndata:2\n\n"
    streams = [
        [whole],
        list(whole),
        [whole.replace("\n", "\r\n")],
        list(whole.replace("\n", "\r\n")),
        [whole.replace("\n", "\r") + ":"],
        [whole + ":\n:\n", "id\n\n"],
    ]
    found = await evaluate(console, "sse.js", code, streams)
    assert [[[event], 2000]] * len(streams) == found


async def test_what_is_told_twice_counts_once(console: Console) -> None:
    """By the feed and by an answer, in whatever order; what is older changes nothing."""
    code = """(() => {
        const store = new m.Store();
        const id = { commandId: "c" };
        const seen = [];
        const told = (PENDING, ACKNOWLEDGED, failedCount, names) => ({
            id: 1,
            type: "delivery-acknowledged",
            data: {
                ...id, agentIds: names, failures: names.map(agentId => ({ agentId })), failedCount,
                status: PENDING ? "PENDING" : "ACKNOWLEDGED",
                counts: { PENDING, ACKNOWLEDGED, EXPIRED: 0 }, at: "2026-01-01T00:00:00Z",
            },
        });
        const read = (PENDING, ACKNOWLEDGED, FAILURE) => store.putCommands([{
            ...id, skipped: [], status: "PENDING", counts: { PENDING, ACKNOWLEDGED, EXPIRED: 0 },
            outcomes: { SUCCESS: ACKNOWLEDGED - FAILURE, FAILURE },
        }]);
        const note = () => {
            const { status, counts, failed } = store.commands.get("c");
            seen.push([status, counts.PENDING, failed]);
        };
        const one = told(2, 1, 1, ["a"]), two = told(1, 2, 2, ["b"]), last = told(0, 3, 3, ["c"]);
        read(3, 0, 0); note();
        store.apply(one); note();
        read(1, 2, 2); note();
        store.apply(two); note();
        store.apply(one); note();
        store.apply(last); store.apply(last); note();
        read(1, 2, 2); note();
        return seen;
    })()"""
    pending, done = ["PENDING", 1, 2], ["ACKNOWLEDGED", 0, 3]
    first = [["PENDING", 3, 0], ["PENDING", 2, 1]]
    expected = [*first, pending, pending, pending, done, done]
    assert expected == await evaluate(console, "store.js", code)


async def test_words_for_numbers(console: Console) -> None:
    """Shares never claim all or nothing wrongly; ages have one unit."""
    shares = [(0, 0), (0, 5), (1, 1000), (999, 1000), (5, 5), (1, 3)]
    code = "a.map(([part, whole]) => m.percent(part, whole))"
    assert ["–", "0 %", "< 1 %", "> 99 %", "100 %", "33 %"] == await evaluate(
        console, "format.js", code, shares
    )
    ages = [-5000, 999, 59_999, 60_000, 3_600_000, 172_800_000]
    assert ["0 s", "0 s", "59 s", "1 min", "1 h", "2 d"] == await evaluate(
        console, "format.js", "a.map(m.duration)", ages
    )
    names = ["plain ä 🐫", "\u202eevil", "a\x00b\u2028", "zero\u200bwidth"]
    assert ["plain ä 🐫", "⟨U+202E⟩evil", "a⟨U+0000⟩b⟨U+2028⟩", "zero⟨U+200B⟩width"] == (
        await evaluate(console, "format.js", "a.map(m.plain)", names)
    )


async def test_the_servers_clock_counts(console: Console) -> None:
    """Ages are right on a machine whose own clock is wrong by an hour."""
    await console.page.clock.install(time="2020-01-01T00:00:00Z")
    code = "[m.serverNow() > Date.now() + 3.6e6, a]"
    assert [True, None] == await evaluate(console, "clock.js", code)


async def test_the_natural_order_of_names(console: Console) -> None:
    """Numbers by their value, however long; whatever the case, and the same for the same name."""
    names = ["a", "A-1", "a-2", "a-02b", "a-10", "a-99999999", "a-100000000", "a-1" + "0" * 30, "b"]
    code = "a.toReversed().sort(m.natural)"
    assert names == await evaluate(console, "natural.js", code, names)


async def test_the_past_is_looked_for_where_ids_leap(console: Console) -> None:
    """All of it at first; then behind what has gone meanwhile; and at last none of it.

    Ids leap by a million when a server has crashed, so a share of them says nothing.
    """
    code = """(() => {
        const past = new m.Past();
        const after = a.map(([oldestId, id]) => past.after({ id, data: { oldestId } }));
        past.reached();
        return [...after, past.after({ id: 9, data: { oldestId: 5 } })];
    })()"""
    resets = [(100, 1_000_110), (104, 1_000_114), (106, 1_000_116), (107, 107), (200, 300)]
    resets.append((250, 350))
    expected = [99, 103 + 4 * 2, 105 + 2 * 4, 107, 300, 350, 4]
    assert expected == await evaluate(console, "sync.js", code, resets)


async def test_cells_of_csv(console: Console) -> None:
    """Quoted as RFC 4180 has it; what a spreadsheet would carry out is a text."""
    rows = [
        {"a": 'say "hi"', "b": "x,y"},
        {"a": "=1+1", "b": "-1"},
        {"a": -1, "b": None},
        {"a": ["p", "q"], "b": "two\nlines"},
        {"a": True},
    ]
    text = await evaluate(console, "download.js", "m.csv(['a', 'b'], a)", rows)
    assert [["a", "b"], ['say "hi"', "x,y"], ["'=1+1", "'-1"], ["-1", ""]] == (
        list(csv.reader(io.StringIO(text)))[:4]
    )
    assert '"[""p"",""q""]","two\nlines"\r\ntrue,\r\n' == text[text.index('"[""') :]


WRITES = re.compile(r"[sS]tore\.(put\w+|replace\w+|forget\w+|remove\w+|set\w+|pin|apply)\(")


def test_views_only_read_the_store() -> None:
    """What they want to be done they ask of actions.js, which puts in what the server answers."""
    writing = {path.name for path in FOLDER.rglob("*.js") if WRITES.search(path.read_text("utf-8"))}
    filling = {
        "actions.js",
        "command-list.js",
        "declarations.js",
        "server.js",
        "session.js",
        "sync.js",
    }
    assert filling == writing


TYPEDEF = re.compile(r"@typedef \{object\} (\w+)[^\n]*\n((?: \* @property[^\n]*\n)+)")
PROPERTY = re.compile(r"@property \{[^\n]*?\} \[?(\w+)")

SHAPES = {
    "AgentView": "Agent",
    "CommandView": "Command",
    "DeliveryView": "Delivery",
    "Result": "Result",
    "NodeView": "ClusterNode",
}
"""The schemas that stand for what ``answers.js`` has."""


async def test_the_types_of_answers_are_those_of_the_document(served: Served) -> None:
    """A field that the server renames or drops is one that the console must not read."""
    text = (FOLDER / "answers.js").read_text("utf-8")
    found = {name: set(PROPERTY.findall(fields)) for name, fields in TYPEDEF.findall(text)}
    schemas = (await served.request("GET", "/openapi.json")).json()["components"]["schemas"]
    for name, schema in SHAPES.items():
        assert found[name] >= set(schemas[schema]["required"]), name
        assert found[name] - set(schemas[schema]["properties"]) <= LATER, name


LATER = {"outcomes", "issuedBy", "payloadTruncated"}
"""Fields that a server of before did not answer with."""


def test_every_module_is_used() -> None:
    """No file lies about that nothing loads."""
    texts = {path: path.read_text("utf-8") for path in FOLDER.rglob("*.*")}
    for path in texts:
        if path.name != "index.html":
            assert any(path.name in text for other, text in texts.items() if other != path), path


def test_the_folder_is_in_the_package() -> None:
    """setup.cfg lists every kind of place in it."""
    folders = {path.parent.relative_to(FOLDER.parent) for path in FOLDER.rglob("*.*")}
    setup = (Path(__file__).parent.parent.parent / "setup.cfg").read_text("utf-8")
    assert [] == [f for f in folders if f"    web/{f.as_posix()}/*\n" not in setup]
