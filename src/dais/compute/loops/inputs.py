"""Bringing what a run has of the data lake into its working directory. Blocking: call it in a thread.

A file set with a target is one tree, mounted read-only there. One without is laid out in the working directory: its
directories are mounted there, too, each in its place, unless something else lies in the same one; then, and where jobs
have no file system of their own, its files are copied, read-only.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from dais.compute.jobs.pins import PinnedInput, Pins
from dais.compute.jobs.types import Work
from dais.compute.launch import WORK, is_contained
from dais.compute.loops.group import Group
from dais.data import LakeFile, Owner, TreeWriter, UnpackLimits, set_files, unpack
from dais.engines.contract import Bind
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError, Invalid

_clashes = (errno.EEXIST, errno.ENOTDIR, errno.ELOOP, errno.EISDIR)


class Bringing(msgspec.Struct, frozen=True):
    """What is to be brought: the files of each set, by its version's id; `tell` is told of bytes."""

    files: Mapping[str, Sequence[LakeFile]]
    tell: Callable[[int], None]


def read_inputs(uow: UnitOfWork, pins: Pins) -> dict[str, list[LakeFile]]:
    """The files of the sets that are read, by the ids of their versions."""
    return {one: set_files(uow, one) for one in {pinned.set_version_id for pinned in pins.inputs}}


def bring(group: Group, work: Work, directory: Path, bringing: Bringing) -> tuple[Bind, ...]:
    """Bring a run's code and inputs into its working directory, which holds its source; what is to be mounted beside.

    Raises DaisError (`bad-archive`, `input-clash`, `no-such-blob`, `disk-full`), OSError.
    """
    try:
        if work.pins.code is not None:
            _bring_code(group, work.pins.code, directory)
            bringing.tell(work.pins.code.size)
        return tuple(_bring_inputs(group, work, directory, bringing))
    except OSError as error:
        if error.errno not in _clashes:
            raise
        raise Invalid(
            f"the job's source, code and inputs clash in its working directory, at {error.filename}: bind the file set "
            "at a path of its own, as NAME=/inputs",
            code="input-clash",
        ) from error


def _bring_code(group: Group, code: LakeFile, directory: Path) -> None:
    limits = UnpackLimits(size=group.settings.code_limit)
    try:
        with group.blobs.open(code.digest) as archive:
            unpack(archive, code.size, directory, owner=_owner(group), limits=limits)
    except DaisError as error:
        raise type(error)(f"the code {code.name}: {error.message}", code=error.code) from error


def _bring_inputs(group: Group, work: Work, directory: Path, bringing: Bringing) -> Iterator[Bind]:
    inputs, taken = work.pins.inputs, _taken(work)
    for one in inputs:
        if one.target is not None:
            tree = group.trees.ensure(one.set_version_id, bringing.files[one.set_version_id], bringing.tell)
            yield Bind(source=str(tree / one.path), target=one.target)
    laid = [one for one in inputs if one.target is None]
    tops = Counter(top for one in laid for top in _directories(bringing.files[one.set_version_id]))
    writer = TreeWriter(group.blobs, links=False, owner=_owner(group))
    written: set[str] = set()
    for one in laid:
        files = bringing.files[one.set_version_id]
        mounted: set[str] = set()
        if is_contained(group.host):
            names = _directories(files)
            mounted = {
                name for name in names if tops[name] == 1 and name not in taken and not _is_there(directory / name)
            }
        yield from _mount(group, one, directory, mounted, bringing)
        rest = [file for file in files if _top(file) not in mounted and file.path not in written]
        group.blobs.check_space(sum(file.size for file in rest))
        writer.write(directory, rest, bringing.tell)
        written.update(file.path for file in rest)


def _mount(group: Group, one: PinnedInput, directory: Path, names: set[str], bringing: Bringing) -> Iterator[Bind]:
    """Directories of a set's tree, each with an empty one in the working directory to be mounted on."""
    if not names:
        return
    files = bringing.files[one.set_version_id]
    copied = sum(file.size for file in files if _top(file) not in names)
    tree = group.trees.ensure(one.set_version_id, files, bringing.tell)
    bringing.tell(-copied)  # of these the working directory gets copies, which are told of by themselves
    owner = _owner(group)
    for name in sorted(names):
        (directory / name).mkdir(mode=0o755)
        owner.give_path(directory / name)
        yield Bind(source=str(tree / name), target=f"{WORK}/{name}")


def _taken(work: Work) -> set[str]:
    """The first names of paths in the working directory in which something else is written, or mounted."""
    paths = [mount.target for mount in work.mounts]
    paths += [one.target for one in work.pins.inputs if one.target is not None]
    paths += [use.file for use in work.spec.secrets if use.file is not None]
    taken = {path[len(WORK) + 1 :].partition("/")[0] for path in paths if path.startswith(f"{WORK}/")}
    return taken | ({work.pins.output.path.partition("/")[0]} if work.pins.output is not None else set())


def _directories(files: Sequence[LakeFile]) -> set[str]:
    """The directories right below the top of a set; a file there is copied."""
    return {top for file in files if (top := _top(file)) is not None}


def _top(file: LakeFile) -> str | None:
    """The directory below the top that a file lies in."""
    top, slash, _ = file.path[1:].partition("/")
    return top if slash else None


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _owner(group: Group) -> Owner:
    return Owner(group.host.uid, group.host.gid)
