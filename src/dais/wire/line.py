"""The command line that submits a job: what `dais job submit` reads back as the same specification."""

from __future__ import annotations

import shlex

from dais.wire.inputs import human_input, human_output
from dais.wire.read import human
from dais.wire.spec import JobSpec, Mount

_OPTIONS = {
    "name": "--name",
    "account": "--account",
    "image": "--image",
    "workdir": "--workdir",
    "bid": "--bid",
    "max_run_time": "--max-run-time",
    "idle_timeout": "--idle-timeout",
    "network": "--network",
    "source": "--source",
    "requirements": "--requirements",
    "code": "--code",
    "group": "--group",
}
_SWITCHES = {"preemptable": "--preemptable", "restartable": "--restartable", "pty": "--pty"}


def submit_words(spec: JobSpec) -> list[str]:
    """The words of the line, as a program would be given them. What is as always is left out."""
    document = human(spec)
    words = ["dais", "job", "submit"]
    for field, option in _OPTIONS.items():
        if field in document:
            words += _option(option, str(document[field]))
    if spec.type == "interactive":
        words.append("--interactive")
    words += [option for field, option in _SWITCHES.items() if field in document]
    for name, amount in document.get("resources", {}).items():
        words += _option(f"--{name}", str(amount))
    for mount in spec.data:
        words += _option("--data", mount_text(mount))
    for one in spec.inputs:
        words += _option("--input", human_input(one))
    if spec.output is not None:
        words += _option("--output", human_output(spec.output))
    for name, value in spec.environment.items():
        words += _option("--env", f"{name}={value}")
    for use in document.get("secrets", []):
        words += _option("--secret", use)
    for key, value in spec.tags.items():
        words += _option("--tag", f"{key}={value}" if value else key)
    for port in document.get("ports", []):
        words += _option("--port", port)
    for target in spec.notify:
        words += _option("--notify", target)
    return [*words, "--", *spec.command]


def submit_line(spec: JobSpec) -> list[str]:
    """The same words, each quoted as one types it into a shell; with spaces between them they are the line."""
    return [shlex.quote(word) for word in submit_words(spec)]


def mount_text(mount: Mount) -> str:
    """A mount as one word; a colon inside a path is written `\\:`, a backslash `\\\\`."""
    below = f"/{_escaped(mount.path)}" if mount.path else ""
    return f"{mount.name}{below}:{_escaped(mount.target)}{':ro' if mount.read_only else ''}"


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:")


def _option(name: str, value: str) -> list[str]:
    """An option with its value; one that begins with a dash would be taken for another option."""
    return [f"{name}={value}"] if value.startswith("-") else [name, value]
