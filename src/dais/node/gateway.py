"""The helper that makes a job's way to the internet, and keeps it until the supervisor ends it.

It runs as `python -I -S` with the request on descriptor 4 and a socket to the supervisor on 3, becomes the job's user,
and builds, without any privilege over the machine:

    job's namespace ── a pair of links ── router's namespace ── pasta ── the machine's network, as an ordinary user

The router forwards to the internet and to pasta's name server, and to nothing else: what is private, the machine's own
or special has no route there. That holds against a job that chooses links and senders itself (`SO_BINDTODEVICE`,
`IP_PKTINFO`), for it is in another namespace than the routes, and has no capability in either: both belong to a user
namespace above the job's. This process stays in the router's namespace and forbids what the machine is given later.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import time

from dais.node import kernel
from dais.node.become import drop_privileges
from dais.node.netlink import LINKS, ROUTES, Netlink, index_of
from dais.node.processes import MARK
from dais.node.spec import NAME_SERVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

STATUS_FD, REQUEST_FD = 3, 4
ROUTER, JOB, FAR_END = "192.0.0.1", "192.0.0.2", "192.0.0.4"
"""Of 192.0.0.0/29, which is set aside for the two ends of a translator inside one machine (RFC 7335)."""
FORBIDDEN = (
    ("0.0.0.0", 8), ("10.0.0.0", 8), ("100.64.0.0", 10), ("127.0.0.0", 8), ("169.254.0.0", 16), ("172.16.0.0", 12),
    ("192.0.0.0", 24), ("192.168.0.0", 16), ("198.18.0.0", 15), ("224.0.0.0", 4), ("240.0.0.0", 4),
)  # fmt: skip
"""What is not the internet, by IANA's registries: private, shared, loopback, link-local (metadata), special, multicast,
reserved. The documentation's networks lead nowhere by themselves."""
TUN = "/dev/net/tun"
_TAP, _LINK, _MTU = "tap0", "eth0", 65_520
_TUN_DEVICE = (10, 200)
_SECONDS = 10.0


class Failed(Exception):
    """What goes back to the supervisor: words."""


def main() -> None:
    """Make everything, hand over the job's namespaces, and keep the router."""
    status = socket.socket(fileno=STATUS_FD)
    os.set_inheritable(STATUS_FD, False)
    with open(REQUEST_FD, "rb") as file:
        request = json.load(file)
    try:
        outside = Netlink(ROUTES)
        _become(request)
        _unshare(kernel.CLONE_NEWPID)
        go_read, go_write = os.pipe2(os.O_CLOEXEC)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        pid = os.fork()
        if pid == 0:
            os.close(go_write)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            _first(request, status, outside, go_read)
    except (Failed, OSError) as error:
        _tell(status, str(error))
        os._exit(1)
    status.close()
    outside.close()
    # Told to end, this process outlives all that it has started: its end is the end of everything.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    os.write(go_write, b"g")
    os.waitpid(pid, 0)
    os._exit(0)


def _tell(status: socket.socket, problem: str) -> None:
    try:
        status.send(json.dumps({"error": problem}).encode())
    except OSError:
        pass  # the supervisor has gone, and this process goes with it


def _become(request: dict[str, Any]) -> None:
    """Take on the job's user, dying with the supervisor."""
    if request["uid"] is not None:
        if os.stat(TUN).st_mode & 0o006 != 0o006:
            _open_tun()
        drop_privileges(request["uid"], request["gid"])
        # Else this process's own /proc files, the maps among them, would be root's.
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != request["supervisor"]:
        os._exit(0)


