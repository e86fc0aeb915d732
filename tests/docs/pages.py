"""The pages, and what stands on them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from attrs import frozen
from markdown_it import MarkdownIt

ROOT: Final = Path(__file__).parents[2]
README: Final = ROOT / "README.md"
HTTP_API: Final = ROOT / "docs" / "http-api.md"
PROTOCOL: Final = ROOT / "docs" / "agent-protocol.md"
ARCHITECTURE: Final = ROOT / "docs" / "architecture.md"
CLI: Final = ROOT / "docs" / "cli.md"
CLUSTER: Final = ROOT / "docs" / "cluster.md"
DECISIONS: Final = ROOT / "docs" / "decisions.md"
EMBEDDING: Final = ROOT / "docs" / "embedding.md"
SETTINGS: Final = ROOT / "docs" / "settings.md"
OPERATIONS: Final = ROOT / "docs" / "operations.md"
SECURITY: Final = ROOT / "docs" / "security.md"

GUIDES: Final = [README, *sorted((ROOT / "docs").glob("*.md"))]
"""What a user reads, and pastes from."""
PAGES: Final = [*GUIDES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]
"""All of them."""

CTRL_C: Final = "<!-- Ctrl-C -->"
"""Stands below a sentence that has its reader press that."""

_CODE: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@frozen
class Block:
    """What stands between fences on a page; or a place where Ctrl-C is to be pressed."""

    page: Path
    line: int
    language: str
    words: tuple[str, ...]
    """What stands behind the language, where only who looks at the source sees it."""
    text: str

    @property
    def file(self) -> str | None:
        """The name under which its reader is told to save it."""
        return next((word for word in self.words if "." in word), None)

    @property
    def stays(self) -> bool:
        """Whether it runs until Ctrl-C."""
        return "stays" in self.words

    @property
    def status(self) -> int:
        """The exit status with which it ends."""
        return next((int(word[5:]) for word in self.words if word.startswith("exit=")), 0)

    def __str__(self) -> str:
        return f"{self.page.name}, line {self.line}"


def blocks(page: Path, *languages: str) -> Iterator[Block]:
    """Find all of them, or those in certain languages, in their order."""
    for token in MarkdownIt().parse(page.read_text("utf-8")):
        language, words = "", []
        if token.type == "fence":
            language, *words = token.info.split() or [""]
        elif token.type == "html_block" and token.content.strip() == CTRL_C:
            language = CTRL_C
        else:
            continue
        if not languages or language in languages:
            line = token.map[0] + 1 if token.map else 0
            yield Block(page, line, language, tuple(words), token.content)


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return _CODE.sub("", page.read_text("utf-8"))


def rows(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of the table whose first heading is that, without the backticks."""
    _, _, table = page.read_text("utf-8").partition(f"\n| {heading} |")
    lines = table.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]
