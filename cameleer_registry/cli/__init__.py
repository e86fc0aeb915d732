"""The command line: a server where no command is named, and what operators ask it."""

from .main import main

__all__ = ["main"]
