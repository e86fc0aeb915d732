"""Logging: nothing behind a host's back, one line for each event, and a line for each fact."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cameleer_registry.core import events
from cameleer_registry.core.events import CloseReason, Event, ExpiryReason
from cameleer_registry.core.instant import NANOSECONDS, Instant
from cameleer_registry.core.model import (
    Ack,
    AgentStatus,
    CommandStatus,
    CommandType,
    Order,
    Outcome,
    Registration,
    Target,
)
from cameleer_registry.core.targets import Targets
from cameleer_registry.logs import ROOT, LogFormat, LogLevel, configure, flush, get_logger
from cameleer_registry.node.telling.narrator import MOST_LINES, Narrator

log = get_logger(f"{ROOT}.test")

NASTY = [
    "a\nb",
    "\r\n2026-01-01T00:00:00Z [error    ] forged",
    "\x1b[2J\x1b[31mred",
    "\x9b31m",
    "\u2028\u2029\x85\x0b\x0c\x1c",
    "\x00\x07\x7f",
    "\u202egnirts",
    "\ud800",
    '{"level": "error"}',
    "plain",
    "",
]


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, which is put back as it was, with the rest of what ``configure`` sets."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    noted = ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing")
    before = {name: getattr(logging, name) for name in noted}
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, value in before.items():
        setattr(logging, name, value)


@pytest.fixture
def lines(root: logging.Logger) -> Callable[..., list[str]]:
    """Configure a format, log something, and return the lines that makes."""

    def lines(log_format: LogFormat, say: Callable[[], Any], level: str = "debug") -> list[str]:
        stream = io.StringIO()
        configure(log_format, LogLevel(level), stream=stream)
        say()
        flush()
        written = stream.getvalue()
        assert written == "" or written.endswith("\n")
        return written.splitlines()

    return lines


Lines = Callable[..., list[str]]


def in_words(line: str) -> str:
    """Return a console line without its time and the padding between its columns."""
    time, _, rest = line.partition(" ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", time)
    return " ".join(rest.split())


# Embedded: records for whoever listens


def test_events_are_records_of_the_standard_tree(caplog: pytest.LogCaptureFixture) -> None:
    """With their fields as attributes; the message is the event and nothing else."""
    with caplog.at_level("INFO", ROOT):
        log.info("agent 100% registered", agent_id="a\nb", targets=3)
    (record,) = caplog.records
    assert record.name == f"{ROOT}.test"
    assert record.levelname == "INFO"
    assert record.getMessage() == "agent 100% registered"
    assert vars(record)["agent_id"] == "a\nb"
    assert vars(record)["targets"] == 3


def test_a_record_says_which_line_of_code_logged_it(caplog: pytest.LogCaptureFixture) -> None:
    """That of the caller, not one of what wraps it."""
    log.warning("x")
    assert caplog.records[0].filename == "test_logs.py"


def test_exceptions_come_with_their_record(caplog: pytest.LogCaptureFixture) -> None:
    """As the handlers of a host application expect them."""
    error = KeyError("boom")
    try:
        raise error
    except KeyError:
        log.exception("failed", task="t")
    assert caplog.records[0].exc_info is not None
    assert error is caplog.records[0].exc_info[1]


def test_nothing_is_printed_unless_it_is_configured(
    root: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    """Importing and using the package adds no handler and writes nothing."""
    root.handlers[:] = [logging.NullHandler()]
    root.setLevel(logging.DEBUG)
    log.info("quiet")
    log.error("quiet, too")
    assert capfd.readouterr() == ("", "")
    assert [] == [
        name
        for name in (ROOT, *logging.root.manager.loggerDict)
        if name.startswith(ROOT) and logging.getLogger(name).handlers
    ]


def test_a_level_that_is_off_makes_no_record(caplog: pytest.LogCaptureFixture) -> None:
    """A host application sets it on the tree, as for any other package."""
    with caplog.at_level("WARNING", ROOT):
        log.info("no")
        log.warning("yes")
    assert [record.getMessage() for record in caplog.records] == ["yes"]


# On the command line


def test_json_lines_have_time_level_event_and_fields(lines: Lines) -> None:
    """Numbers stay numbers and lists stay lists."""
    (line,) = lines(LogFormat.JSON, lambda: log.warning("went", agent_id="a", n=1, ids=["b", "c"]))
    entry = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry.pop("timestamp"))
    expected = {"event": "went", "level": "warning", "agent_id": "a", "n": 1, "ids": ["b", "c"]}
    assert expected == entry


def test_console_lines_have_time_level_event_and_fields(lines: Lines) -> None:
    """What is plain is not quoted; there are no colours where there is no terminal."""
    (line,) = lines(LogFormat.CONSOLE, lambda: log.info("agent went", agent_id="é-1", n=1))
    assert "[info ] agent went agent_id=é-1 n=1" == in_words(line)


@pytest.mark.parametrize("text", NASTY, ids=ascii)
@pytest.mark.parametrize("log_format", LogFormat)
def test_a_line_cannot_be_forged_nor_a_terminal_steered(
    lines: Lines, log_format: LogFormat, text: str
) -> None:
    """One event is one line of printable characters, whatever a client put into it."""

    def say() -> None:
        log.info("said", agent_id=text, ids=[text], nested={text: (text,)})
        log.info(text)
        logging.getLogger("elsewhere").warning("said %s", text, extra={"path": text})

    written = lines(log_format, say)
    assert len(written) == 3
    assert all(line.isprintable() for line in written)
    if log_format is LogFormat.JSON:
        entries = [json.loads(line) for line in written]
        assert entries[0]["agent_id"] == entries[1]["event"] == text
        assert entries[0]["ids"] == entries[0]["nested"][text] == [text]
        assert entries[2]["event"] == f"said {text}"


@pytest.mark.parametrize("log_format", LogFormat)
def test_other_packages_log_in_the_same_format(lines: Lines, log_format: LogFormat) -> None:
    """Such as aiohttp and asyncio, with their arguments filled in."""
    (line,) = lines(log_format, lambda: logging.getLogger("aiohttp").error("%d of %s", 1, "x"))
    if log_format is LogFormat.JSON:
        assert json.loads(line)["event"] == "1 of x"
    else:
        assert in_words(line) == "[error ] 1 of x"


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
@pytest.mark.parametrize("log_format", LogFormat)
def test_that_level_and_everything_above(lines: Lines, log_format: LogFormat, level: str) -> None:
    """Of this package as of others."""
    names = ["debug", "info", "warning", "error"]

    def say() -> None:
        for name in names:
            getattr(log, name)(name)
            getattr(logging.getLogger("elsewhere"), name)(name)

    assert 2 * (4 - names.index(level)) == len(lines(log_format, say, level))


def test_configuring_again_replaces_what_was(lines: Lines) -> None:
    """No line comes twice."""
    assert len(lines(LogFormat.JSON, lambda: log.info("x"))) == 1
    assert len(lines(LogFormat.CONSOLE, lambda: log.info("x"))) == 1


def fail() -> None:
    payload = {"password": "hunter2"}
    try:
        raise ValueError(f"cannot read \x1b[31m{len(payload)}")
    except ValueError as error:
        try:
            raise RuntimeError("boom") from error
        except RuntimeError:
            log.exception("a request failed", path="/x")


def test_a_traceback_can_be_read_on_a_console(lines: Lines) -> None:
    """With the line of code and the cause, below the line of the event."""
    first, *traceback = lines(LogFormat.CONSOLE, fail)
    assert in_words(first) == "[error ] a request failed path=/x"
    assert "Traceback (most recent call last):" in traceback
    assert traceback[-1] == "RuntimeError: boom"
    assert any('raise RuntimeError("boom") from error' in line for line in traceback)


def test_a_traceback_does_not_steer_a_terminal(lines: Lines) -> None:
    """Messages of exceptions quote what clients sent."""
    assert all(line.isprintable() for line in lines(LogFormat.CONSOLE, fail))


def test_a_traceback_is_part_of_its_json_line(lines: Lines) -> None:
    """Both exceptions, each with where it was raised."""
    (line,) = lines(LogFormat.JSON, fail)
    entry = json.loads(line)
    assert entry["event"] == "a request failed"
    found = [(part["exc_type"], part["exc_value"]) for part in entry["exception"]]
    assert [("RuntimeError", "boom"), ("ValueError", "cannot read \x1b[31m1")] == found
    assert entry["exception"][0]["frames"][0]["name"] == "fail"


@pytest.mark.parametrize("log_format", LogFormat)
def test_a_traceback_does_not_tell_what_variables_held(lines: Lines, log_format: LogFormat) -> None:
    """Payloads of commands may hold secrets, and logs are read by more people than they are."""
    assert not any("hunter2" in line for line in lines(log_format, fail))


# The narrator: one line for each fact that an operator would want to find again

AT = Instant(0, 0, 0)
OF: dict[str, Any] = {"at": AT, "agent_id": "a-1"}
OF_MEMBER: dict[str, Any] = {**OF, "group": "g-1"}
BY: dict[str, Any] = {"at": AT, "command_id": "c-1"}
DECLARED: dict[str, Any] = {"agent_id": "a-1", "group": "g-1", "name": "n"}
SILENT = {
    events.HeartbeatReceived: "there are too many",
    events.CommandPushed: "CommandIssued tells how many were connected",
    events.CommandForgotten: "it has finished, which was told",
}
FACTS: list[Event] = [
    events.AgentRegistered(**OF, registration=Registration(**DECLARED), resumed=False),
    events.HeartbeatReceived(**OF),
    events.AgentRevived(**OF_MEMBER, previous=AgentStatus.DEAD),
    events.AgentWentStale(**OF_MEMBER, heard=AT),
    events.AgentWentDead(**OF_MEMBER),
    events.AgentRemoved(**OF_MEMBER),
    events.StreamOpened(**OF_MEMBER, stream_id=1),
    *(events.StreamClosed(**OF_MEMBER, stream_id=1, reason=reason) for reason in CloseReason),
    events.StreamConflict(**OF_MEMBER),
    *(
        events.CommandIssued(
            **BY,
            order=Order(type=CommandType.REPLAY, payload={"name": "level"}),
            target=target,
            expires=AT,
            agent_ids=Targets(["a-1"]),
            groups=frozenset({"g-1"}),
            connected_count=1,
            skipped=("z",),
            number=1,
        )
        for target in (Target.agent("a-1"), Target.of_group("g-1"), Target.all())
    ),
    events.CommandPushed(**BY, agent_ids=("a-1",)),
    *(
        events.DeliveryAcknowledged(**OF, command_id="c-1", result=Ack(status=out, message="m"))
        for out in Outcome
    ),
    events.LateAckReceived(**OF, command_id="c-1"),
    *(
        events.DeliveriesExpired(**BY, agent_ids=agent_ids, reason=reason)
        for agent_ids in (("a-1",), ("a-1",) * 21)
        for reason in ExpiryReason
    ),
    events.CommandFinished(**BY, status=CommandStatus.EXPIRED),
    events.CommandForgotten(**BY),
]
STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime"}
STRUCTLOG = {"event", "level", "logger", "timestamp", "exception", "stack", "positional_args"}


def told(caplog: pytest.LogCaptureFixture, fact: Event) -> logging.LogRecord | None:
    """Tell a fact and return its record, if there is one."""
    caplog.clear()
    teller = Narrator().tellers.get(type(fact))
    with caplog.at_level("DEBUG", ROOT):
        if teller is not None:
            teller(fact)
    assert len(caplog.records) <= 1
    return caplog.records[0] if caplog.records else None


def test_the_facts_above_are_of_every_class() -> None:
    """So that a new one is not forgotten."""
    assert set(events.KINDS) == {type(fact) for fact in FACTS}


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_every_fact_is_told_in_one_line_or_silent_on_purpose(
    caplog: pytest.LogCaptureFixture, fact: Event
) -> None:
    """Its ids are fields, under names that neither logging nor structlog uses, and no objects."""
    record = told(caplog, fact)
    assert (record is None) == (type(fact) in SILENT)
    if record is None:
        return
    fields = {name: value for name, value in vars(record).items() if name not in STANDARD}
    ids = {name for name in ("agent_id", "command_id", "stream_id") if hasattr(fact, name)}
    assert {name: getattr(fact, name) for name in ids} == {name: fields.get(name) for name in ids}
    assert set() == STRUCTLOG & set(fields)
    assert fields == json.loads(json.dumps(fields))


@pytest.mark.parametrize(
    ("fact", "level"),
    [
        (FACTS[0], "INFO"),
        (events.AgentWentDead(**OF_MEMBER), "WARNING"),
        (events.StreamConflict(**OF_MEMBER), "WARNING"),
        (events.StreamOpened(**OF_MEMBER, stream_id=1), "DEBUG"),
        (events.DeliveryAcknowledged(**OF, command_id="c", result=Ack()), "DEBUG"),
    ],
)
def test_the_level_says_how_much_it_matters(
    caplog: pytest.LogCaptureFixture, fact: Event, level: str
) -> None:
    """Whatever happens to each agent all day is for debugging."""
    assert level == getattr(told(caplog, fact), "levelname", None)
    failure = Ack(status=Outcome.FAILURE, message="m")
    record = told(caplog, events.DeliveryAcknowledged(**OF, command_id="c", result=failure))
    assert getattr(record, "levelname", None) == "WARNING"


def test_a_line_names_few_agents_and_counts_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """A broadcast to ten thousand that expires is one short line."""
    for count, named in ((20, 20), (21, None)):
        ids = tuple(f"a-{number}" for number in range(count))
        fact = events.DeliveriesExpired(**BY, agent_ids=ids, reason=ExpiryReason.DEADLINE)
        fields = vars(told(caplog, fact))
        assert count == fields["expired"]
        assert (named and list(ids)) == fields.get("agent_ids")


@pytest.mark.looptime(start=1000)
async def test_many_of_a_kind_in_one_second_are_told_as_a_sum(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A fleet that comes back has some lines and a number, and others are told meanwhile."""
    narrator = Narrator()

    def tell(fact: Event) -> None:
        narrator.tellers[type(fact)](fact)

    def happen(steady: int) -> None:
        at = Instant(0, steady, 0)
        for number in range(MOST_LINES + 5):
            declared = Registration(**{**DECLARED, "agent_id": f"a-{number}"})
            tell(
                events.AgentRegistered(
                    at=at, agent_id=declared.agent_id, registration=declared, resumed=False
                )
            )
        tell(events.AgentWentStale(at=at, agent_id="b", group="g", heard=at))

    def told() -> list[tuple[str, int | None]]:
        lines = [(record.getMessage(), getattr(record, "more", None)) for record in caplog.records]
        caplog.clear()
        return lines

    task = asyncio.create_task(narrator.sum_up())
    with caplog.at_level("INFO", ROOT):
        happen(0)
        one_by_one = [("agent registered", None)] * MOST_LINES + [("agent went STALE", None)]
        assert one_by_one == told()
        await asyncio.sleep(1.1)
        rest = [("agent registered: more than are logged one by one", 5)]
        assert rest == told()
        happen(NANOSECONDS - 1)
        assert [("agent went STALE", None)] == told()
        happen(NANOSECONDS)
        assert one_by_one == told()
        await asyncio.sleep(1.1)
        assert [(rest[0][0], MOST_LINES + 5 + 5)] == told()
    task.cancel()


