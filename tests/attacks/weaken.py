"""The supervisor's program without some of its protections; exists in tests only. Standard library and `dais.node`.

Each function takes one protection away. `main` is the supervisor's own, after those that `--without` names were called.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from typing import Any

from dais.node import attempt, become, fence, idmap, kernel, program, sandbox, spec
from dais.node.cgroups import Cgroups

Options = list[str]


def main() -> None:
    """As `dais.node.supervisor.main`; but weak."""
    names = sys.argv[sys.argv.index("--without") + 1]
    for name in names.split(","):
        PROTECTIONS[name]()
    program.main()


def _edit_options(edit: Callable[[Options], Options]) -> None:
    """Change what bwrap is told, just before it is told."""
    original = sandbox.Plan.descriptors

    def descriptors(self: sandbox.Plan) -> dict[int, int]:
        self._options = edit(self._options)
        return original(self)

    sandbox.Plan.descriptors = descriptors  # type: ignore[method-assign]


def _replace(*old: str, new: tuple[str, ...] = (), every: bool = False) -> None:
    """Other options in the place of these, which must be there."""

    def edit(options: Options) -> Options:
        count = 0
        at = 0
        while at < len(options):
            if tuple(options[at : at + len(old)]) == old:
                options = [*options[:at], *new, *options[at + len(old) :]]
                count += 1
                at += len(new)
            else:
                at += 1
        if not count or (count > 1 and not every):
            raise AssertionError(f"{old} stands {count} times in {options}")
        return options

    _edit_options(edit)


def process_namespace() -> None:
    _replace("--unshare-pid")
    _replace("--proc", "/proc", new=("--ro-bind", "/proc", "/proc"))


def network_namespace() -> None:
    _replace("--unshare-net")


def ipc_namespace() -> None:
    _replace("--unshare-ipc")


def host_name_namespace() -> None:
    _replace("--unshare-uts")
    _edit_options(lambda options: _without_value(options, "--hostname"))


def control_group_namespace() -> None:
    _replace("--unshare-cgroup-try")


def file_system() -> None:
    _replace("--remount-ro", "/", new=("--ro-bind", "/", "/host", "--remount-ro", "/"))


def read_only_mounts() -> None:
    _replace("--ro-bind", new=("--bind",), every=True)


def read_only_mapping() -> None:
    original = idmap.attach

    def attach(fd: int, target: str, namespace: int, *, read_only: bool) -> None:
        original(fd, target, namespace, read_only=False)

    idmap.attach = attach


def read_only_root() -> None:
    _replace("--remount-ro", "/")


def own_devices() -> None:
    _replace("--dev", "/dev", new=("--dev-bind", "/dev", "/dev"))


def no_capabilities() -> None:
    _replace("--die-with-parent", new=("--die-with-parent", "--cap-add", "ALL"))


def no_nested_namespaces() -> None:
    _replace("--disable-userns")


def call_filter() -> None:
    _edit_options(lambda options: _without_value(options, "--seccomp"))


def shared_memory_size() -> None:
    _edit_options(lambda options: _without_size(options, "/dev/shm"))


def temporary_files_size() -> None:
    _edit_options(lambda options: _without_size(options, "/tmp"))


def opened_sources() -> None:
    def open_(self: fence.Fence, source: str, *, exact: bool, uid: int, gid: int) -> int:
        return os.open(source, os.O_PATH | os.O_CLOEXEC)

    fence.Fence.open = open_  # type: ignore[method-assign]
    sandbox._check_source = lambda source, exact: None


def closed_descriptors() -> None:
    original = sandbox.Plan.descriptors

    def descriptors(self: sandbox.Plan) -> dict[int, int]:
        made = original(self)
        return {**made, max(made) + 1: os.open("/", os.O_PATH)}

    sandbox.Plan.descriptors = descriptors  # type: ignore[method-assign]


def no_new_privileges() -> None:
    original = kernel.prctl

    def prctl(option: int, value: int, more: int = 0) -> None:
        if option != kernel.PR_SET_NO_NEW_PRIVS:
            original(option, value, more)

    kernel.prctl = prctl


def no_core_files() -> None:
    original = resource.setrlimit

    def setrlimit(kind: int, limits: tuple[int, int]) -> None:
        if kind != resource.RLIMIT_CORE:
            original(kind, limits)

    resource.setrlimit = setrlimit


def descriptor_limit() -> None:
    become.limit_files = lambda count: None
    original = become.Guise.__init__

    def init(self: become.Guise, uid: int | None, gid: int | None, open_files: int) -> None:
        original(self, uid, gid, 1 << 20)

    become.Guise.__init__ = init  # type: ignore[method-assign]


def memory_limit() -> None:
    _without_setting("memory.")


def process_limit() -> None:
    _without_setting("pids.")


def cpu_limit() -> None:
    _without_setting("cpu.")


def log_limit() -> None:
    original = spec.Limits.__init__

    def init(self: spec.Limits, document: object) -> None:
        original(self, document)
        self.log = 1 << 40

    spec.Limits.__init__ = init  # type: ignore[method-assign]


def own_user() -> None:
    at = sys.argv.index("--lease")
    del sys.argv[at : at + 2]


def hidden_helpers() -> None:
    kernel.hide = lambda: None


def sure_end() -> None:
    attempt.Attempt._find_left = lambda self: []  # type: ignore[method-assign]


def _without_setting(prefix: str) -> None:
    original = Cgroups._settings

    def settings(self: Cgroups, dirs: dict[str, str], limits: Any) -> list[tuple[str, str, str]]:
        return [setting for setting in original(self, dirs, limits) if not setting[1].startswith(prefix)]

    Cgroups._settings = settings  # type: ignore[method-assign]


def _without_value(options: Options, name: str) -> Options:
    at = options.index(name)
    return options[:at] + options[at + 2 :]


def _without_size(options: Options, path: str) -> Options:
    """`--size N --tmpfs path`, without the size."""
    at = next(at for at, option in enumerate(options) if option == "--tmpfs" and options[at + 1] == path)
    assert options[at - 2] == "--size", options
    return options[: at - 2] + options[at:]


PROTECTIONS: dict[str, Callable[[], None]] = {
    function.__name__: function
    for function in (
        process_namespace, network_namespace, ipc_namespace, host_name_namespace, control_group_namespace, file_system,
        read_only_mounts, read_only_mapping, read_only_root, own_devices, no_capabilities, no_nested_namespaces,
        call_filter, shared_memory_size, temporary_files_size, opened_sources, closed_descriptors, no_new_privileges,
        no_core_files, descriptor_limit, memory_limit, process_limit, cpu_limit, log_limit, own_user, sure_end,
        hidden_helpers,
    )
}  # fmt: skip
