"""What an agent says of itself is written so that it cannot write to the terminal.

Names, messages and payloads come from elsewhere. A control character in one could move the cursor,
change the window's title or forge a line; a character that turns the direction of text could make
one name look like another.
"""

from __future__ import annotations

import json
import re
from typing import Final

_IN_JSON: Final = re.compile(
    # What JSON allows in a string and a terminal should not get: DEL and C1, line ends of
    # Unicode, and characters that cannot be seen or turn the direction of what follows.
    "[\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)

_NOT_ASCII: Final = re.compile("[\x7f-\U0010ffff]")


def plain(text: str) -> str:
    r"""Return a text on one line, in which what cannot be printed is escaped: ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(map(_printable, text))


def _printable(char: str) -> str:
    # A lone surrogate stands for a byte of a file name that is no UTF-8.
    return char if char.isprintable() else char.encode("unicode_escape").decode()


def plain_json(document: str, *, in_ascii: bool = False) -> str:
    """Return a JSON document that says the same, in characters that can be printed."""
    escaped = _NOT_ASCII if in_ascii else _IN_JSON
    return escaped.sub(lambda found: json.dumps(found[0])[1:-1], document)
