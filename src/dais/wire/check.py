"""What a job specification may contain. Runs where it is written and again where it is accepted."""

from __future__ import annotations

import math
import posixpath
import re

from dais.wire.inputs import WORK_DIRECTORY, check_job_data
from dais.wire.names import ACCOUNT_NAME, FOLDER_NAME, check_environment_name, check_job_name, split_version
from dais.wire.notify import check_targets
from dais.wire.ports import check_ports
from dais.wire.problems import SpecError, shown
from dais.wire.secrets import MAX_SECRETS, check_secret_name, check_variable, place
from dais.wire.spec import JobSpec, Mount, Resources
from dais.wire.units import format_size

MIB = 1 << 20
MAX_COMMAND = MIB
"""Bytes of all arguments together."""
MAX_ARGUMENT = 128 * 1024 - 1
"""Bytes of one argument or one NAME=VALUE: what Linux takes, without the final NUL."""
MAX_ENVIRONMENT = 256
MAX_ENVIRONMENT_BYTES = 512 * 1024
MAX_MOUNTS = 64
MAX_TAGS = 64
MAX_CORES = 100_000.0
MIN_MEMORY, MAX_MEMORY = MIB, 1 << 50
MAX_GPUS = 100_000
MAX_BID = 1_000_000_000
MAX_SECONDS = 10 * 365 * 86_400

RESERVED_TARGETS = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/proc", "/run", "/sbin", "/sys", "/usr"),
)
"""Where nothing may be mounted: what makes the container work lives there."""

SECRET_FILES = "/run/secrets/"  # noqa: S105 (a place)
"""Where secrets may be files, although the directory around it is reserved."""

_digest = re.compile(r"blake3:[0-9a-f]{64}")
_group = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)
_tag = re.compile(r"[^\s=,\x00-\x1f\x7f]{1,63}")


def check(spec: JobSpec) -> JobSpec:
    """The spec itself. Raises SpecError for the first thing in it that cannot work anywhere."""
    _check_command(spec.command)
    if spec.name is not None:
        check_job_name(spec.name)
    if spec.account is not None and not ACCOUNT_NAME.fullmatch(spec.account):
        raise SpecError(
            "account", f"{shown(spec.account)} is no account", given=spec.account, hint="as org.lab.project"
        )
    _check_line(spec.image, "image", 512, spaces=False)
    if spec.workdir is not None:
        _check_absolute(spec.workdir, "workdir")
    _check_mounts(spec.data)
    check_job_data(spec)
    _check_input_targets(spec)
    _check_environment(spec.environment)
    _check_secrets(spec)
    _check_resources(spec.resources)
    if abs(spec.bid) > MAX_BID:
        raise SpecError("bid", f"{spec.bid} is not from -{MAX_BID} to {MAX_BID}", given=spec.bid)
    if spec.max_run_time is not None and not 1 <= spec.max_run_time <= MAX_SECONDS:
        raise SpecError(
            "max_run_time",
            f"{spec.max_run_time} seconds is not from 1 second to 10 years",
            given=spec.max_run_time,
            hint="leave it out for no limit of your own",
        )
    if spec.idle_timeout is not None and not 0 <= spec.idle_timeout <= MAX_SECONDS:
        raise SpecError(
            "idle_timeout",
            f"{spec.idle_timeout} seconds is not from 0 (never) to 10 years",
            given=spec.idle_timeout,
            hint="leave it out for what is usual here",
        )
    _check_tags(spec.tags)
    check_targets(spec.notify)
    check_ports(spec.ports)
    if spec.source is not None and not _digest.fullmatch(spec.source):
        raise SpecError("source", f"{shown(spec.source)} is no digest of a source", given=spec.source)
    if spec.requirements:
        _check_inside(spec.requirements, "requirements")
    if spec.group is not None and not _group.fullmatch(spec.group):
        raise SpecError("group", f"{shown(spec.group)} is no resource group", given=spec.group)
    return spec


def _check_command(command: tuple[str, ...]) -> None:
    if not command:
        raise SpecError(
            "command", "it is empty", hint="write the command after `--`, as in: dais run -- python train.py"
        )
    if not command[0]:
        raise SpecError("command[0]", "the program's name is empty", hint="write the program first")
    total = 0
    for index, argument in enumerate(command):
        size = len(_utf8(argument, f"command[{index}]"))
        total += size + 1
        if size > MAX_ARGUMENT:
            raise SpecError(
                f"command[{index}]",
                f"an argument of {size:,} bytes is too long; one holds at most {MAX_ARGUMENT:,}",
                hint="put the text into a file, and give the job that file",
            )
    if total > MAX_COMMAND:
        raise SpecError(
            "command",
            f"it has {total:,} bytes; all arguments together hold at most {MAX_COMMAND:,}",
            hint="put the text into a file, and give the job that file",
        )


