"""Containers by Apptainer, on nodes that have it: the command line, and images fetched once. UNVERIFIED.

Written against Apptainer's documentation (its user guide and manual pages, 1.2 to 1.4), and never run with Apptainer
itself, which the machines that Dais is tested on cannot have; a stand-in takes its place there.

It runs without setuid (`--userns`), so that commands can enter its namespaces as they enter a sandbox's. Variables go
by APPTAINERENV_, whose values are taken as they are (a file of variables would be read as a shell does), and which
only the same user can see.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess

from dais.node import processes
from dais.node.spec import SCHEMES, SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dais.node.attempt import Attempt
    from dais.node.spec import LaunchSpec

PULL_SECONDS = 1800.0
_WORDS = 1000


class NoImage(Exception):
    """It cannot be fetched; `args[0]` has Apptainer's words."""


def command(program: str, image: str, spec: LaunchSpec) -> list[str]:
    """The command line that runs a launch in an image (a SIF file). Raises SpecError for what it cannot be given."""
    if spec.network == "internet":
        raise SpecError("network internet cannot be given to images on Slurm: ask for none")
    if spec.files:
        raise SpecError(f"{spec.files[0].target} cannot be given to images on Slurm: use the secret as a variable")
    words = [program, "--quiet", "exec", "--userns", "--containall", "--no-privs", "--cleanenv"]
    if spec.network == "none":
        words += ["--net", "--network", "none"]
    if spec.devices or spec.env.get("CUDA_VISIBLE_DEVICES"):
        words.append("--nv")
    home = spec.env.get("HOME")
    homes = [bind for bind in spec.binds if bind.target == home and not bind.read_only]
    # Where HOME is bound it is Apptainer's own home; the variable alone it does not take.
    words += ["--home", f"{_plain(homes[0].source)}:{_plain(homes[0].target)}"] if homes else ["--no-home"]
    for bind in spec.binds:
        if bind not in homes[:1]:
            words += ["--bind", f"{_plain(bind.source)}:{_plain(bind.target)}:{'ro' if bind.read_only else 'rw'}"]
    if spec.workdir is not None:
        words += ["--cwd", spec.workdir]
    return [*words, image, *spec.argv]


def variables(env: dict[str, str]) -> dict[str, str]:
    """The environment of Apptainer itself by which the container has these variables."""
    return {f"APPTAINERENV_{name}": value for name, value in env.items() if name != "HOME"}


def _plain(path: str) -> str:
    if ":" in path or "," in path:
        raise SpecError(f"{path} has a ':' or ',', by which Apptainer parts what it mounts: choose another path")
    return path


def ready(program: str, root: str, directory: str) -> str:
    """The SIF file of an image, fetched into a directory by whoever needs it first. Blocking. Raises NoImage, OSError.

    What was fetched is kept by what it is called, which for one of a registry has its digest.
    """
    if not root.startswith(SCHEMES):
        if not os.path.isfile(root):
            raise NoImage(f"there is no image {root} on this node")
        return root
    os.makedirs(directory, mode=0o700, exist_ok=True)
    image = f"{directory}/{hashlib.sha256(root.encode()).hexdigest()}.sif"
    if os.path.exists(image):
        return image
    lock = os.open(f"{image}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(image):
            _pull(program, root, image)
    finally:
        os.close(lock)
    return image


def _pull(program: str, root: str, image: str) -> None:
    new = f"{image}.new"
    places = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    # Its own caches lie beside the image, which is on the shared disk, and not in a home that nodes may not have.
    places |= {"APPTAINER_CACHEDIR": f"{image}.cache", "APPTAINER_DISABLE_CACHE": "true"}
    try:
        done = subprocess.run(
            [program, "--quiet", "pull", "--force", new, root],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=places,
            timeout=PULL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NoImage(f"{root} was not fetched within {PULL_SECONDS:g} s") from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()[-_WORDS:] or f"it ended with {done.returncode}"
        raise NoImage(f"Apptainer cannot fetch {root}: {said}")
    os.replace(new, image)


def inside(attempt: Attempt) -> int | None:
    """A process of the job in its container; None until there is one."""
    launched = attempt.launched
    assert launched is not None
    ours = os.stat("/proc/self/ns/pid").st_ino
    within = [pid for pid in processes.descendants([launched.pid]) if _space(pid) not in (0, ours)]
    # The first of them is Apptainer's own, and may still be mounting.
    return next((pid for pid in within if processes.parent(pid) in within), None)


def _space(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino
    except OSError:
        return 0
