"""What to launch, checked: the supervisor trusts its server, but a bad spec must never hurt it."""

from __future__ import annotations

import binascii

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ID_BYTES = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
MAX_VARIABLES = 2000
OPEN_FILES = 65_536
"""Descriptors that a container may open, unless its launch says otherwise."""
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAME_SERVER = "192.0.0.3"
"""Whom a container with a way to the internet asks for names."""


SCHEMES = ("docker://", "oras://")
"""How references of images begin that Apptainer fetches."""


class SpecError(Exception):
    """A launch spec (or request) that cannot be carried out as it stands; the message goes to the user."""


def is_image(root: object) -> bool:
    """Whether a container's root is an image of Apptainer's, and no directory."""
    return isinstance(root, str) and (root.startswith(SCHEMES) or root.endswith(".sif"))


def valid_id(value: object) -> str:
    """An attempt id: 1 to 128 letters, digits, `.`, `_`, `-`, not beginning with a dot. Raises SpecError."""
    if not isinstance(value, str) or not 0 < len(value) <= 128 or value[0] == "." or not _ID_BYTES.issuperset(value):
        raise SpecError(f"attempt_id {value!r}: expected up to 128 letters, digits, dots, dashes and underscores")
    return value


def _text(document: dict[str, Any], name: str, default: str | None = None) -> str | None:
    value = document.get(name, default)
    if value is None:
        return None
    if not isinstance(value, str):
        raise SpecError(f"{name}: expected text, got {value!r}")
    return _no_nul(name, value)


def _no_nul(name: str, value: str) -> str:
    if "\0" in value:
        raise SpecError(f"{name}: contains a NUL byte, which no program can be given")
    return value


def _number(document: dict[str, Any], name: str, default: float | None, *, least: float = 0) -> float | None:
    value = document.get(name, default)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < 2**62:
        raise SpecError(f"{name}: expected a number of at least {least:g}, got {value!r}")
    return value


def _whole(document: dict[str, Any], name: str, default: int | None, *, least: int = 0) -> int | None:
    value = _number(document, name, default, least=least)
    return None if value is None else int(value)


def absolute(name: str, path: str) -> str:
    """A path that begins with a slash and has no `..`. Raises SpecError."""
    if not path.startswith("/") or ".." in path.split("/"):
        raise SpecError(f"{name}: {path!r} is not an absolute path without '..'")
    return path


def arguments(document: dict[str, Any]) -> list[str]:
    """`argv` of a launch or an exec: at least one word. Raises SpecError."""
    argv = document.get("argv")
    if not isinstance(argv, list) or not argv or not all(isinstance(word, str) for word in argv):
        raise SpecError("argv: expected a list of texts with at least one")
    if not argv[0]:
        raise SpecError("argv: the command is empty")
    for word in argv:
        _no_nul("argv", word)
    return argv


def environment(document: dict[str, Any]) -> dict[str, str]:
    """`env` of a launch or an exec. Raises SpecError."""
    env = document.get("env") or {}
    if not isinstance(env, dict):
        raise SpecError(f"env: expected an object, got {env!r}")
    if len(env) > MAX_VARIABLES:
        raise SpecError(f"env: {len(env)} variables, and at most {MAX_VARIABLES} are possible")
    names = "".join(env)
    try:
        values = "".join(env.values())
    except TypeError:
        values = "\0"
    if "" in env or "=" in names or "\0" in names or "\0" in values:
        _refuse_variables(env)
    return env


def _refuse_variables(env: dict[str, Any]) -> None:
    """Raise SpecError for the first variable that cannot be one. All of them are looked at together before."""
    for name, value in env.items():
        if not name or "=" in name or not isinstance(value, str):
            raise SpecError(f"env: {name!r} is no name of a variable, or its value is no text")
        if "\0" in name or "\0" in value:
            raise SpecError(f"env {name!r}: contains a NUL byte, which no program can be given")


class Pty:
    """A terminal's size and type."""

    __slots__ = ("cols", "rows", "term")

    def __init__(self, document: object) -> None:
        if not isinstance(document, dict):
            raise SpecError(f"pty: expected an object with rows and cols, got {document!r}")
        self.rows = min(_whole(document, "rows", 24, least=1) or 24, 0xFFFF)
        self.cols = min(_whole(document, "cols", 80, least=1) or 80, 0xFFFF)
        self.term = _text(document, "term", "xterm-256color") or "xterm-256color"


class Limits:
    """Bounds of one attempt; None is no limit. Bytes, cores, counts and seconds."""

    __slots__ = ("cpu", "grace", "log", "memory", "open_files", "pids", "shm", "time")

    def __init__(self, document: object) -> None:
        if not isinstance(document, dict):
            raise SpecError(f"limits: expected an object, got {document!r}")
        self.cpu = _number(document, "cpu", None, least=0.01)
        self.memory = _whole(document, "memory", None, least=1 << 20)
        self.pids = _whole(document, "pids", None, least=1)
        self.shm = _whole(document, "shm", 64 << 20) or 64 << 20
        self.open_files = _whole(document, "open_files", OPEN_FILES, least=16) or OPEN_FILES
        log = _whole(document, "log", 1 << 30)
        self.log = 1 << 30 if log is None else log
        self.time = _number(document, "time", None)
        grace = _number(document, "grace", 10.0)
        self.grace = 10.0 if grace is None else grace


