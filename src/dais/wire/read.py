"""From what people write to a JobSpec, and back.

A document is what YAML, JSON or a Python call gives: names in snake_case or as the Element AI Toolkit spells them,
sizes and durations in human units. Nothing in it is ignored: an unknown field is refused with the nearest name, one
that is known but not built yet is refused as such.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Collection, Mapping
from typing import Any

from dais.wire.check import check
from dais.wire.inputs import human_input, human_output, read_code, read_inputs, read_output
from dais.wire.names import split_folder, split_version
from dais.wire.not_built import GRANTED, NOT_BUILT, refuse_not_built
from dais.wire.notify import read_notify
from dais.wire.ports import human_port, read_ports
from dais.wire.problems import SpecError, nearest, shown
from dais.wire.scalars import Written, choice, flag, integer, kind, list_of, resolved, text_of
from dais.wire.secrets import human_secret, merged, read_secrets
from dais.wire.spec import GIB, JobSpec, Mount, Resources
from dais.wire.units import format_duration, format_size, parse_cores, parse_duration, parse_size

__all__ = ["ALIASES", "SpecError", "Written", "check", "human", "read_fields", "read_spec"]

ALIASES = {
    "environment_vars": "environment",
    "environment_variables": "environment",
    "max_run_time_secs": "max_run_time",
    "interactive": "type",
    "internal-dns": "internal_dns",
}
"""Other spellings of fields, after camelCase has become snake_case."""

SLIPS = {
    "env": "environment",
    "envs": "environment",
    "cmd": "command",
    "entrypoint": "command",
    "args": "command",
    "memory": "mem",
    "ram": "mem",
    "cpus": "cpu",
    "cores": "cpu",
    "gpus": "gpu",
    "volumes": "data",
    "mounts": "data",
    "folders": "data",
    "labels": "tags",
    "secret": "secrets",
    "timeout": "max_run_time",
    "time_limit": "max_run_time",
    "priority": "bid",
    "cwd": "workdir",
    "input": "inputs",
    "input_file_set": "inputs",
    "filesets": "inputs",
    "outputs": "output",
    "port": "ports",
    "expose": "ports",
    "output_path": "output",
}
"""Names that other systems use, for the "did you mean"."""

RESOURCE_FIELDS = ("cpu", "mem", "gpu", "shm")
MOUNT_FIELDS = ("name", "target", "path", "read_only")


def read_spec(document: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> JobSpec:
    """The specification in a document, checked. Raises SpecError.

    `overrides` is a second document that wins: variables, tags and resources one by one, mounts and secrets by where
    they go, everything else whole.
    """
    fields = read_fields(document)
    for name, value in read_fields(overrides or {}).items():
        if name == "data":
            kept = [mount for mount in fields.get("data", ()) if mount.target not in {one.target for one in value}]
            fields["data"] = (*kept, *value)
        elif name == "secrets":
            fields["secrets"] = merged(fields.get("secrets", ()), value)
        elif name in ("environment", "tags", "resources"):
            fields[name] = {**fields.get(name, {}), **value}
        else:
            fields[name] = value
    resources = Resources(**fields.pop("resources", {}))
    return check(JobSpec(command=fields.pop("command", ()), resources=resources, **fields))


def read_fields(document: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical fields that a document gives; `resources` stays a mapping. Raises SpecError."""
    if not isinstance(document, Mapping):
        raise SpecError("", f"a job is a mapping of fields, not {kind(document)}", given=document)
    fields: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for key, value in document.items():
        name = _canonical(key)
        if name in NOT_BUILT:
            refuse_not_built(key, name, value)
            continue
        if name in GRANTED:
            flag(value, key)
            continue
        reader = _readers.get(name)
        if reader is None:
            raise _unknown(key, "", [*_readers, *NOT_BUILT])
        if resolved(value) is None:
            continue
        if _snake(key) == "interactive":
            value = "interactive" if flag(value, key) else "batch"
        if name in origin:
            raise SpecError(key, f"it says again what {origin[name]!r} says", hint="keep one of them")
        origin[name] = key
        fields[name] = reader(value, key)
    return fields


