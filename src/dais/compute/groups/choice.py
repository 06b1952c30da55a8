"""Whether a group can run what a spec asks for, and which group a job goes to that names none.

Everything that is refused here is refused for good: what could run later waits in the queue.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from dais.compute.groups.mapped import check_mapped
from dais.compute.groups.queries import DEFAULT_GROUP, group_names, group_row, group_rows, node_rows
from dais.compute.images.queries import check_image
from dais.identity import Actor, may, require, resource_at
from dais.kit.database import Row, UnitOfWork
from dais.kit.errors import DaisError, Forbidden, Invalid
from dais.wire.spec import JobSpec
from dais.wire.units import format_duration

ISOLATED = ("sandbox", "container")
"""Modes of a node in which a job sees a root file system of its own."""


class Chosen(msgspec.Struct, frozen=True):
    """A group, and what the job's owner should know of it."""

    group: Row
    warnings: tuple[str, ...]


@functools.lru_cache(maxsize=1024)
def _written(text: str) -> Any:
    """What a node's row says in JSON, decoded once for all that are submitted; not to be changed."""
    return msgspec.json.decode(text)


def choose_group(uow: UnitOfWork, actor: Actor, spec: JobSpec) -> Chosen:
    """The group that the spec names, if it can run there; else the first that can, and that the actor may use.

    The default group comes first, the others by name; those whose engine is away come last. Raises Forbidden,
    Invalid: of one group as `check_group`, of several `fits-nowhere` with a line for each.
    """
    if spec.group:
        return check_group(uow, actor, spec, named_group(uow, actor, spec.group))
    own = group_row(uow, DEFAULT_GROUP)
    usable: Callable[[str], bool] = lambda name: may(uow, actor, "group:get", resource_at(uow, "group", name))  # noqa: E731
    refusals: dict[str, DaisError] = {}
    if own is not None and own.problem is None and usable(DEFAULT_GROUP):  # nearly always: no look at the others
        try:
            return check_group(uow, actor, spec, own)
        except DaisError as error:
            refusals[DEFAULT_GROUP] = error
    others = [row for row in group_rows(uow) if row.name not in refusals and usable(row.name)]
    for row in sorted(others, key=lambda row: (row.problem is not None, row.name != DEFAULT_GROUP, row.name)):
        try:
            return check_group(uow, actor, spec, row, certain=row.name != DEFAULT_GROUP)
        except DaisError as error:
            refusals[row.name] = error
    if not refusals:
        return check_group(uow, actor, spec, named_group(uow, actor, DEFAULT_GROUP))  # says who may use it
    if len(refusals) == 1:
        raise next(iter(refusals.values()))
    lines = {name: error.message for name, error in refusals.items()}
    raise Invalid(
        "no resource group can run this job:\n" + "\n".join(f"  {name}: {why}" for name, why in lines.items()),
        code="fits-nowhere",
        groups=lines,
        codes={name: error.code for name, error in refusals.items()},
    )


def check_group(uow: UnitOfWork, actor: Actor, spec: JobSpec, group: Row, *, certain: bool = False) -> Chosen:
    """Refuse what can never run in this group. With `certain` its machines must be known.

    Raises Invalid: `no-such-image` and its like, `never-fits`, `cannot-mount`, `no-internet`, `not-as-unix-user`;
    Forbidden `not-isolated`, `network-forbidden`, `no-unix-user`.
    """
    nodes = node_rows(uow, group.name)
    if certain and not nodes:
        raise Invalid(f"no node of it is up{f': {group.problem}' if group.problem else ''}", code="no-node")
    if spec.image is None and not group.default_image:
        raise Invalid(
            f"jobs of group {group.name} start from an image: name one with --image, or let an administrator choose "
            f"what they start from: dais group set {group.name} --default-image IMAGE",
            code="image-needed",
        )
    check_mapped(actor, spec, group)
    about_image = check_image(uow, actor, spec, group, nodes)
    _check_fits(spec, nodes)
    _check_time(spec, group, nodes)
    warnings = about_image + _check_isolation(uow, actor, spec, nodes)
    if group.problem is not None:
        warnings += (f"group {group.name} starts nothing now: {group.problem}",)
    return Chosen(group, warnings)


def named_group(uow: UnitOfWork, actor: Actor, name: str) -> Row:
    """The group that jobs of the actor may run in: one that they may get. Raises Forbidden, Invalid `no-such-group`."""
    require(uow, actor, "group:get", resource_id=name[:63])  # whether or not it is there
    group = group_row(uow, name)
    if group is None:
        known = [one for one in group_names(uow) if may(uow, actor, "group:get", resource_at(uow, "group", one))]
        raise Invalid(
            f"there is no resource group {name!r}; there are: {', '.join(known) or 'none yet'}", code="no-such-group"
        )
    return group


