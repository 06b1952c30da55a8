"""What a job has of the data lake: looked up and fixed when it is submitted, so that every run of it has the same."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import insert

from dais.compute.jobs.tables import job_codes, job_inputs
from dais.data import FixedSet, LakeFile, fix_file_set, fix_folder, get_file, require_output
from dais.identity import Account, Actor, get_account
from dais.kit.database import Statement, UnitOfWork
from dais.kit.errors import Conflict, Invalid
from dais.wire.names import split_version
from dais.wire.paths import shown
from dais.wire.spec import Input, JobSpec, Mount

_insert_input = Statement(insert(job_inputs))
_insert_code = Statement(insert(job_codes))


class PinnedInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A version of a file set. `target` None: it is laid out in the working directory.

    `path` is the directory of it that is mounted at the target ("": all of it). `account_id` is whose set it is, where
    that is not the job's account's.
    """

    set_version_id: str
    name: str
    version: int
    target: str | None
    files: int
    size: int
    path: str = ""
    account_id: str | None = None


class PinnedOutput(msgspec.Struct, frozen=True, kw_only=True):
    """Where the job writes, below its working directory, and what the set is called."""

    path: str
    fileset: str


class Pins(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of it."""

    inputs: tuple[PinnedInput, ...] = ()
    code: LakeFile | None = None
    output: PinnedOutput | None = None

    @property
    def staged(self) -> bool:
        """Whether something has to be brought to a run before it starts."""
        return bool(self.inputs or self.code)

    @property
    def size(self) -> int:
        """Bytes that are brought, as they are stored."""
        return sum(one.size for one in self.inputs) + (self.code.size if self.code else 0)


NOTHING = Pins()
decode_pins = msgspec.json.Decoder(Pins).decode


def has_data(spec: JobSpec) -> bool:
    """Whether a job has anything of the data lake."""
    return bool(spec.inputs or spec.output or spec.code or any(is_version(mount) for mount in spec.data))


def is_version(mount: Mount) -> bool:
    """Whether a version of a folder is meant, `code@3`, and not what is in one when the job runs."""
    return split_version(mount.name)[1] is not None


def fix(uow: UnitOfWork, actor: Actor, where: Account, spec: JobSpec) -> Pins:
    """The versions that a spec means now. Changes nothing.

    Raises NotFound `no-such-fileset`, `no-such-file`, Forbidden, Conflict `path-conflict` where two inputs have
    different contents at one path of the working directory.
    """
    found = [(one, fix_file_set(uow, actor, where, one.fileset)) for one in spec.inputs]
    _refuse_conflicts([(one, fixed) for one, fixed in found if one.target is None])
    inputs = tuple(
        PinnedInput(
            set_version_id=fixed.version.id,
            name=fixed.version.name,
            version=fixed.version.version,
            target=one.target,
            files=fixed.version.files,
            size=fixed.version.size,
        )
        for one, fixed in found
    )
    inputs += tuple(_fix_mount(uow, actor, where, mount) for mount in spec.data if is_version(mount))
    output = None
    if spec.output is not None:
        output = PinnedOutput(path=spec.output.path, fileset=spec.output.fileset or "")
        require_output(uow, actor, where, f"/{output.path}/", output.fileset or "job_output")
    code = get_file(uow, actor, spec.code, account=where.id) if spec.code is not None else None
    return Pins(inputs=inputs, code=code, output=output)


def fixed_spec(spec: JobSpec, pins: Pins) -> JobSpec:
    """The spec that names what was fixed, so that submitting it again is the same job."""
    inputs = tuple(
        Input(fileset=f"{pin.name}:{pin.version}", target=one.target)
        for one, pin in zip(spec.inputs, pins.inputs, strict=False)  # versions of folders follow, and name themselves
    )
    return msgspec.structs.replace(spec, inputs=inputs, code=pins.code.name if pins.code else None)


def named(uow: UnitOfWork, actor: Actor, where: Account, pins: Pins, number: int) -> Pins:
    """The pins with the name of the set that the job of this number makes. Raises Forbidden."""
    if pins.output is None or pins.output.fileset:
        return pins
    name = f"job_{number}_output"
    require_output(uow, actor, where, f"/{pins.output.path}/", name)
    return msgspec.structs.replace(pins, output=msgspec.structs.replace(pins.output, fileset=name))


def note_uses(uow: UnitOfWork, job_id: str, pins: Pins) -> None:
    """Write down what a job uses, which keeps it from being removed."""
    uow.many(
        _insert_input,
        (
            {"job_id": job_id, "position": position, "set_version_id": one.set_version_id, "target": one.target}
            for position, one in enumerate(pins.inputs)
        ),
    )
    if pins.code is not None:
        uow.run(_insert_code, job_id=job_id, file_version_id=pins.code.id)


def check_pins(uow: UnitOfWork, actor: Actor, where: Account, pins: Pins) -> None:
    """Ask again for all that is pinned, for whoever lets the job run once more. Raises as `fix`."""
    for one in pins.inputs:
        of = get_account(uow, one.account_id) if one.account_id is not None else where
        fix_file_set(uow, actor, of, f"{one.name}:{one.version}")
    if pins.code is not None:
        get_file(uow, actor, pins.code.name, account=where.id)
    if pins.output is not None:
        require_output(uow, actor, where, f"/{pins.output.path}/", pins.output.fileset)


def _fix_mount(uow: UnitOfWork, actor: Actor, where: Account, mount: Mount) -> PinnedInput:
    """A version of a folder, or a directory of it, at the mount's target."""
    folder, fixed, top = fix_folder(uow, actor, mount.name, account=where.id, action="data:mount")
    path = f"{top}/{mount.path}".rstrip("/")
    if mount.path and not any(file.path.startswith(f"/{path}/") for file in fixed.files):
        raise Invalid(
            f"{mount.name} has no directory {shown(mount.path)} to mount; mount all of it, or another one",
            code="no-such-directory",
            path=mount.path[:200],
        )
    return PinnedInput(
        set_version_id=fixed.version.id,
        name=fixed.version.name,
        version=fixed.version.version,
        target=mount.target,
        files=fixed.version.files,
        size=fixed.version.size,
        path=path if fixed.files else "",
        account_id=folder.account_id if folder.account_id != where.id else None,
    )


def _refuse_conflicts(found: Sequence[tuple[Input, FixedSet]]) -> None:
    """What two inputs have at one place of the working directory must be the same."""
    if len(found) < 2:
        return
    files: dict[str, tuple[str, LakeFile]] = {}
    directories: dict[str, str] = {}
    for _, fixed in found:
        name = fixed.version.full_name
        for file in fixed.files:
            other = files.get(file.path)
            if other is not None and not same_content(other[1], file):
                raise _conflict(file.path, other[0], name)
            files[file.path] = (name, file)
            _note_parents(directories, file.path, name)
    for path in directories.keys() & files.keys():
        raise _conflict(path, files[path][0], directories[path])


def same_content(one: LakeFile, other: LakeFile) -> bool:
    """Whether two versions are the same to whoever reads them."""
    return (one.digest, one.executable) == (other.digest, other.executable)


def _note_parents(directories: dict[str, str], path: str, name: str) -> None:
    parent = path.rpartition("/")[0]
    while parent and parent not in directories:
        directories[parent] = name
        parent = parent.rpartition("/")[0]


def _conflict(path: str, one: str, other: str) -> Conflict:
    return Conflict(
        f"{one} and {other} both have {shown(path)}, and not the same; bind one of them elsewhere, as "
        f"{other}=/inputs/{other.partition(':')[0]}",
        code="path-conflict",
        path=path,
        filesets=[one, other],
    )
