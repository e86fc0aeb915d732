"""Writes log lines without waiting for their reader.

Standard error may be a pipe to a log driver, a pager, or a terminal that is stopped by Ctrl-S. When
its reader stalls, a writer waits, and a server has one thread for everything. So the lines are
passed to a thread that does nothing else. It writes the first line at once and then gathers lines
for a moment, because each wake-up takes the interpreter's lock from whoever serves requests. Lines
that it cannot write in time wait here, up to a limit; beyond it they are dropped and counted, and
the next line says how many.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections import deque
from typing import Final, TextIO

ROOM: Final = 1024 * 1024
"""Characters that may wait: some 8,000 lines, which is what a fleet of thousands causes when it
comes back, with room to spare."""

GATHERING: Final = 0.02
"""Seconds between two writes while there is no end of lines."""

PATIENCE: Final = 0.5
"""Seconds that :meth:`LogWriter.flush` may take: a server that ends has 5 in all, and its
connections may take most of them."""


class LogWriter(logging.Handler):
    """A handler of ``logging`` whose records are written by a thread of its own."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        # Lines that wait, and their length in characters.
        self._lines: deque[str] = deque()
        self._length = 0
        # Lines that were dropped since the last that was taken.
        self._dropped = 0
        # Whether the thread is in the middle of writing what it has taken.
        self._writing = False
        # Whether it has nothing to do, and a line has to wake it.
        self._idle = False
        # Guards all of these, and is never held while anything is written.
        lock = threading.Lock()
        # What the thread waits for, and what those wait for that flush.
        self._wake = threading.Condition(lock)
        self._written = threading.Condition(lock)
        # Whether somebody flushes, so that the thread gathers nothing.
        self._flushing = 0
        # None until there is something to write.
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; it is written soon, or dropped and counted."""
        try:
            line = self.format(record) + "\n"
        except Exception as error:  # logging would write a traceback, and wait
            line = f"a log line cannot be written: {record.msg!r}: {error!r}\n"
        with self._wake:
            if self._length and self._length + len(line) > ROOM:
                self._dropped += 1
                return
            if self._dropped:
                self._put(self._lost())
            self._put(line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
                self._thread.start()
            elif self._idle:
                self._idle = False
                self._wake.notify()

    def flush(self) -> None:
        """Wait until everything is written that was taken, ``PATIENCE`` seconds at most."""
        until = time.monotonic() + PATIENCE
        with self._written:
            self._flushing += 1
            self._wake.notify()
            while self._lines or self._writing or self._dropped:
                if self._thread is None or (rest := until - time.monotonic()) <= 0:
                    break
                self._written.wait(rest)
            self._flushing -= 1

    def _put(self, line: str) -> None:
        self._lines.append(line)
        self._length += len(line)

    def _lost(self) -> str:
        """Return the line that says how many were dropped, and forget them."""
        dropped, self._dropped = self._dropped, 0
        record = logging.makeLogRecord(
            {
                "name": __name__,
                "levelno": logging.WARNING,
                "levelname": "WARNING",
                "msg": "log lines were dropped, because nobody read them in time",
                "lines": dropped,
            }
        )
        return self.format(record) + "\n"

    def _write_all(self) -> None:
        while True:
            with self._wake:
                while not self._lines:
                    if self._dropped:
                        self._put(self._lost())
                    else:
                        self._idle = True
                        self._wake.wait()
                self._idle = False
                text = "".join(self._lines)
                self._lines.clear()
                # Until it is written it takes room, too.
                self._writing = True
            self._write(text)
            with self._wake:
                self._length -= len(text)
                self._writing = False
                self._written.notify_all()
                if not self._flushing:
                    self._wake.wait(GATHERING)

    def _write(self, text: str) -> None:
        """Write a text, however long that takes; a failure is not reported."""
        try:
            fd = self._stream.fileno()
        except (OSError, AttributeError, ValueError):  # no file of the system's, or closed
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(text)
                self._stream.flush()
            return
        left = memoryview(text.encode(self._stream.encoding or "utf-8", "backslashreplace"))
        while left:
            try:
                left = left[os.write(fd, left) :]
            except BlockingIOError:  # whoever shares the pipe has made it so
                poll = select.poll()
                poll.register(fd, select.POLLOUT)
                poll.poll()
            except OSError:  # the reader is gone, or the disk is full
                return