def _check_fits(spec: JobSpec, nodes: Sequence[Row]) -> None:
    """Refuse what no node can ever hold, with what was asked and what the largest node has."""
    asked = spec.resources
    for node in nodes:
        gpus = len(_written(node.gpus))
        if asked.cpu * 1000 <= node.cpu_millis and asked.mem <= node.mem and asked.gpu <= gpus:
            return
    if not nodes:
        return  # the group's machines are not known yet: it waits
    largest = max(nodes, key=lambda node: (len(_written(node.gpus)) if asked.gpu else 0, node.cpu_millis))
    raise Invalid(
        f"the job asks for {asked.cpu:g} cpu, {asked.mem / (1 << 30):.4g} GiB of memory and {asked.gpu} gpu; "
        f"the largest node, {largest.name}, has {largest.cpu_millis / 1000:g} cpu, {largest.mem / (1 << 30):.4g} GiB "
        f"and {len(_written(largest.gpus))} gpu: ask for less",
        code="never-fits",
        asked={"cpu": asked.cpu, "mem": asked.mem, "gpu": asked.gpu},
        largest={"cpu": largest.cpu_millis / 1000, "mem": largest.mem, "gpu": len(_written(largest.gpus))},
    )


def _check_time(spec: JobSpec, group: Row, nodes: Sequence[Row]) -> None:
    """Refuse what asks for more time than any node gives, and would wait for ever."""
    limits = [node.longest for node in nodes]
    if spec.max_run_time is None or not limits or None in limits or spec.max_run_time <= (longest := max(limits)):
        return
    raise Invalid(
        f"the job asks to run for {format_duration(spec.max_run_time)}, and none of group {group.name} may run more "
        f"than {format_duration(longest)}: ask for less (--max-run-time)",
        code="never-fits",
        asked={"max_run_time": spec.max_run_time},
        largest={"max_run_time": longest},
    )


def _check_isolation(uow: UnitOfWork, actor: Actor, spec: JobSpec, nodes: Sequence[Row]) -> tuple[str, ...]:
    """Without file-system isolation only jobs of those run who may change the installation, unless it allows others.

    So with the machine's own network: who is in it is at the machine.
    """
    warnings: list[str] = []
    if nodes and all(node.no_room for node in nodes):
        warnings.append(nodes[0].no_room)
    for node in nodes:
        isolation = _written(node.isolation)
        if isolation.get("cgroup", "v2") not in ("v1", "v2"):
            warnings.append(
                f"memory is limited for each process alone, CPU and processes are not, on {node.name}: "
                f"{isolation['cgroup']}"
            )
        if isolation.get("mode", "sandbox") in ISOLATED:
            continue
        probed = isolation.get("bwrap")
        why, remedy = "its sandbox is switched off", "start it without DAIS_LOCAL_ISOLATION=process"
        if isinstance(probed, str):
            why, remedy = probed, "install bubblewrap there"
        if not isolation.get("allow_unisolated", False) and not _is_operator(uow, actor):
            raise Forbidden(
                f"{node.name} cannot isolate jobs ({why}), so only its administrator's jobs run there; "
                f"ask the administrator to {remedy}",
                code="not-isolated",
            )
        bound = any(one.target for one in spec.inputs)
        if spec.data or bound or any(use.file for use in spec.secrets):
            what = "folders" if spec.data else "file sets" if bound else "files"
            raise Invalid(
                f"{node.name} cannot mount {what} into jobs ({why}); {remedy}",
                code="cannot-mount",
            )
        warnings.append(f"no file-system isolation on {node.name}: {why}")
    if spec.network == "internet":
        _check_internet(nodes)
    if spec.network == "host" and not _is_operator(uow, actor):
        raise Forbidden("network 'host' is for administrators; use 'none'", code="network-forbidden")
    return tuple(warnings)


def _is_operator(uow: UnitOfWork, actor: Actor) -> bool:
    """Whether the actor may change the installation."""
    return may(uow, actor, "installation:set", resource_at(uow, "installation"))


def _check_internet(nodes: Sequence[Row]) -> None:
    """Refuse where a machine cannot let jobs reach the internet and nothing else, with what it lacks."""
    for node in nodes:
        found = _written(node.isolation)
        if found.get("mode", "sandbox") not in ISOLATED:
            why: object = "there is no sandbox"
        else:
            why = found.get("internet", "its supervisor is older than this server")
        if why is False:
            why = "its group was given no network for that (docs/engines.md)"
        if why is not True:
            raise Invalid(
                f"{node.name} cannot give jobs the network 'internet': {why}. `dais doctor` tells how to mend it; then "
                "start Dais anew while nothing runs. Until then use 'none'",
                code="no-internet",
                node=node.name,
            )
