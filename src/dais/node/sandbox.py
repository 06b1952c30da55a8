"""The sandbox: what bubblewrap is told, and what a root supervisor prepares for it.

bwrap runs as the job's user and sees only what it is given: a minimal root, the binds, `/tmp`, the home. What a job is
given could lie below directories that its user may not traverse, and bwrap resolves every source by its path (also
`--bind-fd`, also `/proc/self/fd/N`). A root supervisor therefore mounts each source in a mount namespace of its own,
at a place that everybody can traverse, before it drops to the job's user. Without root, folders are opened first: bwrap
then sees to it that what it mounts is what was opened (`--bind-fd`, bwrap 0.10 and distributions' fixes of 2024).
"""

from __future__ import annotations

import os
import stat

from dais.node import idmap, kernel
from dais.node.fence import NO_FENCE, As
from dais.node.processes import MARK
from dais.node.spawn import LOWEST_FREE, SetupError
from dais.node.spec import DEFAULT_PATH, NAME_SERVER, SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from dais.node.fence import Fence
    from dais.node.spec import LaunchSpec

STAGE = "/tmp"  # noqa: S108 - covered by a tmpfs of its own in the launch's private mount namespace
STATUS_FD, ARGS_FD, WORD_FD, GO_FD, FILTER_FD, DATA_FD = 3, 4, 5, 6, 7, 8
HOME = "/home/work"
_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# What programs and the dynamic linker read in /etc; names and passwords of the machine are not among it.
_ETC = (
    "alternatives", "ca-certificates", "fonts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "magic",
    "mime.types", "OpenCL", "pki", "protocols", "python3", "python3.11", "python3.12", "python3.13", "python3.14",
    "services", "ssl", "timezone", "vulkan",
)  # fmt: skip
_ETC_NETWORK = ("gai.conf", "host.conf", "nsswitch.conf")
_SYS = ("/sys/devices/system/cpu", "/sys/devices/system/node")
_OWN = ("proc", "dev", "sys", "tmp", "run", "home", "etc")

# Told apart from a program that itself exits with 127: a word on a descriptor that the program does not inherit.
_TERMINAL_SHIM = (
    'if command -v -- "$1" >/dev/null 2>&1; then exec setsid -c -- "$@" 5>&-; '
    "else echo '{\"missing\":true}' >&5; exit 127; fi"
)


class Bound:
    """A host path for the sandbox, and where bwrap finds it."""

    __slots__ = ("exact", "mapped", "path", "read_only", "source", "staged")

    def __init__(self, source: str, staged: str | None, *, exact: bool, mapped: bool, read_only: bool) -> None:
        self.source = source
        self.exact = exact
        self.mapped = mapped
        self.read_only = read_only
        self.staged = staged
        self.path = staged or source


