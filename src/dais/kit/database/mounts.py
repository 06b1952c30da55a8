"""Which file system holds a path. SQLite's locks do not work on network file systems."""

from __future__ import annotations

from pathlib import Path

from dais.kit.errors import Invalid

NETWORK_FILE_SYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "gpfs",
    "beegfs",
    "fuse.sshfs",
}


def file_system_of(path: Path, mountinfo: str | None = None) -> str:
    """The type of the file system that holds `path` ("ext4"); "unknown" where the kernel does not tell."""
    if mountinfo is None:
        try:
            mountinfo = Path("/proc/self/mountinfo").read_text()
        except OSError:
            return "unknown"
    target = path.resolve()
    best, kind = -1, "unknown"
    for line in mountinfo.splitlines():
        head, _, tail = line.partition(" - ")
        point = Path(head.split()[4].encode().decode("unicode_escape"))
        depth = len(point.parts)
        if depth >= best and (target == point or point in target.parents):
            best, kind = depth, tail.split()[0]
    return kind


def refuse_network_file_system(directory: Path, mountinfo: str | None = None) -> None:
    """Raises Invalid `network-file-system` when `directory` lies on one."""
    kind = file_system_of(directory, mountinfo)
    if kind in NETWORK_FILE_SYSTEMS:
        raise Invalid(
            f"{directory} is on a network file system ({kind}), where SQLite loses data; "
            "choose a local --data-dir, or use PostgreSQL (DAIS_DATABASE_URL=postgresql://…)",
            code="network-file-system",
            directory=str(directory),
        )
