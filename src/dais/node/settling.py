"""What a supervisor's process does before it serves, whether it serves a machine or one attempt."""

from __future__ import annotations

import fcntl
import os
import resource
import time

from dais.node import kernel
from dais.node.become import victim
from dais.node.lean import signal
from dais.node.probe import find_program
from dais.node.spec import OPEN_FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dais.node.launch import Machine

LOCK_SECONDS = 30.0
_GUARD = b"guard"


def take_lock(node_dir: str, *, cleaning: bool) -> int | None:
    """The directory's lock, kept until the process ends; None if another supervisor has it.

    A guard has it only while it cleans up: that is waited for.
    """
    fd = os.open(f"{node_dir}/supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if cleaning or not _held_briefly(os.pread(fd, 16, 0)) or time.monotonic() > deadline:
                os.close(fd)
                return None
            time.sleep(0.02)
            continue
        os.ftruncate(fd, 0)
        os.pwrite(fd, _GUARD if cleaning else str(os.getpid()).encode(), 0)
        return fd


def _held_briefly(holder: bytes) -> bool:
    """Whether the lock is a guard's, or of somebody who has not written yet who it is."""
    if holder == _GUARD or not holder.isdigit():
        return True
    try:
        os.kill(int(holder), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def settle() -> None:
    """Make the process what a long-lived parent of containers should be."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD, signal.SIGTSTP):
        signal.signal(number, signal.SIG_DFL)
    # A handler, not "ignore": that would be inherited by every container.
    signal.signal(signal.SIGHUP, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # As many as a container may open by default, so that most are started without another limit.
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, OPEN_FILES), most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # It remembers what every job was told, and jobs without a sandbox may be the same user's.
    victim.open()
    kernel.hide()
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    if os.geteuid() == 0:
        os.setgroups([])


def give_up_privileges(machine: Machine) -> None:
    """No program started from here ever gains privileges by setuid bits: inherited, so that it costs nothing later."""
    bwrap = machine.bwrap or find_program("bwrap")
    if bwrap is None or not os.stat(bwrap).st_mode & 0o4000:
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        machine.no_new_privileges = True
