"""Which system calls a sandboxed container may make, and which it may not."""

from __future__ import annotations

import errno
import importlib
import json
import os
import shutil
import signal
from typing import Any

import pytest

from dais.engines.supervised.seccomp import NoFilter, compile_filter
from tests.support.needs import needs_bwrap, needs_program
from tests.support.supervisor import Control, Node

_CALLS = """
import ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_ulong(a) for a in arguments))
    return ctypes.get_errno() if result == -1 else 0
print(json.dumps([call(*words) for words in json.loads(sys.argv[1])]))
"""
ALL_BITS = 0xFFFFFFFF
NEW_USER, NEW_NET, NEW_TIME, SIGCHLD = 0x10000000, 0x40000000, 0x80, 17
GARBAGE = 1 << 32
"""A bit beyond an int, at which the kernel does not look."""


@pytest.fixture(autouse=True)
def _sandbox() -> None:
    needs_bwrap()
    try:
        compile_filter()
    except NoFilter as error:
        pytest.skip(str(error))


def number(name: str) -> int:
    """The number of a system call here."""
    pyseccomp = importlib.import_module("pyseccomp")
    found = int(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name))
    assert found >= 0, name
    return found


def _errnos(node: Node, control: Control, calls: list[tuple[Any, ...]]) -> list[int]:
    """What each call answers inside a sandbox: an errno, or 0."""
    words = json.dumps([(number(name) if isinstance(name, str) else name, *rest) for name, *rest in calls])
    spec = node.spec("python3", "-c", _CALLS, words, isolation="sandbox")
    ended = control.run(spec)
    text = node.log(spec["attempt_id"]).decode()
    assert ended["exit_code"] == 0, (ended, text)
    found: list[int] = json.loads(text)
    return found


def test_calls_that_no_computation_needs_are_refused(node: Node, control: Control) -> None:
    # Each with arguments that the kernel itself would answer otherwise than with EPERM, wherever there are such.
    calls = [
        ("keyctl", 0, ALL_BITS, 0), ("add_key", 0, 0, 0, 0, 0), ("request_key", 0, 0, 0, 0),
        ("userfaultfd", 1), ("io_uring_setup", 1, 0), ("bpf", 99, 0, 0), ("perf_event_open", 0, 0, 0, 0, 99),
        ("mount", 0, 0, 0, 0, 0), ("umount2", 0, 99), ("fsopen", 0, 99), ("move_mount", 0, 0, 0, 0, 0x8000),
        ("open_tree", 0, 0, 0), ("mount_setattr", 0, 0, 0, 0, 0), (467, 0, 0, 0, 0, 0), ("setns", 0, 0),
        ("open_by_handle_at", 0, 0, 0), ("unshare", NEW_USER), ("unshare", NEW_USER | GARBAGE), ("unshare", NEW_TIME),
        ("clone", NEW_USER | SIGCHLD, 0, 0, 0, 0), ("clone", NEW_NET | SIGCHLD, 0, 0, 0, 0),
        ("personality", 0x400000), ("personality", 0x0004), ("personality", 0x80400000),
        ("ioctl", 0, 0x5412, 0), ("ioctl", 0, 0x5412 | GARBAGE, 0), ("ioctl", 0, 0x541C, 0), ("ioctl", 0, 0x5423, 0),
        ("swapon", 0, 0), ("acct", 0), ("quotactl", 0, 0, 0, 0), ("syslog", 99, 0, 0),
        ("settimeofday", 0, 1), ("clock_settime", 0, 0), ("reboot", 0, 0, 0, 0), ("kexec_load", 0, 0, 0, 0),
        ("init_module", 0, 0, 0), ("finit_module", 0, 0, 99),
    ]  # fmt: skip
    answers = _errnos(node, control, calls)
    assert [call for call, answer in zip(calls, answers, strict=True) if answer != errno.EPERM] == []


def test_calls_whose_flags_no_filter_sees_are_said_not_to_exist(node: Node, control: Control) -> None:
    assert _errnos(node, control, [("clone3", 0, 0)]) == [errno.ENOSYS]


def test_only_the_usual_families_of_sockets_exist(node: Node, control: Control) -> None:
    vsock, alg, packet, bluetooth, x25 = 40, 38, 17, 31, 9
    refused = [("socket", family, 1, 0) for family in (vsock, alg, packet, bluetooth, x25, x25 | GARBAGE)]
    refused += [("socket", 16, 3, protocol) for protocol in (6, 9, 12, 16, 21, 12 | GARBAGE)]
    allowed = [("socket", family, 1, 0) for family in (1, 2, 10)] + [("socket", 16, 3, 0)]
    answers = _errnos(node, control, refused + allowed)
    assert answers == [errno.EAFNOSUPPORT] * len(refused) + [0] * len(allowed)


