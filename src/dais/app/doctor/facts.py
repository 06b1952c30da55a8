"""Finding out: from the supervisor that runs, else by trying what it would try, in a process of its own."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

from dais.app.build import load_settings
from dais.app.doctor.attached import attached_groups
from dais.app.doctor.types import Facts, Supervisor
from dais.app.privileges import Obstacle, whom
from dais.engines.local import LocalSettings, filter_program, leasing
from dais.kit.errors import DaisError, Unavailable
from dais.node import MAX_FRAME, OLDEST, connect, supervisor_command
from dais.sdk.installation import find_installation

PROBE_SECONDS = 60.0
ANSWER_SECONDS = 5.0


def gather(data_dir: Path, config: Path | None) -> Facts:
    """What the checks need. Raises Unavailable when the probe itself does not work."""
    supervisor = ask_supervisor(data_dir / "node")
    settings: dict[str, Any] | DaisError
    try:
        settings = load_settings(data_dir, config)
    except DaisError as error:
        settings = error
    try:
        installation = find_installation(data_dir)
    except PermissionError:
        installation = None
    if supervisor is not None and supervisor.isolation:
        probed = supervisor.isolation
    else:
        probed = probe_now(data_dir, LocalSettings() if isinstance(settings, DaisError) else settings["local"])
    if os.geteuid() == 0:
        probed = {**probed, "split": _split(data_dir, config, probed, running=supervisor is not None)}
    return Facts(
        data_dir=data_dir,
        installation=installation,
        supervisor=supervisor,
        probed=probed,
        settings=settings,
        root=os.geteuid() == 0,
        groups=attached_groups(installation),
    )


def _split(data_dir: Path, config: Path | None, probed: dict[str, Any], *, running: bool) -> bool | str:
    """Whether the server of root's Dais is not root, now or when it is started; else why."""
    if probed.get("server_uid") is not None:
        return True
    try:
        whom(Path(os.path.realpath(data_dir)), config)
    except Obstacle as error:
        return str(error)
    if probed.get("uid_lease") is not True:
        return f"jobs cannot have users of their own here: {probed.get('uid_lease')}"
    return "Dais was started before it could be another user; restart it once nothing runs" if running else True


def probe_now(data_dir: Path, local: LocalSettings) -> dict[str, Any]:
    """What a supervisor would find out at its start, if one were started now by this user."""
    command = [*supervisor_command(), "--probe", "--dir", str(nearest(data_dir))]
    if (lease := leasing(local)) is not None:
        command += ["--lease", lease]
    try:
        done = subprocess.run(
            command,
            input=filter_program() or b"",
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=True,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath)},
        )
        found: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.SubprocessError, OSError, ValueError) as error:
        words = (getattr(error, "stderr", b"") or b"").decode(errors="replace").strip().splitlines()[-1:] or [
            str(error)
        ]
        raise Unavailable(
            f"what this machine can do could not be tried: {words[0]}; try it yourself with the bug report's command "
            f"`{' '.join(supervisor_command()[:3])} … --probe`",
            code="no-probe",
        ) from error
    return found


def nearest(directory: Path) -> Path:
    """The directory, or what of the way to it exists."""
    return next(path for path in (directory, *directory.parents) if path.exists())


def ask_supervisor(node_dir: Path) -> Supervisor | None:
    """The supervisor of a directory, without disturbing it; None when none answers, or it is not this user's."""
    try:
        with connect(str(node_dir)) as sock:
            sock.settimeout(ANSWER_SECONDS)
            body = json.dumps({"op": "describe", "protocol": OLDEST}).encode()
            sock.sendall(struct.pack(">I", len(body)) + body)
            with sock.makefile("rb") as stream:
                (length,) = struct.unpack(">I", stream.read(4))
                told = json.loads(stream.read(min(length, MAX_FRAME)))
    except (OSError, ValueError, struct.error):
        return None
    if told.get("op") != "description":  # one that is older than the question: it answers, and not more is known
        return Supervisor(pid=_lock_holder(node_dir), version="", running=0, isolation={})
    return Supervisor(
        pid=told["pid"], version=told["version"], running=told["running"], isolation=dict(told["isolation"])
    )


def _lock_holder(node_dir: Path) -> int:
    try:
        return int((node_dir / "supervisor.lock").read_text())
    except (OSError, ValueError):
        return 0
