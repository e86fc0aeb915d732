"""Which kind of file system a file is on, where that matters to a database."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

REMOTE: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "afs", "ceph", "glusterfs", "lustre"}
    | {"fuse", "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "fuseblk"}
)
"""Those on which several processes cannot share memory through a file, as SQLite's WAL has it."""

FLEETING: Final = frozenset({"overlay", "overlayfs", "tmpfs", "ramfs", "aufs"})
"""Those whose files go with a container, or with the next start of the host."""

MOUNTS: Final = Path("/proc/self/mountinfo")


def kind_of(directory: Path, mounts: Path = MOUNTS) -> str:
    """Return the kind of a directory's file system, in the kernel's words; empty if unknown.

    The deepest mount above it counts (proc(5), /proc/pid/mountinfo).
    """
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
        place = os.path.realpath(directory)
    except OSError:
        return ""
    found, kind = "", ""
    for line in lines:
        mounted, _, rest = line.partition(" - ")
        fields = mounted.split(" ")
        if len(fields) < 5 or not rest:
            continue
        where = fields[4].encode("utf-8", "surrogateescape").decode("unicode_escape")
        is_above = place == where or place.startswith(where.rstrip("/") + "/")
        if is_above and len(where) >= len(found):
            found, kind = where, rest.split(" ")[0]
    return kind
