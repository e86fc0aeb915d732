"""A terminal of 80 columns and 24 lines, for programs that look whether they have one."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import struct
import termios
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pyte
from attrs import define, field

from .processes import PROGRAM, environment
from .support import within

COLUMNS, LINES = 80, 24
INTERRUPT, END_OF_INPUT = "\x03", "\x04"


@define
class Terminal:
    """What a program that runs in a terminal has written to it."""

    process: Process
    master: int
    screen: pyte.Screen
    raw: bytearray = field(factory=bytearray)
    changed: asyncio.Event = field(factory=asyncio.Event)
    closed: bool = False

    @property
    def text(self) -> str:
        """What somebody would see now."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def colour_of(self, part: str) -> str:
        """Return the colour of a text that stands on the screen."""
        for number, line in enumerate(self.screen.display):
            if part in line:
                return str(self.screen.buffer[number][line.index(part)].fg)
        raise AssertionError(f"{part!r} is not on the screen")

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    async def shows(self, *parts: str) -> None:
        """Wait until all of these stand on the screen at once."""
        await self.until(lambda: all(part in self.text for part in parts), parts)

    async def until(self, condition: Callable[[], bool], what: object = None) -> None:
        """Wait until that is so of what has been written."""
        try:
            async with asyncio.timeout(20):
                while not condition():
                    if self.closed:
                        raise AssertionError(f"it ended without {what}:\n{self.text}")
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise AssertionError(f"it never wrote {what}:\n{self.text}") from None

    async def ended(self, seconds: float = 20) -> int:
        """Wait until the program has ended and all that it wrote is here; return its status."""
        status: int = await within(self.process.wait(), seconds)
        while not self.closed:
            self.changed.clear()
            await within(self.changed.wait())
        return status


@asynccontextmanager
async def terminal(*args: str, **env: str) -> AsyncIterator[Terminal]:
    """Run the command line in a terminal, and kill it at the end where it has not ended."""
    async with in_terminal(
        *PROGRAM, *args, env=environment(**{"TERM": "xterm-256color", **env})
    ) as made:
        yield made


@asynccontextmanager
async def in_terminal(
    *program: str,
    env: Mapping[str, str],
    folder: Path | None = None,
    columns: int = COLUMNS,
    lines: int = LINES,
) -> AsyncIterator[Terminal]:
    """Run any program in a terminal, and kill it at the end where it has not ended."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def own_it() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)  # so that Ctrl-C is a signal

    process = await asyncio.create_subprocess_exec(
        *program,
        cwd=folder,
        env=env,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        preexec_fn=own_it,
    )
    os.close(slave)
    made = Terminal(process, master, pyte.Screen(columns, lines))
    stream = pyte.ByteStream(made.screen)
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            written = os.read(master, 65536)
        except OSError:  # nobody has the other end open any more
            written = b""
        if written:
            made.raw += written
            stream.feed(written)
        else:
            made.closed = True
            loop.remove_reader(master)
        made.changed.set()

    loop.add_reader(master, read)
    try:
        yield made
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a shell, and what it runs
        await process.wait()
        loop.remove_reader(master)
        os.close(master)