def _check_environment(environment: dict[str, str]) -> None:
    if len(environment) > MAX_ENVIRONMENT:
        raise SpecError(
            "environment",
            f"it has {len(environment)} variables; a job takes at most {MAX_ENVIRONMENT}",
            hint="put them into a file that the job reads",
        )
    total = 0
    for name, value in environment.items():
        check_environment_name(name, "environment")
        size = len(name) + 1 + len(_utf8(value, f"environment.{name}"))
        total += size
        if size > MAX_ARGUMENT:
            raise SpecError(
                f"environment.{name}", f"it has {size:,} bytes; one variable holds at most {MAX_ARGUMENT:,}"
            )
    if total > MAX_ENVIRONMENT_BYTES:
        raise SpecError("environment", f"it has {total:,} bytes; a job takes at most {MAX_ENVIRONMENT_BYTES:,}")


def _check_secrets(spec: JobSpec) -> None:
    if len(spec.secrets) > MAX_SECRETS:
        raise SpecError("secrets", f"{len(spec.secrets)} secrets are too many; a job takes at most {MAX_SECRETS}")
    seen: set[str] = set()
    for index, use in enumerate(spec.secrets):
        path = f"secrets[{index}]"
        check_secret_name(use.name, path)
        if use.file is not None and use.variable is not None:
            raise SpecError(path, "it has a variable and a file", hint="write two entries, one for each")
        if use.file is None:
            check_variable(use, spec.environment, path)
        else:
            _check_secret_file(use.file, spec.data, path)
        if place(use) in seen:
            raise SpecError(path, f"{shown(place(use))} is given twice", given=place(use), hint="keep one of them")
        seen.add(place(use))


def _check_secret_file(target: str, mounts: tuple[Mount, ...], path: str) -> None:
    if not target.startswith(SECRET_FILES):
        _check_target(target, path, "a secret")
    else:
        _check_absolute(target, path)
    for mount in mounts:
        if target == mount.target or target.startswith(mount.target + "/") or mount.target.startswith(target + "/"):
            raise SpecError(
                path,
                f"{shown(target)} and the folder at {shown(mount.target)} lie within each other",
                given=target,
                hint=f"put the secret elsewhere, as {SECRET_FILES}{target.rpartition('/')[2]}",
            )


def _check_resources(resources: Resources) -> None:
    if not (math.isfinite(resources.cpu) and 0.001 <= resources.cpu <= MAX_CORES):
        raise SpecError(
            "resources.cpu",
            f"{resources.cpu:g} is not from 0.001 to {MAX_CORES:,.0f} cores",
            given=resources.cpu,
            hint="write for example 2 or 0.5",
        )
    _check_memory(resources.mem, "resources.mem")
    if resources.shm is not None:
        _check_memory(resources.shm, "resources.shm")
    if not 0 <= resources.gpu <= MAX_GPUS:
        raise SpecError("resources.gpu", f"{resources.gpu} is not from 0 to {MAX_GPUS:,} GPUs", given=resources.gpu)


def _check_memory(size: int, path: str) -> None:
    if not MIN_MEMORY <= size <= MAX_MEMORY:
        exact = f"{size:,} bytes" if abs(size) < 1 << 60 else "that"
        raise SpecError(
            path,
            f"{exact} is not from {format_size(MIN_MEMORY)} to {format_size(MAX_MEMORY)}",
            given=size,
            hint="a number means GiB (16); other units are written out (512Mi, 4g)",
        )


def _check_mounts(mounts: tuple[Mount, ...]) -> None:
    if len(mounts) > MAX_MOUNTS:
        raise SpecError("data", f"{len(mounts)} mounts are too many; a job takes at most {MAX_MOUNTS}")
    for index, mount in enumerate(mounts):
        path = f"data[{index}]"
        _check_folder(mount.name, path)
        if not mount.read_only and split_version(mount.name)[1] is not None:
            raise SpecError(
                path,
                f"{shown(mount.name)} is a version, which never changes",
                given=mount.name,
                hint="mount it read-only (:ro), or a branch of it",
            )
        if mount.path:
            _check_inside(mount.path, path)
        _check_target(mount.target, path)
        for earlier, other in enumerate(mounts[:index]):
            _check_apart(mount.target, other.target, path, f"data[{earlier}]")