def test_what_programs_need_is_allowed(node: Node, control: Control) -> None:
    calls: list[tuple[Any, ...]] = [
        ("personality", ALL_BITS), ("personality", 0x40000), ("personality", 0x8), ("unshare", 0x400),
        ("get_mempolicy", 0, 0, 0, 0, 0), ("memfd_create", 0, 0), ("process_vm_readv", 1, 0, 0, 0, 0, 0),
    ]  # fmt: skip
    assert _errnos(node, control, calls)[:4] == [0, 0, 0, 0]
    script = (
        "import multiprocessing as m, multiprocessing.shared_memory as s, subprocess, threading\n"
        "with m.get_context('fork').Pool(2) as p: print(sum(p.map(abs, [-1, 2])))\n"
        "block = s.SharedMemory(create=True, size=1 << 20); block.buf[5] = 1; block.close(); block.unlink()\n"
        "t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()\n"
        "print(subprocess.run(['uname', '-s'], capture_output=True, text=True).stdout)\n"
    )
    spec = node.spec("python3", "-c", script, isolation="sandbox")
    ended = control.run(spec)
    assert (ended["exit_code"], node.log(spec["attempt_id"]).split()) == (0, [b"3", b"thread", b"Linux"])


def test_a_debugger_works_on_the_job_s_own_processes(node: Node, control: Control) -> None:
    needs_program("strace")
    spec = node.spec("strace", "-f", "-e", "trace=execve", "sh", "-c", "true; uname", isolation="sandbox")
    ended = control.run(spec)
    assert ended["exit_code"] == 0
    assert b"+++ exited with 0 +++" in node.log(spec["attempt_id"])


def test_git_works(node: Node, control: Control) -> None:
    needs_program("git")
    script = (
        "cd /tmp && git init -q . && echo x > x && git add x && git -c user.name=a -c user.email=a@b commit -qm x "
        "&& git clone -q . copy && git -C copy log --oneline | wc -l"
    )
    spec = node.spec("sh", "-c", script, isolation="sandbox")
    ended = control.run(spec)
    assert (ended["exit_code"], node.log(spec["attempt_id"]).strip()) == (0, b"1")


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the other ways to call are x86_64's")
@pytest.mark.parametrize("way", ["x32", "int80"])
def test_calls_of_other_architectures_end_the_program(node: Node, control: Control, way: str) -> None:
    code = {
        "x32": "import ctypes; ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 + 39)); print('went on')",
        "int80": (
            "import ctypes, mmap; m = mmap.mmap(-1, 4096, prot=7); m.write(bytes.fromhex('53b814000000cd805bc3'))\n"
            "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))(); print('went on')"
        ),
    }[way]
    spec = node.spec("python3", "-c", code, isolation="sandbox")
    ended = control.run(spec)
    assert (ended["signal"], node.log(spec["attempt_id"])) == (signal.SIGSYS, b"")


def test_commands_carried_into_a_container_have_the_filter_too(node: Node, control: Control) -> None:
    spec = node.spec("sh", "-c", "grep Seccomp: /proc/self/status; sleep 1000", isolation="sandbox")
    control.launch(spec)
    assert b"Seccomp:\t2" in node.wait_log(spec["attempt_id"], b"\n")
    command = node.exec(spec["attempt_id"], "grep", "Seccomp:", "/proc/self/status")
    assert command.result() == {"exit_code": 0}
    assert bytes(command.stdout) == b"Seccomp:\t2\n"
    refused = node.exec(spec["attempt_id"], "python3", "-c", _CALLS, json.dumps([[number("keyctl"), 0, ALL_BITS, 0]]))
    refused.result()
    assert json.loads(refused.stdout) == [errno.EPERM]


def test_it_says_that_it_filters(node: Node, control: Control) -> None:
    assert control.hello["isolation"]["seccomp"] is True
    spec = node.spec("true", isolation="sandbox")
    control.run(spec)
    assert "seccomp" in control.record(spec["attempt_id"], "started")["isolation"]


def test_without_a_filter_it_says_so_and_user_namespaces_are_still_refused(node: Node) -> None:
    control = node.start(filtering=False)
    assert control.hello["isolation"]["seccomp"] == "the supervisor was given no filter"
    words = "unshare --user --map-root-user id -u; grep Seccomp: /proc/self/status"
    spec = node.spec("sh", "-c", words, isolation="sandbox")
    control.run(spec)
    started = control.record(spec["attempt_id"], "started")
    assert "seccomp" in started["missing"]
    text = node.log(spec["attempt_id"])
    assert b"Seccomp:\t0" in text
    if control.hello["isolation"]["userns_disabled"] is True:
        assert b"0\n" not in text.replace(b"Seccomp:\t0\n", b"")


def test_the_sandbox_s_descriptors_are_not_the_program_s(node: Node, control: Control) -> None:
    assert shutil.which("ls")
    spec = node.spec("ls", "/proc/self/fd", isolation="sandbox")
    control.run(spec)
    assert node.log(spec["attempt_id"]).split() == [b"0", b"1", b"2", b"3"]  # the last is ls's own