def human(spec: JobSpec) -> dict[str, Any]:
    """The document that people would write for a spec; `read_spec` gives the same spec back. Defaults are left out."""
    document: dict[str, Any] = {"command": list(spec.command)}
    for name in ("name", "account", "image", "workdir"):
        if getattr(spec, name) is not None:
            document[name] = getattr(spec, name)
    if spec.data:
        document["data"] = [_human_mount(mount) for mount in spec.data]
    if spec.environment:
        document["environment"] = dict(spec.environment)
    if spec.secrets:
        document["secrets"] = [human_secret(use) for use in spec.secrets]
    resources = _human_resources(spec.resources)
    if resources:
        document["resources"] = resources
    if spec.type != "batch":
        document["type"] = spec.type
    for name in ("preemptable", "restartable", "bid", "pty"):
        if getattr(spec, name):
            document[name] = getattr(spec, name)
    if spec.max_run_time is not None:
        document["max_run_time"] = format_duration(spec.max_run_time)
    if spec.idle_timeout is not None:
        document["idle_timeout"] = format_duration(spec.idle_timeout)
    if spec.tags:
        document["tags"] = dict(spec.tags)
    if spec.network != "none":
        document["network"] = spec.network
    if spec.notify:
        document["notify"] = list(spec.notify)
    if spec.ports:
        document["ports"] = [human_port(port) for port in spec.ports]
    if spec.inputs:
        document["inputs"] = [human_input(one) for one in spec.inputs]
    if spec.output is not None:
        document["output"] = human_output(spec.output)
    for name in ("source", "requirements", "code", "group"):
        if getattr(spec, name) is not None:
            document[name] = getattr(spec, name)
    return document


def _human_resources(resources: Resources) -> dict[str, Any]:
    default, document = Resources(), dict[str, Any]()
    if resources.cpu != default.cpu:
        document["cpu"] = int(resources.cpu) if resources.cpu == int(resources.cpu) else resources.cpu
    for name in ("mem", "shm"):
        size = getattr(resources, name)
        if size != getattr(default, name):
            document[name] = size // GIB if size and size % GIB == 0 else format_size(size)
    if resources.gpu != default.gpu:
        document["gpu"] = resources.gpu
    return document


def _human_mount(mount: Mount) -> str | dict[str, Any]:
    if any(mark in path for mark in ":\\" for path in (mount.target, mount.path)):
        document: dict[str, Any] = {"name": mount.name, "target": mount.target}
        return (
            document | ({"path": mount.path} if mount.path else {}) | ({"read_only": True} if mount.read_only else {})
        )
    below = f"/{mount.path}" if mount.path else ""
    return f"{mount.name}{below}:{mount.target}{':ro' if mount.read_only else ''}"


def _read_command(value: Any, path: str) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            proposal = json.dumps(shlex.split(value), ensure_ascii=False)
        except ValueError:
            proposal = json.dumps(["bash", "-c", str(value)], ensure_ascii=False)
        raise SpecError(
            path,
            f"{shown(value)} is one text; a command is a list of words",
            given=value,
            expected="a list",
            hint=f"write {proposal if len(proposal) < 200 else 'a list'}",
        )
    return tuple(text_of(item, f"{path}[{index}]") for index, item in enumerate(list_of(value, path)))


def _read_data(value: Any, path: str) -> tuple[Mount, ...]:
    return tuple(_read_mount(item, f"{path}[{index}]") for index, item in enumerate(list_of(value, path)))


def _read_mount(value: Any, path: str) -> Mount:
    if isinstance(value, Mapping):
        fields: dict[str, Any] = {}
        for key, item in value.items():
            name = _snake(key)
            if name not in MOUNT_FIELDS:
                raise _unknown(key, path, MOUNT_FIELDS)
            where = f"{path}.{key}"
            fields[name] = flag(item, where) if name == "read_only" else text_of(item, where)
        for name in ("name", "target"):
            if name not in fields:
                raise SpecError(path, f"the field {name!r} is missing", expected="name and target")
        return Mount(**fields)
    parts = _split_at_colons(text_of(value, path))
    mode = parts.pop() if len(parts) == 3 else None
    if len(parts) != 2 or mode not in (None, "ro", "rw"):
        raise SpecError(
            path,
            f"{shown(value)} is no mount",
            given=value,
            expected="NAME[/below]:/mount[:ro|:rw]",
            hint="write for example digits:/data:ro",
        )
    name, below = split_folder(_living(parts[0]))
    never_changes = mode is None and split_version(name)[1] is not None
    return Mount(name=name, path=below, target=parts[1], read_only=never_changes or mode == "ro")


def _living(name: str) -> str:
    """`NAME@latest/below` is what is in the folder now."""
    head, at, rest = name.partition("@latest")
    return f"{head}{rest}" if at and rest[:1] in ("", "/") else name