async def test_failures_beyond_a_number_are_summed_up_successes_are_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A broadcast to ten thousand that all fail is no ten thousand lines."""
    narrator = Narrator()
    with caplog.at_level("INFO", ROOT):
        for outcome in Outcome:
            for _ in range(MOST_LINES + 1):
                acknowledged = events.DeliveryAcknowledged(
                    **OF, command_id="c", result=Ack(status=outcome)
                )
                narrator.tellers[type(acknowledged)](acknowledged)
    assert MOST_LINES == len(caplog.records)
    assert {"FAILURE"} == {getattr(record, "outcome", None) for record in caplog.records}


def test_a_host_need_not_have_what_renders_logs() -> None:
    """It is imported where logging is configured, and without what it would not use."""
    code = (
        "import sys, cameleer_registry as c; from cameleer_registry import logs;"
        "assert 'structlog' not in sys.modules;"
        "logs.configure(logs.LogFormat.CONSOLE, logs.LogLevel.INFO);"
        "assert 'structlog' in sys.modules and 'rich' not in sys.modules;"
        "import rich"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_logger_may_be_bound_to_fields(caplog: pytest.LogCaptureFixture) -> None:
    """They are told with every event; of two values the event's own is."""
    bound = get_logger("cameleer_registry.bound").bind(agent_id="a", n=1).bind(n=2)
    bound.warning("told", n=3, exc_info=ValueError("x"))
    [record] = caplog.records
    assert ("a", 3) == (vars(record)["agent_id"], vars(record)["n"])
    assert record.exc_info
    assert record.filename == "test_logs.py"


def test_a_field_may_be_called_what_records_call_theirs(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever logs an event is not ended by the name of one of its fields."""
    get_logger("cameleer_registry.fields").bind(module="m").warning("told", name="n", message="x")
    [record] = caplog.records
    fields = vars(record)
    assert ("n", "m", "x") == (fields["name_"], fields["module_"], fields["message_"])
    assert ("cameleer_registry.fields", "test_logs") == (record.name, record.module)
