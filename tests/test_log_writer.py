"""Log lines are written by a thread of their own, and nobody waits for whoever reads them."""

from __future__ import annotations

import io
import logging
import os
import re
import select
from collections.abc import Iterator
from contextlib import suppress

import pytest

from cameleer_registry import log_writer
from cameleer_registry.log_writer import LogWriter


def record(text: str) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": text, "levelno": logging.INFO, "levelname": "INFO"})


class Pipe:
    """A pipe with a writer of log lines at one end."""

    def __init__(self) -> None:
        self.read_end, write_end = os.pipe()
        self.file = os.fdopen(write_end, "w")
        self.writer = LogWriter(self.file)
        self.writer.setFormatter(logging.Formatter("%(message)s%(lines)s", defaults={"lines": ""}))

    def say(self, *texts: str) -> None:
        for text in texts:
            self.writer.emit(record(text))

    def read_line(self) -> str:
        """Read one line, however the bytes come."""
        line = b""
        while not line.endswith(b"\n"):
            line += os.read(self.read_end, 1)
        return line.decode().rstrip("\n")


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    with suppress(OSError):
        os.close(made.read_end)
    made.writer.flush()
    made.file.close()


def test_lines_are_written_in_order(pipe: Pipe) -> None:
    """Each whole, and none is missing."""
    pipe.say(*(str(number) for number in range(500)))
    assert [str(number) for number in range(500)] == [pipe.read_line() for _ in range(500)]


def test_nobody_waits_for_a_reader_that_stalls(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what there is room for lines are dropped; the first one after says how many."""
    monkeypatch.setattr(log_writer, "ROOM", 300_000)
    text = "x" * 999
    pipe.say(*(f"{text}{number}" for number in range(1000)))  # a pipe holds 64 KiB
    numbers: list[str] = []
    dropped = 0
    while len(numbers) + dropped < 1000:
        line = pipe.read_line()
        if line.startswith(text):
            assert len(numbers) + dropped == int(line.removeprefix(text))
            numbers.append(line)
        else:
            lost = re.fullmatch(r"log lines were dropped, .* in time(\d+)", line)
            assert lost is not None
            dropped += int(lost[1])
    assert dropped > 500
    pipe.say("and on")
    assert "and on" == pipe.read_line()


def test_what_was_dropped_is_told_before_what_follows(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the place where it is missing, even if there is room again before the queue is empty."""
    monkeypatch.setattr(log_writer, "ROOM", 10)
    writer = pipe.writer
    writer._thread = writer  # type: ignore[assignment]  # nothing is written yet
    pipe.say("12345678", "dropped", "dropped")
    monkeypatch.setattr(log_writer, "ROOM", 1000)
    pipe.say("next")
    first, lost, following = writer._lines
    assert ("12345678\n", "next\n") == (first, following)
    assert lost.endswith("in time2\n")
    writer._lines.clear()


def test_lines_are_gathered_for_a_moment(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is written at once, those after it together; who flushes does not wait for that."""
    monkeypatch.setattr(log_writer, "GATHERING", 3600)
    monkeypatch.setattr(log_writer, "PATIENCE", 3600)
    pipe.say("first")
    assert "first" == pipe.read_line()
    pipe.say("second", "third")
    assert ([], [], []) == select.select([pipe.read_end], [], [], 0.02)
    pipe.writer.flush()
    assert b"second\nthird\n" == os.read(pipe.read_end, 100)


def test_a_line_longer_than_the_room_is_written(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nothing else waits."""
    monkeypatch.setattr(log_writer, "ROOM", 10)
    pipe.say("x" * 1000)
    assert "x" * 1000 == pipe.read_line()


def test_flushing_gives_up_on_a_reader_that_stalls(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that ends has five seconds."""
    monkeypatch.setattr(log_writer, "PATIENCE", 0.05)
    pipe.say("x" * 200_000)
    pipe.writer.flush()
    assert pipe.writer._writing
    assert "x" * 200_000 == pipe.read_line()


def test_a_pipe_that_does_not_block_is_waited_for(pipe: Pipe) -> None:
    """Whoever shares it may have made it so: nothing is lost."""
    os.set_blocking(pipe.file.fileno(), False)
    pipe.say("x" * 200_000, "y")
    assert "x" * 200_000 == pipe.read_line()
    assert "y" == pipe.read_line()


def test_a_reader_that_is_gone_is_no_error(pipe: Pipe) -> None:
    """Nor is one after it."""
    os.close(pipe.read_end)
    pipe.say("a", "b")
    pipe.writer.flush()
    assert not pipe.writer._lines


def test_a_line_that_cannot_be_formatted_is_told_as_it_is(pipe: Pipe) -> None:
    """logging would write a traceback to standard error itself, and wait for its reader."""
    pipe.writer.emit(logging.makeLogRecord({"msg": "%d", "args": ("x",)}))
    assert pipe.read_line().startswith("a log line cannot be written: '%d': TypeError(")


def test_a_stream_that_is_no_file() -> None:
    """Such as one of a test's."""
    stream = io.StringIO()
    writer = LogWriter(stream)
    writer.emit(record("x"))
    writer.flush()
    assert "x\n" == stream.getvalue()