def _split_at_colons(text: str) -> list[str]:
    """The parts of a mount; `\\:` is a colon inside one, `\\\\` a backslash."""
    parts = [""]
    for piece in re.findall(r"\\[:\\]|.", text, re.DOTALL):
        if piece == ":":
            parts.append("")
        else:
            parts[-1] += piece[-1]
    return parts


def _read_environment(value: Any, path: str) -> dict[str, str]:
    return _pairs(value, path, alone=None)


def _read_tags(value: Any, path: str) -> dict[str, str]:
    return _pairs(value, path, alone="")


def _pairs(value: Any, path: str, *, alone: str | None) -> dict[str, str]:
    """A mapping, or a list of `key=value`; `alone` is the value of a word without `=`, None refuses it."""
    if isinstance(value, Mapping):
        return {text_of(key, path): text_of(item, f"{path}.{key}") for key, item in value.items()}
    pairs: dict[str, str] = {}
    for index, item in enumerate(list_of(value, path)):
        where = f"{path}[{index}]"
        if isinstance(item, Mapping) and set(item) == {"key", "value"}:  # as Element AI's answers have tags
            key, equals, text = text_of(item["key"], where), "=", text_of(item["value"], where)
        else:
            key, equals, text = text_of(item, where).partition("=")
        if not equals and alone is None:
            raise SpecError(where, f"{shown(item)} has no '='", given=item, expected="NAME=VALUE")
        if key in pairs:
            raise SpecError(where, f"{shown(key)} is given twice", given=key, hint="keep one of them")
        pairs[key] = text if equals else alone or ""
    return pairs


def _read_resources(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise SpecError(path, f"it is {kind(value)}, not a mapping", given=value, expected="cpu, mem, gpu, shm")
    fields: dict[str, Any] = {}
    for key, item in value.items():
        name, where = _snake(key), f"{path}.{key}"
        if name in NOT_BUILT:
            refuse_not_built(where, name, item)
        elif name not in RESOURCE_FIELDS:
            raise _unknown(key, path, [*RESOURCE_FIELDS, *NOT_BUILT])
        elif resolved(item) is None:
            continue
        elif name == "gpu":
            fields[name] = integer(item, where)
        elif not isinstance(item, str | int | float) or isinstance(resolved(item), bool):
            raise SpecError(where, f"it is {kind(item)}, not a number", given=item)
        else:
            fields[name] = parse_cores(item, where) if name == "cpu" else parse_size(item, where)
    return fields


def _read_type(value: Any, path: str) -> str:
    return choice(value, path, ("batch", "interactive"))


def _read_network(value: Any, path: str) -> str:
    return choice(value, path, ("none", "internet", "host"))


def _read_duration(value: Any, path: str) -> int:
    if not isinstance(value, str | int | float) or isinstance(resolved(value), bool):
        raise SpecError(path, f"it is {kind(value)}, not a duration", given=value)
    return parse_duration(value, path)


def _snake(key: Any) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", str(key)).lower()


def _canonical(key: Any) -> str:
    name = _snake(key)
    return ALIASES.get(name, name)


def _unknown(key: Any, path: str, known: Collection[str]) -> SpecError:
    offered = [name for name in known if name not in NOT_BUILT]
    slip = SLIPS.get(_snake(key), _snake(key))
    if not path and slip in RESOURCE_FIELDS:
        near: str | None = f"resources: {{{slip}: …}}"
    else:
        near = slip if slip in offered else nearest(str(key), known)
    return SpecError(
        f"{path}.{key}" if path else str(key),
        "there is no such field",
        given=key,
        expected=", ".join(offered),
        hint=f"did you mean {near!r}?" if near else f"there are {', '.join(offered)}",
        code="unknown-field",
    )


_readers: dict[str, Callable[[Any, str], Any]] = {
    "command": _read_command,
    "name": text_of,
    "account": text_of,
    "image": text_of,
    "workdir": text_of,
    "data": _read_data,
    "environment": _read_environment,
    "secrets": read_secrets,
    "resources": _read_resources,
    "type": _read_type,
    "preemptable": flag,
    "restartable": flag,
    "bid": integer,
    "max_run_time": _read_duration,
    "idle_timeout": _read_duration,
    "tags": _read_tags,
    "network": _read_network,
    "pty": flag,
    "source": text_of,
    "requirements": text_of,
    "inputs": read_inputs,
    "output": read_output,
    "code": read_code,
    "notify": read_notify,
    "ports": read_ports,
    "group": text_of,
}
