"""Making what a run needs on disk, and removing it. Blocking: call it in a thread.

Everything here may be done again after a crash: a directory appears whole or not at all, and removing what is not
there is fine.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

import msgspec

from dais.compute.jobs.types import Work
from dais.compute.launch import Staged, has_host_image, is_contained
from dais.compute.loops.group import Group
from dais.compute.loops.inputs import Bringing, bring
from dais.compute.loops.spares import WORK
from dais.data import FolderStore, Owner, materialize
from dais.engines.contract import Bind, HostTools
from dais.kit.handover import hand_over
from dais.kit.ids import is_id, new_id

log = logging.getLogger(__name__)

BINDS = "binds"
"""The file beside a working directory that says what of file sets is mounted."""
_binds = msgspec.json.Decoder(tuple[Bind, ...]).decode

_placing = threading.Lock()
"""A run may be staged by two threads at once: what lost contact is launched again."""


def give_to_jobs(host: HostTools, folders: FolderStore, data_dir: Path) -> None:
    """See to it that what jobs use belongs to whom it must, now and from now on; files of another owner are given over.

    That is another one than before after an upgrade, or once the machine can do more, or less, than it could.
    """
    folders.owner = Owner(host.uid, host.gid)
    if host.uid is None or host.gid is None:
        return
    places = [folders.root, data_dir / "envs", *(directory for directory in (data_dir / "jobs").glob("*/"))]
    for place in places:
        given = hand_over(place, host.uid, host.gid, keep=(".partial", ".trash"))
        if given:
            log.info("%d directories in %s were given to user %d", given, place, host.uid)


def make_tools(group: Group) -> None:
    """`python` and `python3` of the host image, as links in a directory that jobs have first on their path.

    Also the place for directories that serve again, with nothing in it.
    """
    group.spares.begin()
    if not has_host_image(group.host):
        return
    group.tools.mkdir(parents=True, exist_ok=True, mode=0o755)
    for name in ("python", "python3"):
        link, fresh = group.tools / name, group.tools / f".{name}.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(group.host.interpreter)
        fresh.replace(link)


def stage(group: Group, work: Work, environment: Path | None, bringing: Bringing | None = None) -> Staged:
    """The working directory with the job's source and data, and the host paths of its folders.

    What is staged already is left as it is: after a crash a run is staged again that may be running, and the directory
    holds what it wrote. Raises DaisError when the source or a folder is gone, OSError when the disk refuses.
    """
    directory = group.run_directory(work.run_id)
    if work.spec.source is None and not work.pins.staged and group.spares.take(directory):
        return staged(group, work, environment)
    inner = directory / WORK
    if not inner.exists():
        directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        fresh = directory / f".{new_id()}"
        fresh.mkdir(mode=0o755)
        uid, gid = group.host.uid, group.host.gid
        if uid is not None:
            os.chown(fresh, uid, -1 if gid is None else gid)
        if work.spec.source is not None:
            materialize(group.blobs, work.spec.source, fresh, uid=uid, gid=gid)
        if work.pins.staged:
            if bringing is None:
                raise FileNotFoundError(errno.ENOENT, "what was staged is gone", str(inner))
            (directory / BINDS).write_bytes(msgspec.json.encode(bring(group, work, fresh, bringing)))
        with _placing:
            if not inner.exists():
                fresh.rename(inner)
                return staged(group, work, environment)
        shutil.rmtree(fresh, ignore_errors=True)
    return staged(group, work, environment)


def staged(group: Group, work: Work, environment: Path | None) -> Staged:
    """The paths of what has been staged."""
    mounts = tuple(
        Bind(
            source=str(group.folders.host_path(mount.folder_id, mount.path)),
            target=mount.target,
            read_only=mount.read_only,
            exact=True,
        )
        for mount in work.mounts
    )
    if work.pins.inputs and is_contained(group.host):
        mounts += _binds((group.run_directory(work.run_id) / BINDS).read_bytes())
    return Staged(
        work=group.run_directory(work.run_id) / WORK,
        tools=group.tools,
        environment=environment,
        mounts=mounts,
        reports=group.reports.place_of(work.run_id),
    )


def clean_up(group: Group, run_ids: Iterable[str]) -> None:
    """Remove what was staged for runs that have ended, or keep it for others where nothing was left in it."""
    uid = os.geteuid() if group.host.uid is None else group.host.uid
    for run_id in run_ids:
        directory = group.run_directory(run_id)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{directory}/{BINDS}")  # noqa: PTH108 (each run comes through here)
        if group.spares.keep(directory, uid, group.host.gid) or _removed_empty(directory):
            continue
        shutil.rmtree(directory, ignore_errors=True)
        if directory.exists():
            _open_up(directory)
            shutil.rmtree(directory, ignore_errors=True)


def _removed_empty(directory: Path) -> bool:
    """Remove a working directory in which nothing was left, as most: many times quicker than to look for files."""
    try:
        (directory / WORK).rmdir()
        directory.rmdir()
    except OSError:
        return False
    return True


def _open_up(directory: Path) -> None:
    """Let directories that a job has closed, even to its own user, be emptied. Links are not followed."""
    for parent, names, _ in os.walk(directory):
        for name in names:
            path = Path(parent) / name
            if not path.is_symlink():
                with contextlib.suppress(OSError):
                    path.chmod(0o700)


def staged_runs(group: Group) -> list[str]:
    """The runs for which something is staged."""
    return _names(group.data_dir / "jobs")


def built_environments(group: Group) -> list[str]:
    """The environments that have a directory."""
    return _names(group.data_dir / "envs")


def remove_environments(group: Group, environment_ids: Iterable[str]) -> None:
    """Remove directories of environments that no row knows."""
    for environment_id in environment_ids:
        shutil.rmtree(group.environment_directory(environment_id), ignore_errors=True)


def _names(directory: Path) -> list[str]:
    try:
        return [entry.name for entry in directory.iterdir() if is_id(entry.name)]
    except FileNotFoundError:
        return []


def tree_size(directory: Path) -> int:
    """Bytes of the files below a directory."""
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            total += (Path(parent) / name).lstat().st_size
    return total