def _check_input_targets(spec: JobSpec) -> None:
    """Where inputs are bound there is nothing else, and the output is elsewhere."""
    taken = [(mount.target, f"data[{index}]") for index, mount in enumerate(spec.data)]
    if spec.output is not None:
        written = f"{WORK_DIRECTORY}/{spec.output.path}"
        for target, earlier in taken:
            _check_apart(written, target, "output", earlier)
        taken.append((written, "output"))
    for index, one in enumerate(spec.inputs):
        if one.target is not None:
            path = f"inputs[{index}]"
            _check_target(one.target, path, "a file set")
            for other, earlier in taken:
                _check_apart(one.target, other, path, earlier)
            taken.append((one.target, path))


def _check_folder(name: str, path: str) -> None:
    """A short name, a full name, or an id."""
    head, _ = split_version(name)
    account, _, own = head.rpartition("./") if "./" in head else head.rpartition(".")
    if not FOLDER_NAME.fullmatch(own) or (account and not ACCOUNT_NAME.fullmatch(account)):
        raise SpecError(
            path,
            f"{shown(name)} names no folder",
            given=name,
            expected="NAME[/below]:/mount[:ro]",
            hint="host paths cannot be mounted; make a folder with `dais folder new NAME ./dir`",
        )


def _check_target(target: str, path: str, what: str = "a folder") -> None:
    _check_absolute(target, path)
    if target == "/":
        raise SpecError(path, f"{what} cannot be mounted at '/'", given=target, hint="mount it at a path, as /data")
    for reserved in RESERVED_TARGETS:
        if target == reserved or target.startswith(reserved + "/"):
            raise SpecError(
                path,
                f"{what} cannot be mounted at {shown(target)}: {reserved} belongs to the system",
                given=target,
                hint="mount it elsewhere, as /data or /home/work/data",
            )


def _check_apart(target: str, other: str, path: str, earlier: str) -> None:
    if target == other:
        raise SpecError(path, f"{shown(target)} is already the mount point of {earlier}", given=target)
    if target.startswith(other + "/") or other.startswith(target + "/"):
        raise SpecError(
            path,
            f"{shown(target)} and {shown(other)} ({earlier}) lie within each other",
            given=target,
            hint="mount them side by side",
        )


def _check_absolute(value: str, path: str) -> None:
    _check_line(value, path, 4096)
    if not value.startswith("/"):
        raise SpecError(path, f"{shown(value)} is not an absolute path", given=value, hint="begin it with /")
    if ".." in value.split("/"):
        raise SpecError(path, f"{shown(value)} leads through '..'", given=value, hint="write the path without '..'")
    if posixpath.normpath(value) != value or value.startswith("//"):  # POSIX lets two slashes stand at the beginning
        plain = "/" + posixpath.normpath(value).lstrip("/")
        raise SpecError(path, f"{shown(value)} is not in its plain form", given=value, hint=f"write {shown(plain)}")


def _check_inside(value: str, path: str) -> None:
    """A relative path that stays where it begins."""
    _check_line(value, path, 4096)
    if value.startswith("/") or ".." in value.split("/") or posixpath.normpath(value) != value:
        raise SpecError(
            path,
            f"{shown(value)} is not a plain path inside",
            given=value,
            hint="write it relative, without '..', './' and a '/' at its end",
        )


def _check_tags(tags: dict[str, str]) -> None:
    if len(tags) > MAX_TAGS:
        raise SpecError("tags", f"{len(tags)} tags are too many; a job takes at most {MAX_TAGS}")
    for key, value in tags.items():
        _utf8(key, "tags")
        if not _tag.fullmatch(key):
            raise SpecError(
                "tags",
                f"{shown(key)} cannot name a tag",
                given=key,
                expected="1 to 63 characters without spaces, '=' and ','",
                hint="write it as key=value, or a word alone",
            )
        _check_line(value, f"tags.{key}", 255, empty=True)


def _check_line(value: str | None, path: str, longest: int, *, spaces: bool = True, empty: bool = False) -> None:
    """A text that fits on a line."""
    if value is None:
        return
    size = len(_utf8(value, path))
    if not value and not empty:
        raise SpecError(path, "it is empty", hint="leave it out instead")
    if size > longest:
        raise SpecError(path, f"it has {size:,} bytes; it holds at most {longest:,}")
    if any(_is_control(c) or (not spaces and c.isspace()) for c in value):
        raise SpecError(path, f"{shown(value)} holds a control character, a newline or a space", given=value)


def _is_control(character: str) -> bool:
    return ord(character) < 32 or 127 <= ord(character) < 160 or character in "\u2028\u2029"


def _utf8(text: str, path: str) -> bytes:
    if "\0" in text:
        raise SpecError(path, "it holds a NUL byte, which no program can be given", given=text)
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise SpecError(path, "it is not valid UTF-8", given=ascii(text), hint="put such bytes into a file") from None
