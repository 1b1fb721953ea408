"""Find on which file system a file lies, and what that means for a database."""

import re
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

MOUNTS: Final = Path("/proc/self/mountinfo")
LAYERS: Final = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs", "unionfs"})
IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
NETWORK: Final = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|ceph|glusterfs|lustre|afs|beegfs|virtiofs|davfs\d?"
    r"|fuse\.(?:sshfs|s3fs|rclone|gcsfuse|glusterfs|cephfs|juicefs|goofys|blobfuse\w*|vmhgfs-fuse|davfs\d?)"
)
ESCAPED: Final = re.compile(r"\\([0-7]{3})")  # a space in the name of a folder, for example


class Kind(Enum):
    """Where a file system keeps its files."""

    DISK = "disk"
    LAYER = "layer"
    MEMORY = "memory"
    NETWORK = "network"


class Mount(NamedTuple):
    """Where a file system begins, and its type in Linux's words."""

    point: Path
    type: str

    @property
    def kind(self) -> Kind:
        """Where a file system of this type keeps its files."""
        if self.type in LAYERS:
            return Kind.LAYER
        if self.type in IN_MEMORY:
            return Kind.MEMORY
        return Kind.NETWORK if NETWORK.fullmatch(self.type) else Kind.DISK


def mount_of(path: Path) -> Mount | None:
    """Return where *path*, absolute and without links, is mounted; None if that is unknown."""
    try:
        text = MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not on Linux
        return None
    return innermost(path, text)


def innermost(path: Path, mountinfo: str) -> Mount | None:
    """Return the mount of *path*, by the text of /proc/self/mountinfo.

    Of two mounts at one place, the later one hides the earlier.
    """
    found: Mount | None = None
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(ESCAPED.sub(lambda code: chr(int(code[1], 8)), before.split()[4]))
        is_inside = path == point or point in path.parents
        if is_inside and (found is None or len(point.parts) >= len(found.point.parts)):
            found = Mount(point, after.split()[0])
    return found