class Plan:
    """A command line for bwrap, with what must be staged and which data it reads from descriptors.

    `mapping` is the user namespace that ids of what lies within the fence are mapped by, -1 to map none.
    `by_descriptor`: without staging, what jobs could swap for a link is opened first, and bwrap told to mount what was
    opened.
    """

    def __init__(
        self,
        spec: LaunchSpec,
        program: str,
        *,
        stage: bool,
        uid: int,
        gid: int,
        fence: Fence = NO_FENCE,
        mapping: int = -1,
        by_descriptor: bool = False,
        hardening: Sequence[str] = (),
    ) -> None:
        self._stage = stage
        self._by_descriptor = by_descriptor and not stage
        self._uid = uid
        self._gid = gid
        self._fence = fence
        self._mapping = mapping
        self.bounds: list[Bound] = []
        self._data: list[bytes | Bound] = []
        self._options: list[str] = [*hardening]
        self._mounted: list[str] = []
        # What is looked at is looked at with the rights that it will be opened with.
        if fence.strict:
            with As(uid, gid):
                self._build(spec)
        else:
            self._build(spec)
        command = list(spec.argv)
        keep_word = spec.pty is not None
        if keep_word:
            command = ["/bin/sh", "-c", _TERMINAL_SHIM, "sh", *command]
        self.argv = [program, "--args", str(ARGS_FD), "--", *command]
        self.keep_word = keep_word

    def descriptors(self) -> dict[int, int]:
        """What bwrap reads and mounts, by number in the child; the caller closes them afterwards. Raises SetupError."""
        options = "\0".join(self._options) + "\0"
        made = {ARGS_FD: _memory_file(options.encode("utf-8", "surrogateescape"))}
        try:
            for index, data in enumerate(self._data):
                made[DATA_FD + index] = _memory_file(data) if isinstance(data, bytes) else self._open(data)
        except OSError as error:
            for fd in made.values():
                os.close(fd)
            raise SetupError("mount", error) from None
        return made

    @property
    def staged(self) -> bool:
        """Whether `stage` must be called."""
        return any(bound.staged for bound in self.bounds)

    def stage(self) -> None:
        """Mount the sources where bwrap can find them, in a new mount namespace that the caller is then in.

        Needs root. Raises SetupError.
        """
        opened: list[int] = []
        try:
            kernel.unshare(kernel.CLONE_NEWNS)
            kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_SLAVE)
            for bound in self.bounds:
                opened.append(self._open(bound))
            kernel.mount("dais", STAGE, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0711,size=1m")
            for bound, fd in zip(self.bounds, opened, strict=True):
                self._mount(bound, fd)
        except OSError as error:
            raise SetupError("mount", error) from None
        finally:
            for fd in opened:  # the caller may be the supervisor itself
                os.close(fd)

    def _mount(self, bound: Bound, fd: int) -> None:
        assert bound.staged is not None
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.mkdir(bound.staged)
        else:
            os.close(os.open(bound.staged, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
        if bound.mapped:
            idmap.attach(fd, bound.staged, self._mapping, read_only=bound.read_only)
        else:
            kernel.mount(f"/proc/self/fd/{fd}", bound.staged, None, kernel.MS_BIND | kernel.MS_REC)

    def _open(self, bound: Bound) -> int:
        return self._fence.open(bound.source, exact=bound.exact, uid=self._uid, gid=self._gid)

    # What the sandbox consists of, in order: later mounts go over earlier ones.

    def _build(self, spec: LaunchSpec) -> None:
        self._add("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
        if spec.network == "none":
            self._add("--unshare-net")
        self._add("--die-with-parent", "--hostname", spec.hostname, "--json-status-fd", str(STATUS_FD))
        # The program waits until it is in its control groups.
        self._add("--block-fd", str(GO_FD))
        if spec.pty is None:
            self._add("--new-session")
        home = spec.env.get("HOME") or HOME
        if not home.startswith("/") or home == "/" or ".." in home.split("/"):
            home = HOME
        if spec.root == "host":
            self._host_root()
        else:
            self._image_root(spec)
        self._add("--proc", "/proc", "--dev", "/dev")
        for path in ("/etc", "/sys", "/run"):
            self._add("--perms", "0755", "--dir", path)
        for device in spec.devices:
            self._device(device.source, device.target)
        self._add("--perms", "1777", "--size", str(spec.limits.shm), "--tmpfs", "/dev/shm")  # noqa: S108
        shown = _SYS + tuple(f"/etc/{name}" for name in _ETC if spec.root == "host")
        for path in shown:
            self._add("--ro-bind-try", path, path)
        self._tmpfs("/tmp", spec.limits.memory, "1777")  # noqa: S108
        self._tmpfs(home, spec.limits.memory, "0755")
        for path in spec.ro_host:
            if os.path.exists(path) and not (spec.root == "host" and _below(path, "/usr")):
                self._bind(path, path, read_only=True, follow=True)
        targets = [bind.target for bind in spec.binds]
        self.workdir = workdir = spec.workdir or home
        if workdir != "/" and not self._inside(workdir) and not any(_below(workdir, target) for target in targets):
            self._tmpfs(workdir, spec.limits.memory, "0755")
        for bind in sorted(spec.binds, key=lambda bind: bind.target.count("/")):
            self._bind(bind.source, bind.target, read_only=bind.read_only, follow=False, exact=bind.exact)
        for file in spec.files:
            self._data_file(file.target, file.content, file.mode)
        self._etc(spec, home)
        self._add("--remount-ro", "/", "--chdir", workdir)
        self._environment(spec, home)

    def _host_root(self) -> None:
        self._add("--ro-bind", "/usr", "/usr")
        self._mounted.append("/usr")
        for name in _TOP:
            path = "/" + name
            if os.path.islink(path):
                self._add("--symlink", os.readlink(path), path)
            elif os.path.isdir(path):
                self._add("--ro-bind", path, path)
            self._mounted.append(path)

    def _image_root(self, spec: LaunchSpec) -> None:
        # Entry by entry, and not the whole: mount points can then be made beside them.
        self._image_entries(spec.root, "", _OWN)
        # What is given must have a place in /etc: over the image's own, else beside it.
        etc, ours = f"{spec.root}/etc", self._etc_names(spec)
        if os.path.islink(etc) or not os.path.isdir(etc):
            return
        given = (*spec.ro_host, *(bind.target for bind in spec.binds), *(file.target for file in spec.files))
        others = [path.split("/")[2] for path in given if path.startswith("/etc/")]
        if not others and all(os.path.isfile(f"{etc}/{name}") and not os.path.islink(f"{etc}/{name}") for name in ours):
            self._bind(etc, "/etc", read_only=True, follow=False)
        else:
            self._image_entries(spec.root, "/etc", (*ours, *others))

    def _image_entries(self, root: str, directory: str, apart: Collection[str]) -> None:
        for name in sorted(os.listdir(root + directory)):
            if name in apart:
                continue
            path = f"{directory}/{name}"
            if os.path.islink(root + path):
                self._add("--symlink", os.readlink(root + path), path)
            else:
                self._bind(root + path, path, read_only=True, follow=False)

    def _etc(self, spec: LaunchSpec, home: str) -> None:
        root = "" if spec.root == "host" else spec.root
        shell = "/bin/bash" if os.path.exists(f"{root}/bin/bash") else "/bin/sh"
        self._etc_file("passwd", f"root:x:0:0:root:/root:/usr/sbin/nologin\n"
                       f"{spec.user}:x:{self._uid}:{self._gid}:{spec.user}:{home}:{shell}\n"
                       f"toolkit:x:{self._uid}:{self._gid}:dais:{home}:{shell}\n")  # fmt: skip
        self._etc_file("group", f"root:x:0:\n{spec.user}:x:{self._gid}:\n")
        hosts = f"127.0.0.1 localhost {spec.hostname}\n::1 localhost\n"
        if spec.network == "internet":
            self._etc_file("resolv.conf", f"nameserver {NAME_SERVER}\noptions edns0\n")
        if spec.network == "host":
            hosts = _content("/etc/hosts") or hosts
            self._etc_file("resolv.conf", _content("/etc/resolv.conf"))
            if spec.root == "host":
                for name in _ETC_NETWORK:
                    self._add("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
        self._etc_file("hosts", hosts)

    @staticmethod
    def _etc_names(spec: LaunchSpec) -> tuple[str, ...]:
        """The files that `_etc` makes."""
        return ("passwd", "group", "hosts") + (() if spec.network == "none" else ("resolv.conf",))

    def _etc_file(self, name: str, text: str) -> None:
        self._data_file(f"/etc/{name}", text.encode("utf-8", "replace"), 0o644)

    def _data_file(self, target: str, content: bytes, mode: int) -> None:
        # bwrap keeps it in its own tmpfs, and not at the target, where it could get onto a disk.
        self._add("--perms", f"{mode:04o}", "--ro-bind-data", str(DATA_FD + len(self._data)), target)
        self._data.append(content)

    def _environment(self, spec: LaunchSpec, home: str) -> None:
        # Through --args, not inherited: bwrap itself would obey LD_PRELOAD outside the sandbox; nor is it seen in ps.
        self.env = {"PATH": DEFAULT_PATH, "HOME": home, "USER": spec.user, "LOGNAME": spec.user, **spec.env}
        if spec.pty is not None:
            self.env.setdefault("TERM", spec.pty.term)
        self.env[MARK] = spec.attempt_id
        self._add("--clearenv")
        for name, value in self.env.items():
            self._add("--setenv", name, value)

    def _bind(self, source: str, target: str, *, read_only: bool, follow: bool, exact: bool = False) -> None:
        staged = f"{STAGE}/{len(self.bounds)}" if self._stage else None
        if not self._stage and not follow:
            _check_source(source, exact)
        path = os.path.realpath(source) if follow else source
        mapped = self._mapping >= 0 and self._fence.inside(path)
        bound = Bound(path, staged, exact=exact, mapped=mapped, read_only=read_only)
        option = "--ro-bind" if read_only else "--bind"
        self._mounted.append(target)
        if self._by_descriptor and exact:
            # Whoever can write into a folder could put a link there between our look and bwrap's.
            number = DATA_FD + len(self._data)
            if number >= LOWEST_FREE - 1:
                raise SpecError(f"binds: more than {LOWEST_FREE - 1 - DATA_FD} cannot be mounted without root")
            self._data.append(bound)
            self._add(f"{option}-fd", str(number), target)
            return
        self.bounds.append(bound)
        self._add(option, bound.path, target)

    def _device(self, source: str, target: str) -> None:
        staged = f"{STAGE}/{len(self.bounds)}" if self._stage else None
        bound = Bound(source, staged, exact=False, mapped=False, read_only=False)
        self.bounds.append(bound)
        self._add("--dev-bind", bound.path, target)

    def _tmpfs(self, path: str, size: int | None, mode: str) -> None:
        if size is not None:
            self._add("--perms", mode, "--size", str(size), "--tmpfs", path)
        else:
            self._add("--perms", mode, "--tmpfs", path)
        self._mounted.append(path)

    def _inside(self, path: str) -> bool:
        return any(_below(path, mounted) for mounted in self._mounted)

    def _add(self, *options: str) -> None:
        self._options += options


def _below(path: str, mounted: str) -> bool:
    return path == mounted or path.startswith(mounted + "/")


def _content(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""


def _memory_file(data: bytes) -> int:
    fd = os.memfd_create("dais", os.MFD_CLOEXEC)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _check_source(source: str, exact: bool) -> None:
    """A bind's source must not have become a link since the server checked it. Raises SetupError."""
    try:
        if stat.S_ISLNK(os.lstat(source).st_mode):
            raise OSError(40, f"{source} is a symbolic link")
        if exact and os.path.realpath(source) != source:
            raise OSError(40, f"{source} leads through a symbolic link")
    except OSError as error:
        raise SetupError("mount", error) from None
