"""Starts apps inside a job, and tells how they are.

It is run with `python -c`, reads one JSON request on stdin and answers one JSON line. An app runs on under a keeper, a
process of its own session that keeps the last 64 KiB of what it prints in a file, and notes how it ended. Everything
is below the request's `directory`, which must be this user's own: NAME/state, NAME/log, NAME/end, NAME/lock.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import shutil
import socket
import stat
import string
import subprocess
import sys
import tempfile
import time

from dais.node.inside.keeper import KEPT, Failed, began, end_rest, keep, last, note, state_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TOLD = 8 << 10
"""Bytes of output that a failure tells."""
MOST_FILES, MOST_BYTES = 64, 64 << 10
COMMAND_SECONDS = 60
CLEAN_END_SECONDS = 5
EXEC_MARK = "DAIS_EXEC"


def main() -> None:
    request = json.loads(sys.stdin.buffer.read())
    verbs = {"look": look, "start": start, "log": log}
    answer = verbs[request["do"]](request)
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def look(request: dict[str, Any]) -> dict[str, Any]:
    """What there is: definition files, programs of the image, and the apps that were started."""
    apps = {}
    for name in request["apps"]:
        place = os.path.join(request["directory"], name)
        found = state_of(place)
        if found is not None:
            apps[name] = found
    programs = {}
    for name in request["programs"]:
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
        if path:
            programs[name] = path
    return {"definitions": definitions(request["definitions"]), "programs": programs, "apps": apps}


def definitions(directory: str) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        names = sorted(os.listdir(directory))[:MOST_FILES]
    except OSError:
        return found
    for name in names:
        stem, extension = os.path.splitext(name)
        if extension != ".json" or not stem:
            continue
        try:
            with open(os.path.join(directory, name), "rb") as file:
                found[stem] = file.read(MOST_BYTES + 1).decode("utf-8", "replace")
        except OSError:
            continue
    return found


def log(request: dict[str, Any]) -> dict[str, Any]:
    place = os.path.join(request["directory"], request["name"])
    found = state_of(place)
    return {"output": last(place, KEPT), "state": found}


def start(request: dict[str, Any]) -> dict[str, Any]:
    """Start the app unless it runs, and wait until it listens."""
    until = time.monotonic() + request["seconds"]
    own_directory(request["directory"])
    place = os.path.join(request["directory"], request["name"])
    own_directory(place)
    lock = os.open(os.path.join(place, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if time.monotonic() > until:
                return {"problem": "locked", "message": "another start of it has not ended yet", "output": ""}
            time.sleep(0.05)
    try:
        return started(request, place, lock, until)
    except Failed as error:
        return {"problem": "failed", "message": str(error), "output": last(place, TOLD)}
    except OSError as error:
        return {"problem": "failed", "message": f"{error.filename or ''}: {error.strerror}", "output": ""}


def started(request: dict[str, Any], place: str, lock: int, until: float) -> dict[str, Any]:
    found = state_of(place)
    if found is None or not found["running"]:
        if found is not None:
            end_rest(found)
        found = begin(request, place, lock)
    port = found["ports"][0]
    pause, ended = 0.01, None
    while not listens(port):
        now = state_of(place) or {"running": False, "exit_code": None}
        if not now["running"] and ended is None:
            ended = time.monotonic()
            # A command that leaves a process behind ends well, and that may need a moment.
            if now["exit_code"] != 0:
                return told("ended", now, place)
        if ended is not None and time.monotonic() > ended + CLEAN_END_SECONDS:
            return told("ended", now, place)
        if time.monotonic() > until:
            return told("silent", now, place)
        time.sleep(pause)
        pause = min(pause * 1.3, 0.1)
    return {"ports": found["ports"], "secret": found["secret"]}


def told(problem: str, now: dict[str, Any], place: str) -> dict[str, Any]:
    return {"problem": problem, "exit_code": now["exit_code"], "output": last(place, TOLD)}


def begin(request: dict[str, Any], place: str, lock: int) -> dict[str, Any]:
    """Do the prestart actions and start the command under a keeper."""
    for name in ("state", "end", "log", "log.new"):
        try:
            os.unlink(os.path.join(place, name))
        except FileNotFoundError:
            pass
    ports = choose_ports(request["ports"], request["shared"])
    environ = dict(os.environ)
    environ.pop(EXEC_MARK, None)
    home = os.getcwd()
    environ.setdefault("TENSORBOARD_LOGDIR", home)
    variables = {
        "ports": ports,
        "runtime_path": request["runtime_path"],
        "secret": request["secret"],
        "home": home,
        "environ": environ,
        "directory": place,
        "programs": request["programs"],
    }
    definition = request["definition"]
    for index, action in enumerate(definition["prestart"]):
        try:
            result = ACTIONS[action["action"]](action, variables, environ, place)
        except (OSError, Failed, subprocess.SubprocessError) as error:
            raise Failed(f"prestart[{index}] ({action['action']}): {error}") from None
        if action.get("ref"):
            variables[action["ref"]] = result
    argv = [filled(word, variables) for word in definition["command"]]
    for name, text in definition["env"].items():
        environ[name] = filled(text, variables)
    keeper, child = keep(argv, environ, place, lock)
    state = {
        "keeper": keeper,
        "keeper_began": began(keeper),
        "pid": child,
        "pid_began": began(child),
        "ports": ports,
        "secret": request["secret"],
    }
    fresh = os.path.join(place, "state.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(state, file)
    os.rename(fresh, os.path.join(place, "state"))
    found = state_of(place)
    assert found is not None
    return found


# Prestart actions.


def filled(text: str, variables: dict[str, Any]) -> str:
    try:
        return string.Formatter().vformat(text, (), variables)
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        raise Failed(f"{text[:200]!r} cannot be filled: {error}") from None


def write_file(action: dict[str, Any], variables: dict[str, Any], environ: dict[str, str], place: str) -> None:
    path = filled(action["filename"], variables)
    body = "".join(filled(line, variables) for line in action["body"])
    with open(path, "a" if action["append"] else "w", encoding="utf-8") as file:
        file.write(body)
    os.chmod(path, int(action["mode"], 8))


def write_tempfile(action: dict[str, Any], variables: dict[str, Any], environ: dict[str, str], place: str) -> str:
    body = "".join(filled(line, variables) for line in action["body"])
    # JupyterLab wants its configuration to be a .py file; nobody else minds the name.
    descriptor, path = tempfile.mkstemp(suffix=".py", dir=place)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(body)
    os.chmod(path, int(action["mode"], 8))
    return path


def make_directory(action: dict[str, Any], variables: dict[str, Any], environ: dict[str, str], place: str) -> None:
    os.makedirs(filled(action["path"], variables), exist_ok=True)


def run_command(
    action: dict[str, Any], variables: dict[str, Any], environ: dict[str, str], place: str
) -> dict[str, str]:
    argv = [filled(word, variables) for word in action["command"]]
    done = subprocess.run(
        argv,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=COMMAND_SECONDS,
    )
    out, err = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    if done.returncode:
        note(place, out + err)
        raise Failed(f"{argv[0]} ended with {done.returncode}")
    return {"out": out, "err": err}


def log_line(action: dict[str, Any], variables: dict[str, Any], environ: dict[str, str], place: str) -> None:
    mark = "debug: " if action["debug"] else ""
    note(place, mark + filled(action["body"], variables).rstrip("\n") + "\n")


ACTIONS = {
    "write_file": write_file,
    "write_tempfile": write_tempfile,
    "mkdir": make_directory,
    "run_command": run_command,
    "log": log_line,
}


def listens(port: int) -> bool:
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        connection.settimeout(1)
        connection.connect(("127.0.0.1", port))
        return True
    except OSError:
        return False
    finally:
        connection.close()


def choose_ports(ports: list[int], shared: list[int] | None) -> list[int]:
    """The ports that it is meant to have; others of a range where the network is shared and somebody may have them."""
    if not shared:
        return ports
    first, behind = shared
    chosen = []
    for port in random.sample(range(first, behind), behind - first):
        probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            probe.bind(("127.0.0.1", port))
            chosen.append(port)
        except OSError:
            continue
        finally:
            probe.close()
        if len(chosen) == len(ports):
            return chosen
    raise Failed(f"no port from {first} to {behind - 1} is free")


def own_directory(path: str) -> None:
    """Make a directory, or see that the one that is there is nobody else's. Raises Failed."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES):
            raise Failed(f"{path} cannot be written: {error.strerror}") from None
        raise
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise Failed(f"{path} is not a directory of this user alone")


if __name__ == "__main__":
    main()
