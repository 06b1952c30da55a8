"""What else a job does: bombs, attacks that others observe, and the victim. Goes into the job behind `inside.py`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time

from tests.attacks.inside import MIB, Known, libc, processes, read


def memory_bomb(known: Known) -> str | None:
    held = bytearray()
    block = os.urandom(MIB)
    try:
        for _ in range(3 * known["memory"] // MIB):
            held += block
    except MemoryError:
        return None
    return f"holds {len(held) // MIB} MiB"


def fork_bomb(known: Known) -> str | None:
    children = []
    try:
        for _ in range(known["pids"] + 20):
            pid = os.fork()
            if pid == 0:
                signal.pause()
            children.append(pid)
    except OSError:
        return None
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
    return f"has {len(children)} processes"


def descriptor_bomb(known: Known) -> str | None:
    held = []
    try:
        for _ in range(known["open_files"] + 20):
            held.append(os.dup(0))
    except OSError:
        return None
    return f"holds {len(held)} descriptors"


def _fill(path: str, size: int) -> str | None:
    block = bytes(MIB)
    with open(path, "wb", buffering=0) as file:
        for _ in range(size // MIB):
            try:
                file.write(block)
            except OSError:
                return None
    return f"wrote {size // MIB} MiB into {path}"


def shared_memory_bomb(known: Known) -> str | None:
    return _fill("/dev/shm/bomb", known["shm"] + 4 * MIB)


def temporary_files_bomb(known: Known) -> str | None:
    return _fill("/tmp/bomb", known["memory"] + 8 * MIB)


def inode_bomb(known: Known) -> str | None:
    count = known["memory"] // 512  # each takes more than half a KiB of the kernel's memory
    try:
        for number in range(count):
            os.close(os.open(f"/tmp/{number}", os.O_CREAT | os.O_WRONLY))
    except OSError:
        return None
    return f"made {count} files"


def cpu_hog(known: Known) -> str | None:
    begun = time.monotonic()
    before = time.process_time()
    while time.process_time() - before < 0.3 and time.monotonic() - begun < 3.0:
        pass
    share = (time.process_time() - before) / (time.monotonic() - begun)
    if share > 2 * known["cpu"]:
        return f"had {share:.2f} of a core"
    return None


def log_bomb(known: Known) -> None:
    for _ in range(64):
        os.write(1, b"x" * 16384)


def outlive(known: Known) -> None:
    """Leaves a process behind in a session of its own, with no trace of where it came from."""
    script = f"trap '' TERM HUP; exec sleep {known['outlive']}"
    argv = ["setsid", "env", "-i", "PATH=/usr/bin:/bin", "sh", "-c", script]
    subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:  # until it is there
        if any(read(f"/proc/{pid}/cmdline").startswith(b"sleep") for pid in processes()):
            return


def swap(known: Known) -> None:
    """Puts a link to the host's files where a folder was mounted from, again and again."""
    os.makedirs("/data/own/mounted", exist_ok=True)
    os.symlink(known["forbidden"], "/data/own/link")
    print("swapping", flush=True)
    while True:
        libc.renameat2(-100, b"/data/own/mounted", -100, b"/data/own/link", 2)


def look(known: Known) -> str | None:
    if os.path.exists("/data/look/marker"):
        return "the link to the host's files was mounted"
    return None


def idle(known: Known) -> None:
    print("idle", flush=True)
    signal.pause()


def exhaust(known: Known) -> None:
    """Takes all of something that the kernel counts by user."""
    held = []
    while (fd := libc.inotify_init()) >= 0:
        held.append(fd)
    print("holding", len(held), flush=True)
    signal.pause()


def take_one(known: Known) -> str | None:
    if libc.inotify_init() < 0:
        return "another job has used up what this one may have"
    return None


def victim(known: Known) -> None:
    """What others are after: a secret in the environment and in files, and sockets."""
    listeners: list[socket.socket] = []
    for address in (known["listen"], "\0" + known["abstract"]):
        listeners.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        listeners[-1].bind(address)
        listeners[-1].listen()
    with open("secret", "w") as file:
        file.write(known["secret"])
    print("ready", flush=True)
    while True:
        signal.pause()


def main() -> None:
    known = json.loads(sys.argv[2])
    escaped = globals()[sys.argv[1]](known)
    print(f"ESCAPED: {escaped}" if escaped else "HELD", flush=True)


if __name__ == "__main__":
    main()
