"""``console``: a browser that is signed in."""

from __future__ import annotations

import html
import os
import tempfile
import webbrowser
from pathlib import Path
from typing import Final

import click

from ..client import Operator
from ..setting_values import UNIX
from .asking import ask, json_option, server_options
from .help import examples
from .output import json as print_json
from .output import remark
from .plain import plain
from .server import Server

_PAGE: Final = """\
<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0;url={url}">
<title>Cameleer</title>
<p><a href="{url}">Open the console</a>
"""


@click.command("console", epilog=examples("console", "console --no-browser"))
@click.option("--no-browser", is_flag=True, help="Print the address instead of opening it.")
@json_option
@server_options
def console_command(server: Server, no_browser: bool, as_json: bool) -> None:
    """Open the console in a browser, signed in with the token in the environment.

    The address contains a code that signs in once, within a minute. The token itself is not passed
    on. With --json the address is printed, too.
    """
    if server.given.startswith(UNIX):
        raise click.UsageError(
            "a browser cannot open a unix socket: give an http address with --url"
        )
    code, answered = ask(server, _code)
    # What answered is up, and has made the code. A single address is opened as it was given.
    one = answered if "," in server.given else str(server)
    one = f"{one.rstrip('/')}/"
    url = one if code is None else f"{one}#code={code}"
    if as_json:
        print_json({"url": url})
    elif not no_browser and _open(url):
        remark(f"opened {one} in a browser")
    else:
        print(plain(url))


async def _code(operator: Operator) -> tuple[str | None, str]:
    """Make a code, and return it with the address of the server that has made it.

    The code is None if the server does not ask for credentials and none is shown.
    """
    auth = await operator.auth()
    if "token" not in auth.methods or not (auth.required or auth.principal):
        return None, operator.current_url
    code = (await operator.session_code()).code
    return code, operator.current_url


def _open(url: str) -> bool:
    """Open an address in a browser; tell whether there is one.

    A browser is given a file of this user only, which leads there: everybody on the machine can
    read its command line, and could be quicker to spend the code. The file stays, since nobody can
    tell when it has been read; what is in it is good for a minute.
    """
    try:
        page = Path(tempfile.mkdtemp(prefix="cameleer-")) / "console.html"  # 0700
        descriptor = os.open(page, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(_PAGE.format(url=html.escape(url)))
        return webbrowser.open(page.as_uri())
    except (OSError, webbrowser.Error):
        return False
