"""The options that describe a job, shared by `dais run` and `dais job submit`, and the document that they make."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from dais.cli.base import chosen

R = TypeVar("R")

FLAGS = {
    "command": "the command",
    "name": "--name",
    "account": "--account",
    "image": "--image",
    "workdir": "--workdir",
    "data": "--data",
    "environment": "--env",
    "secrets": "--secret",
    "resources.cpu": "--cpu",
    "resources.mem": "--mem",
    "resources.gpu": "--gpu",
    "resources.shm": "--shm",
    "type": "--interactive",
    "bid": "--bid",
    "max_run_time": "--max-run-time",
    "idle_timeout": "--idle-timeout",
    "tags": "--tag",
    "network": "--network",
    "requirements": "--requirements",
    "inputs": "--input",
    "output": "--output",
    "code": "--code",
    "notify": "--notify",
    "ports": "--port",
    "group": "--group",
}
"""What users write for a field of the specification."""

NOT_BUILT_FLAGS = {
    "--gpu-mem": "gpu_mem",
    "--gpu-model": "gpu_model",
    "--gpu-model-filter": "gpu_model",
    "--gpu-tensor-cores": "gpu_tensor_cores",
    "--cuda-version": "cuda_version",
    "--cpu-model": "cpu_model",
    "--infiniband": "infiniband",
    "--internal-dns": "options",
    "--role": "role",
}
_switches = {"--infiniband"}


def _refuse(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value:
        from dais.wire.not_built import NOT_BUILT, instead_of

        flag = parameter.opts[0]
        name = NOT_BUILT_FLAGS[flag]
        raise click.UsageError(f"{flag}: {NOT_BUILT[name]}: this is not built yet; {instead_of(name)}")


def _one_replica(context: click.Context, parameter: click.Parameter, value: int | None) -> None:
    if value not in (None, 1):
        from dais.wire.not_built import instead_of

        raise click.UsageError(f"--replicas: more than one replica: this is not built yet; {instead_of('replicas')}")


_options: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
    click.option("--name", metavar="NAME", help="Call the job so; unique among the account's jobs that are alive."),
    click.option("--enforce-name", is_flag=True, help="Add a suffix to the name when it is taken."),
    click.option("-i", "--image", metavar="IMAGE", help="What the container starts from; the group's default."),
    click.option(
        *("-d", "--data"),
        metavar="NAME[/DIR]:/PATH[:ro]",
        multiple=True,
        help="Mount a folder, or a directory of it. Repeatable.",
    ),
    click.option(
        *("-e", "--env"),
        metavar="NAME=VALUE",
        multiple=True,
        help="Set a variable; NAME alone takes its value from here. Repeatable.",
    ),
    click.option(
        "--secret",
        metavar="NAME[:VAR|:/PATH]",
        multiple=True,
        help="Give it a secret as a variable, or as a file. Repeatable.",
    ),
    click.option(
        *("--input", "inputs"),
        metavar="NAME[:N][=/PATH]",
        multiple=True,
        help="Give it a file set: in the working directory, or read-only at a path. Repeatable.",
    ),
    click.option(
        *("--output", "output_path"),
        metavar="PATH[=FILESET]",
        help="Make a file set of what it writes there. [default name: job_<number>_output]",
    ),
    click.option("--code", metavar="/PATH[:N]", help="Unpack this zip of the data lake in the working directory."),
    click.option("--workdir", metavar="DIR", help="Start the command in this directory of the container."),
    click.option("--cpu", metavar="CORES", help="Cores, as 2 or 500m. [default: 1]"),
    click.option("--mem", metavar="SIZE", help="Memory, as 16 (GiB), 512Mi or 4g. [default: 1]"),
    click.option("--gpu", metavar="N", help="Whole GPUs. [default: 0]"),
    click.option("--shm", metavar="SIZE", help="Size of /dev/shm. [default: half of the memory, at most 2 GiB]"),
    click.option("-I", "--interactive", is_flag=True, help="An interactive job: it comes before all others."),
    click.option("--preemptable/--non-preemptable", default=None, help="It may be stopped for others."),
    click.option("--restartable/--non-restartable", default=None, help="It is queued again when its node is lost."),
    click.option("--bid", metavar="N", help="Order among jobs of the same kind; higher comes first."),
    click.option("--max-run-time", metavar="TIME", help="Stop it after this time, as 3600, 90s, 6h or 2d."),
    click.option(
        "--idle-timeout", metavar="TIME", help="Stop an interactive job that nobody has used for so long; 0: never."
    ),
    click.option("--tag", metavar="KEY[=VALUE]", multiple=True, help="Tag the job. Repeatable."),
    click.option("--network", metavar="MODE", help="none, internet or host. [default: none]"),
    click.option("--pty", is_flag=True, help="Give it a terminal: output in exact order, colours."),
    click.option(
        *("--port", "ports"),
        metavar="NAME:PORT[/tcp]",
        multiple=True,
        help="Name a port that it listens on, as web:8080. Repeatable.",
    ),
    click.option(
        "--notify",
        metavar="URL|mail:ADDRESS",
        multiple=True,
        help="Tell them when it ends; `none`: nobody. Repeatable.",
    ),
    click.option(
        "--group", metavar="GROUP", help="The resource group to run in; by default the first in which it fits."
    ),
    click.option("--requirements", metavar="FILE", help="Build the Python environment from this file of the source."),
    click.option("-f", "--file", metavar="FILE", help="Read the job from a YAML file (- is stdin); options win."),
    click.option("--idempotency-key", metavar="KEY", help="Submitting with the same key again makes no second job."),
    click.option("--dry-run", is_flag=True, help="Check, print the job as YAML, and submit nothing."),
    click.option("--tunnel", is_flag=True, expose_value=False, hidden=True),  # every job's ports can be reached
    click.option("--replicas", type=int, callback=_one_replica, expose_value=False, hidden=True),
    *(
        click.option(flag, is_flag=flag in _switches, callback=_refuse, expose_value=False, hidden=True)
        for flag in NOT_BUILT_FLAGS
    ),
]


def job_options(function: Callable[..., R]) -> Callable[..., R]:
    """Adds the options of a job; the command gets them as one mapping `given` (see `document`)."""

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> R:
        own = {name: kwargs.pop(name) for name in _names if name in kwargs}
        return function(*args, given=own, **kwargs)

    for option in reversed(_options):
        command = option(command)
    return command


_names = (
    *("name", "enforce_name", "image", "data", "env", "secret", "workdir", "cpu", "mem", "gpu", "shm", "interactive"),
    *(
        "preemptable",
        "restartable",
        "bid",
        "max_run_time",
        "idle_timeout",
        "tag",
        "network",
        "pty",
        "notify",
        "group",
        "requirements",
    ),
    *("inputs", "output_path", "code", "ports", "file", "idempotency_key", "dry_run"),
)


def document(given: dict[str, Any], words: tuple[str, ...]) -> dict[str, Any]:
    """The fields that the command line gives, as a document for `wire.read`."""
    resources = {name: given[name] for name in ("cpu", "mem", "gpu", "shm") if given[name] is not None}
    fields = {
        "command": list(words) or None,
        "account": chosen().account,
        "data": list(given["data"]) or None,
        "environment": [_variable(text) for text in given["env"]] or None,
        "secrets": list(given["secret"]) or None,
        "inputs": list(given["inputs"]) or None,
        "output": given["output_path"],
        "code": given["code"],
        "resources": resources or None,
        "type": "interactive" if given["interactive"] else None,
        "tags": list(given["tag"]) or None,
        "pty": given["pty"] or None,
        "notify": list(given["notify"]) or None,
        "ports": list(given["ports"]) or None,
    }
    same = (
        "name",
        "image",
        "workdir",
        "preemptable",
        "restartable",
        "bid",
        "max_run_time",
        "idle_timeout",
        "network",
        "group",
    )
    fields |= {name: given[name] for name in (*same, "requirements")}
    return {name: value for name, value in fields.items() if value is not None}


def read_given(given: dict[str, Any], words: tuple[str, ...], **more: Any) -> Any:
    """The checked JobSpec of a command line and its file; what is wrong in an option is named by the option."""
    from dais.sdk.documents import read_spec_file
    from dais.wire.read import SpecError, read_fields, read_spec

    fields = document(given, words) | {name: value for name, value in more.items() if value is not None}
    try:
        read_fields(fields)
        if given["file"]:
            return read_spec_file(given["file"], fields)
        return read_spec(fields)
    except SpecError as error:
        raise _in_flags(error) from error


def _in_flags(error: Any) -> click.UsageError:
    base = error.path.partition("[")[0]
    flag = FLAGS.get(base) or FLAGS.get(base.partition(".")[0]) or base
    hint = f"; {error.hint}" if error.hint else ""
    return click.UsageError(f"{flag}: {error.problem}{hint}" if flag else f"{error.problem}{hint}")


def _variable(text: str) -> str:
    if "=" in text or not text:
        return text
    value = os.environ.get(text)
    if value is None:
        raise click.UsageError(f"--env: {text!r} has no '=', and there is no such variable here; write NAME=VALUE")
    return f"{text}={value}"
