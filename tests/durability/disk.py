"""A disk that is slow, fails or is full when a test says so, below a server that knows nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from attrs import frozen

from ..processes import required

SOURCE = Path(__file__).with_name("disk.c")


@frozen
class Disk:
    """Rules for the calls by which one server reaches its files; see ``disk.c``."""

    library: Path
    rules: Path

    @classmethod
    def made_in(cls, directory: Path) -> Disk:
        """Compile it; until it is given rules it does nothing."""
        library = directory / "disk.so"
        command = [
            required("gcc"),
            "-shared",
            "-fPIC",
            "-O1",
            "-Wall",
            "-Werror",
            "-o",
            str(library),
        ]
        subprocess.run([*command, str(SOURCE), "-ldl"], check=True, timeout=60)
        return cls(library, directory / "rules")

    @property
    def env(self) -> dict[str, str]:
        """The environment of a process that has this disk."""
        return {"LD_PRELOAD": str(self.library), "FAULTY_DISK": str(self.rules)}

    def set(self, *rules: str) -> None:
        """Put these rules in the place of those before; without any all is well."""
        new = self.rules.with_suffix(".new")
        new.write_text("".join(f"{rule}\n" for rule in rules))
        os.replace(new, self.rules)
