"""The programs of docs/signed-lines.md: what they take, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from attrs import frozen

from cameleer_registry.security import base64url, lines
from cameleer_registry.security.ed25519 import spki
from cameleer_registry.security.lines import Kind

from ..docs.pages import ROOT, blocks
from ..processes import environment, required
from .support import VECTOR_KEY, VECTOR_LINE, VECTOR_SPKI, key

PAGE: Final = ROOT / "docs" / "signed-lines.md"

HOSTILE: Final[dict[str, Any]] = {
    "quotes": "\"'`$(exit 9)${HOME}%s%n\\\\",
    "members": {"a": 1, "signature": "x", "b": [{"c": None, "signature": {"d": "}"}}]},
    "text": ',"signature":"' + "A" * 86 + '"}',
    "letters": "äß漢字🐫\U0010ffff\u2028\x7f",
    "control": "\n\r\t\x00\x1f",
    "numbers": [0, 2**64 - 1, -(2**63), 0.1, 1e300],
    "ends": "\\",
    "long": "x" * 100_000,
}


@frozen
class Language:
    """How a program of that language is run."""

    file: str
    program: tuple[str, ...]

    def check(self, folder: Path, key: str, given: list[bytes]) -> list[bytes]:
        """Return what it says of each of these lines."""
        required(self.program[0])
        [program] = [block for block in blocks(PAGE) if block.file == self.file]
        (folder / self.file).write_text(program.text, "utf-8")
        done = subprocess.run(
            [*self.program, self.file, key],
            input=b"".join(line + b"\n" for line in given),
            capture_output=True,
            cwd=folder,
            env=environment(),
            timeout=100,
            check=True,
        )
        assert b"" == done.stderr
        said = done.stdout.split(b"\n")
        assert b"" == said.pop()
        return said


LANGUAGES: Final = {
    "sh": Language("check.sh", ("sh",)),
    "java": Language("Check.java", ("java",)),
    "python": Language("check.py", (sys.executable,)),
}


@pytest.fixture(params=LANGUAGES)
def check(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[str, list[bytes]], list[bytes]]:
    language = LANGUAGES[request.param]
    return lambda key, given: language.check(tmp_path, key, given)


def test_what_was_signed_is_told_as_it_was(
    check: Callable[[str, list[bytes]], list[bytes]],
) -> None:
    """Byte for byte, whatever stands in it; and nothing that another key has signed."""
    signed = [
        VECTOR_LINE,
        lines.sign({"a": 1}, Kind.COMMAND, VECTOR_KEY),
        *(lines.sign({"payload": {n: v}}, Kind.COMMAND, VECTOR_KEY) for n, v in HOSTILE.items()),
        lines.sign(HOSTILE, Kind.KEYS, VECTOR_KEY),
    ]
    expected = [lines.split(line).message for line in signed]
    assert expected == check(VECTOR_SPKI, signed)
    assert [b"refused"] * 2 == check(spki(key(5).public), signed[:2])


def test_what_was_not_signed_like_that_is_refused(
    check: Callable[[str, list[bytes]], list[bytes]],
) -> None:
    """Bytes that were changed, added or taken away, in the message and in the signature."""
    line = VECTOR_LINE
    signature = line[-88:-2]
    other = base64url.encode(key(5).sign(lines.split(line).message)).encode()
    refused = [
        lines.split(line).message,
        b"",
        b"{}",
        b"}",
        b'"}',
        line[-102:],
        line.replace(b'"01"', b'"02"'),
        line.replace(b'"01"', b'"01" '),
        line.replace(b"{", b"{ "),
        line.replace(b"command/1", b"command/2"),
        line + b" ",
        line + b"}",
        line[:-1],
        line[1:],
        line[:-102] + b',"x":1' + line[-102:],
        line[:-1] + b',"x":1' + line[-102:],
        line.replace(signature, b"A" * 86),
        line.replace(signature, other),
        line.replace(signature, signature[1:]),
        line.replace(signature, signature + b"A"),
        line.replace(signature, b""),
        line.replace(signature, b"=" * 86),
        line.replace(signature, b"+" * 86),
        line.replace(signature, b"\xc3\xa4" * 43),
        line.replace(signature, b'"' * 86),
        line.replace(signature, signature[:-1] + b"*"),
        line.replace(b'"signature"', b'"Signature"'),
        line.replace(b',"signature"', b', "signature"'),
    ]
    answers = dict(zip(refused, check(VECTOR_SPKI, refused), strict=True))
    assert {b"refused"} == set(answers.values()), answers


def test_the_page_shows_the_vector() -> None:
    """With its key, so that somebody can try a program of their own."""
    text = PAGE.read_text("utf-8")
    assert VECTOR_LINE.decode() in text
    assert VECTOR_SPKI in text
