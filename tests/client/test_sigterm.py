"""SIGTERM, in processes of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from asyncio.subprocess import PIPE

import pytest

from cameleer_registry.client.sigterm import on_sigterm

from ..processes import environment
from ..support import within

HEAD = """
import asyncio, os, signal, sys, threading, time
from cameleer_registry.client.sigterm import on_sigterm

def told(*_):
    print("told", flush=True)

def me():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.01)
"""


@pytest.mark.parametrize(
    ("program", "said", "status"),
    [
        (
            "with on_sigterm(told): me()",
            "told\n",
            0,
        ),
        (
            "with on_sigterm(told): pass\nme()",
            "",
            -signal.SIGTERM,
        ),
        # The program's own handler is there first, or comes while an agent runs.
        (
            "signal.signal(signal.SIGTERM, lambda *_: print('mine'))\n"
            "with on_sigterm(told): me()\n"
            "me()",
            "mine\nmine\n",
            0,
        ),
        (
            "with on_sigterm(told):\n"
            " signal.signal(signal.SIGTERM, lambda *_: print('mine')); me()\n"
            "me()",
            "mine\nmine\n",
            0,
        ),
        # Two agents; the one that has begun first ends first.
        (
            "a, b = on_sigterm(told), on_sigterm(told)\n"
            "a.__enter__(); b.__enter__(); me(); a.__exit__(None, None, None); me()\n"
            "b.__exit__(None, None, None); me()",
            "told\ntold\ntold\n",
            -signal.SIGTERM,
        ),
        # In another thread, and left there last.
        (
            "a, b = on_sigterm(told), on_sigterm(told)\n"
            "a.__enter__()\n"
            "t = threading.Thread(target=b.__enter__); t.start(); t.join(); me()\n"
            "a.__exit__(None, None, None); me()\n"
            "t = threading.Thread(target=b.__exit__, args=(None,) * 3); t.start(); t.join(); me()",
            "told\ntold\ntold\n",
            -signal.SIGTERM,
        ),
        # A child that was forked while an agent ran is ended by it: the agent is its parent's.
        (
            "with on_sigterm(told):\n"
            " pid = os.fork()\n"
            " if pid == 0:\n"
            "  me(); os._exit(9)\n"
            " print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))",
            "-15\n",
            0,
        ),
    ],
    ids=["told", "given back", "first", "meanwhile", "two", "threads", "forked"],
)
async def test_who_is_told(program: str, said: str, status: int) -> None:
    """The agents, as long as nobody else is to be."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HEAD + program, env=environment(), stdout=PIPE, stderr=PIPE
    )
    try:
        out, err = await within(process.communicate())
    finally:
        if process.returncode is None:
            process.kill()
    assert (said, b"", status) == (out.decode(), err, process.returncode)


async def test_a_loop_that_waits_is_woken_up() -> None:
    """The signal comes while nothing else is to be done for a long time."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        loop.call_soon_threadsafe(told.set)

    with on_sigterm(tell):
        killer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM))
        killer.start()
        await within(told.wait())
    assert signal.SIG_DFL is signal.getsignal(signal.SIGTERM)
