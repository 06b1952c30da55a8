"""Becomes a command in a running container. Its argument is the name of the file that says what to run.

Before anything else it prints one line: `+PID`, or `-reason NUL words` when there is no such command.
"""

from __future__ import annotations

import marshal
import os
import sys
import time

import programs  # type: ignore[import-not-found]

CONTROL, READY = "/opt/dais/launch", "/opt/dais/run/ready"
READY_SECONDS = 20.0


def main() -> None:
    """Refuse, or run."""
    with open(f"{CONTROL}/{sys.argv[1]}", "rb") as file:
        request = marshal.loads(file.read())  # noqa: S302 - the server's own words
    # Until process 1 has looked at what is mounted nothing may use it.
    deadline = time.monotonic() + READY_SECONDS
    while not os.path.exists(READY):
        if time.monotonic() > deadline:
            refuse("launch-failed", "the container did not become ready")
        time.sleep(0.01)
    problem = programs.enter(request["workdir"])
    if problem is not None:
        refuse("launch-failed", problem)
    argv, env = request["argv"], request["env"]
    found = programs.resolve(argv[0], env.get(b"PATH", b"/usr/local/bin:/usr/bin:/bin"))
    if isinstance(found, int):
        why = "not found in the container" if found == 2 else os.strerror(found)
        refuse("command-not-found", f"{os.fsdecode(argv[0])}: {why}")
    if request["pty"] is not None:
        programs.set_size(0, *request["pty"])
    programs.reset_signals()
    programs.raise_oom_score()
    os.write(1, f"+{os.getpid()}\n".encode())
    os.execve(found, argv, env)


def refuse(reason: str, words: str) -> None:
    os.write(1, f"-{reason}\0{words}\n".encode())
    os._exit(127)
