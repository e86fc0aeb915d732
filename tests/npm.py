"""Packages from npm, for the tests that need something that lives there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .processes import required


def install(folder: Path, *packages: str) -> Path:
    """Install packages below a folder, and return it. Where that fails, skip; but never in CI."""
    command = [required("npm"), "install", "--no-audit", "--no-fund", "--prefix", str(folder)]
    done = subprocess.run([*command, *packages], capture_output=True, text=True)
    if done.returncode:
        assert not os.environ.get("CI"), done.stderr
        pytest.skip(f"npm cannot install {', '.join(packages)}")
    return folder