class Bind:
    """A host path at a path in the container. `exact`: no part of the source may be a link."""

    __slots__ = ("exact", "read_only", "source", "target")

    def __init__(self, source: str, target: str, read_only: bool, exact: bool) -> None:
        self.source = source
        self.target = target
        self.read_only = read_only
        self.exact = exact


class File:
    """A file whose content is in the launch itself. What it holds may be a secret: no message shows it."""

    __slots__ = ("content", "mode", "target")

    def __init__(self, target: str, content: bytes, mode: int) -> None:
        self.target = target
        self.content = content
        self.mode = mode


class LaunchSpec:
    """One container: see `docs/node-protocol.md` for every field."""

    __slots__ = (
        "argv", "attempt_id", "binds", "binds_optional", "devices", "env", "files", "gid", "hostname", "isolation",
        "lease", "limits", "network", "pty", "ro_host", "root", "slots", "uid", "user", "workdir",
    )  # fmt: skip

    def __init__(self, document: dict[str, Any]) -> None:
        self.attempt_id = valid_id(document.get("attempt_id"))
        self.argv = arguments(document)
        self.env = environment(document)
        workdir = _text(document, "workdir")
        self.workdir = None if workdir is None else absolute("workdir", workdir)
        root = _text(document, "root", "host") or "host"
        named = root == "host" or root.startswith(SCHEMES)
        self.root = root if named else absolute("root", root).rstrip("/")
        if not self.root:
            raise SpecError("root: the machine's own root is called 'host'")
        self.binds = _binds(document.get("binds") or [])
        self.binds_optional = document.get("binds_optional") is True
        self.files = _files(document.get("files") or [])
        self.ro_host = _paths("ro_host", document.get("ro_host") or [])
        self.devices = _devices(document.get("devices") or [])
        self.network = _choice(document, "network", ("none", "internet", "host"), "none")
        self.hostname = (_text(document, "hostname", "dais") or "dais")[:64]
        self.uid = _whole(document, "uid", None)
        self.gid = _whole(document, "gid", None)
        self.user = valid_id(document.get("user", "dais"))[:32]
        """What its user is called inside."""
        self.lease = document.get("lease") is True
        pty = document.get("pty")
        self.pty = None if pty is None else Pty(pty)
        self.limits = Limits(document.get("limits") or {})
        self.slots = slots(document)
        self.isolation = _choice(document, "isolation", ("sandbox", "process"), "sandbox")
        if self.lease and (self.uid is not None or self.gid is not None or self.isolation != "sandbox"):
            raise SpecError("lease: a leased uid is for a sandbox, and leaves out uid and gid")


def slots(document: dict[str, Any]) -> tuple[int, int]:
    """Thousandths of a core, and bytes of memory; zeros when it names none."""
    named = document.get("slots") or {}
    if not isinstance(named, dict):
        raise SpecError(f"slots: expected an object, got {named!r}")
    return _whole(named, "cpu_millis", 0) or 0, _whole(named, "memory", 0) or 0


def _choice(document: dict[str, Any], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = document.get(name, default)
    if value not in allowed:
        raise SpecError(f"{name}: {value!r} is not one of {', '.join(allowed)}")
    return str(value)


def _paths(name: str, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(path, str) for path in value):
        raise SpecError(f"{name}: expected a list of paths, got {value!r}")
    return [absolute(name, _no_nul(name, path)) for path in value]


def _devices(value: object) -> list[Bind]:
    devices = _binds(value)
    for device in devices:
        if not device.target.startswith("/dev/"):
            raise SpecError(f"devices: {device.target!r} is not below /dev")
    return devices


def _binds(value: object) -> list[Bind]:
    if not isinstance(value, list) or len(value) > 500:
        raise SpecError("binds: expected a list of at most 500")
    binds = []
    for item in value:
        if not isinstance(item, dict):
            raise SpecError(f"binds: expected objects, got {item!r}")
        source, target = _text(item, "source"), _text(item, "target")
        if not source or not target:
            raise SpecError("binds: each needs a source and a target")
        target = absolute("target", target).rstrip("/")
        if not target:
            raise SpecError("binds: nothing can be mounted over / of a container")
        read_only, exact = item.get("read_only", True) is not False, item.get("exact") is True
        binds.append(Bind(absolute("source", source), target, read_only, exact))
    return binds


def _files(value: object) -> list[File]:
    if not isinstance(value, list) or len(value) > 100:
        raise SpecError("files: expected a list of at most 100")
    files = []
    for item in value:
        if not isinstance(item, dict) or not isinstance(item.get("content"), str):
            raise SpecError("files: expected objects with a target and a content in base64")
        target = absolute("target", _text(item, "target") or "").rstrip("/")
        try:
            content = binascii.a2b_base64(item["content"], strict_mode=True)
        except ValueError:
            raise SpecError(f"files: the content of {target} is not base64") from None
        mode = _whole(item, "mode", 0o400)
        files.append(File(target, content, (mode or 0) & 0o777))
    return files