def _open_tun() -> None:
    """A device node that everybody may open, where only this process and its children see it. Needs root."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_SLAVE)
    kernel.mount("dais", os.path.dirname(TUN), "tmpfs", kernel.MS_NOSUID, "mode=0755,size=64k")
    before = os.umask(0)
    os.mknod(TUN, 0o020666, os.makedev(*_TUN_DEVICE))
    os.umask(before)


def _unshare(flags: int) -> None:
    """Make namespaces and the user namespace that owns them: the same user there, with every capability."""
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER | flags)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        fd = os.open(f"/proc/self/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)


def _first(request: dict[str, Any], status: socket.socket, outside: Netlink, go: int) -> NoReturn:
    """The first process of its own pid namespace: when it ends, whatever it has started ends."""
    try:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        if not os.read(go, 1):
            os._exit(1)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        said_read, said_write = os.pipe2(os.O_CLOEXEC)
        pasta = os.fork()
        if pasta == 0:
            _pasta(request["pasta"], theirs, said_write)
        os.close(said_write)
        _unshare(kernel.CLONE_NEWNET)
        news = Netlink(LINKS)
        user, router = kernel.open_namespace("user"), kernel.open_namespace("net")
        socket.send_fds(ours, [b"n"], [user, router])
        _await_tap(news, pasta, said_read)
        inside = Netlink()
        _forbid(inside, outside)
        kernel.unshare(kernel.CLONE_NEWNET)
        job = kernel.open_namespace("net")
        _connect(router, outside)
        kernel.setns(router)
        _route(inside)
        socket.send_fds(status, [b'{"ready":true}'], [user, job])
        status.close()
        os.close(job)
        _keep(inside, outside, pasta)
    except (Failed, OSError) as error:
        _tell(status, str(error))
    except BaseException as error:
        _tell(status, repr(error))
    os._exit(1)


def _pasta(program: str, theirs: socket.socket, said: int) -> NoReturn:
    """Becomes pasta: outside the router's namespace, whose link it holds."""
    try:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        _, fds, _, _ = socket.recv_fds(theirs, 16, 2)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # pasta takes another one for a failure
        null = os.open(os.devnull, os.O_RDWR)
        for target, source in enumerate((null, said, said)):
            os.dup2(source, target)
        names = []
        for fd in fds:
            os.set_inheritable(fd, True)
            names.append(f"/proc/self/fd/{fd}")
        options = ["--foreground", "--stderr", "--ipv4-only", "--ns-ifname", _TAP, "--address", JOB, "--netmask", "29"]
        options += ["--gateway", FAR_END, "--no-map-gw", "--dns-forward", NAME_SERVER, "--no-netns-quit"]
        # Nothing is forwarded inwards, and nothing of the machine's loopback is shown inside.
        options += ["-t", "none", "-u", "none", "-T", "none", "-U", "none"]
        os.execve(program, [program, *options, "--userns", names[0], "--netns", names[1]], {MARK: os.environ[MARK]})
    except BaseException as error:
        os.write(said, repr(error).encode())
        os._exit(127)


def _await_tap(news: Netlink, pasta: int, said: int) -> None:
    """Until pasta has made its link. Raises Failed with its words when it ends instead, or takes too long."""
    ended = os.pidfd_open(pasta)
    waiting = select.poll()
    for fd in (news.socket.fileno(), ended):
        waiting.register(fd, select.POLLIN)
    deadline = time.monotonic() + _SECONDS
    while index_of(_TAP) is None:
        ready = dict(waiting.poll(max(0.0, deadline - time.monotonic()) * 1000))
        if news.socket.fileno() in ready:
            news.socket.recv(1 << 16)
        if ended in ready or not ready:
            os.set_blocking(said, False)
            try:
                words = os.read(said, 4096).decode("utf-8", "replace").strip().splitlines()
            except BlockingIOError:
                words = []
            why = "; ".join(words[-3:]) or "it said nothing"
            raise Failed(f"pasta ended: {why}" if ended in ready else f"pasta made no link in {_SECONDS:g} s: {why}")
    os.close(ended)
    news.close()


def _forbid(inside: Netlink, outside: Netlink) -> None:
    for network, prefix in FORBIDDEN:
        inside.forbid(network, prefix)
    for network, prefix in outside.own_networks():
        inside.forbid(network, prefix)


def _connect(router: int, outside: Netlink) -> None:
    """In the job's namespace: its loopback, and a link whose other end is the router's.

    What is forbidden has no route here either: a program is then told at once, where the router tells once a second.
    """
    here = Netlink()
    _forbid(here, outside)
    here.set_up(1)
    here.add_pair(_LINK, _LINK, router)
    index = index_of(_LINK)
    assert index is not None
    here.set_up(index, mtu=_MTU)
    here.add_address(index, JOB)
    here.add_route(NAME_SERVER, 32, index, gateway=ROUTER)
    here.add_route("0.0.0.0", 0, index, gateway=ROUTER)
    here.close()


def _route(inside: Netlink) -> None:
    """In the router's namespace, where everything forbidden has no way already."""
    link, tap = index_of(_LINK), index_of(_TAP)
    assert link is not None
    assert tap is not None
    inside.set_up(1)
    inside.set_up(tap, mtu=_MTU, forwarding=True)
    inside.set_up(link, mtu=_MTU, forwarding=True)
    inside.add_address(link, ROUTER)
    inside.add_route(JOB, 32, link)
    inside.add_route(NAME_SERVER, 32, tap, gateway=FAR_END)
    inside.add_route("0.0.0.0", 0, tap, gateway=FAR_END)


def _keep(inside: Netlink, outside: Netlink, pasta: int) -> None:
    """Forbid what becomes the machine's own, until pasta ends."""
    ended = os.pidfd_open(pasta)
    waiting = select.poll()
    for fd in (outside.socket.fileno(), ended):
        waiting.register(fd, select.POLLIN)
    while True:
        ready = dict(waiting.poll())
        if outside.socket.fileno() in ready:
            try:
                for network, prefix in outside.news():
                    inside.forbid(network, prefix)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                _forbid(inside, outside)  # news were lost
        if ended in ready:
            return
