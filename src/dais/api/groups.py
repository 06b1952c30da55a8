"""Attaching, changing and detaching resource groups: what REST and the pages do alike around the verbs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from dais.api.context import Services
from dais.compute import (
    check_new_group,
    check_removal,
    find_group,
    find_kind,
    forget_group,
    get_group,
    give_up_group,
    new_group,
    read_options,
    remove_group,
    save_logs,
    set_group,
    written_options,
)
from dais.engines.contract import LaunchRefused
from dais.identity import Actor
from dais.kit.errors import DaisError, Invalid, Unavailable
from dais.wire.groups import EngineCheck, EngineFinding, Group, GroupChange, NewGroup

CHECK_SECONDS = 60.0
"""The longest that a check of an engine may take."""


async def check_engine(services: Services, actor: Actor, wanted: NewGroup) -> EngineCheck:
    """Whether a group could be attached with these options; nothing is changed.

    Raises Forbidden, Invalid (name, engine, options), Conflict `already-exists`, Unavailable.
    """
    name = wanted.name or wanted.engine
    await services.db.read(check_new_group, actor, name)
    return await _check(services, wanted.engine, name, wanted.options, wanted.default_image)


async def attach_group(services: Services, actor: Actor, wanted: NewGroup) -> Group:
    """Attach a group and open it at once. Raises as `check_engine`.

    Invalid `engine-not-usable` has every finding of the check; Unavailable `engine-not-opened`: nothing has changed.
    """
    checked = await check_engine(services, actor, wanted)
    _refuse_unsound(checked)
    name = checked.name
    await services.db.write(new_group, actor, name, wanted.engine, checked.options, checked.default_image)
    try:
        await services.compute.openings.open(name)
    except (DaisError, OSError, LaunchRefused) as error:
        await services.db.write(forget_group, name)
        await services.compute.openings.close(name)
        raise Unavailable(
            f"the engine {wanted.engine} was found, and does not start: {error}", code="engine-not-opened"
        ) from error
    attached: Group = await services.db.read(get_group, actor, name)
    return attached


async def change_group(services: Services, actor: Actor, name: str, change: GroupChange) -> Group:
    """Change a group; with other options its engine is opened anew, and its jobs go on.

    Raises NotFound, Forbidden, Invalid (options that the engine does not have, or cannot work with), Unavailable.
    """
    row = await services.db.read(find_group, actor, name, "group:set")
    options: dict[str, Any] | None = None
    if change.options:
        merged = msgspec.json.decode(row.options) | change.options
        merged = {option: value for option, value in merged.items() if value is not None}
        if row.engine in services.compute.kinds:
            checked = await _check(services, row.engine, name, merged, None)
            _refuse_unsound(checked)
            merged = checked.options
        options = merged
    changed: Group = await services.db.write(set_group, actor, name, options, change.default_image)
    return changed


async def detach_group(services: Services, actor: Actor, name: str, *, lost: bool = False) -> None:
    """Forget a group; `lost`: with its jobs, which are lost, because its engine does not come back.

    Raises NotFound, Forbidden, Conflict `in-use` while a job of it has not ended, `engine-answers` with `lost`.
    """
    await services.db.read(check_removal, actor, name, lost=lost)
    opened = services.compute.groups.get(name) if lost else None
    logs = {} if opened is None else await save_logs(opened)
    # Closed first: what its loops write about it rests on its row.
    async with services.compute.openings.closed(name):
        if lost:
            await services.db.write(give_up_group, actor, name, logs)
        else:
            await services.db.write(remove_group, actor, name)


async def _check(
    services: Services, engine: str, name: str, given: Mapping[str, Any], default_image: str | None
) -> EngineCheck:
    kind = find_kind(services.compute.kinds, engine)
    options = read_options(engine, kind, given)
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            report = await kind.check(options)
    except TimeoutError as error:
        raise Unavailable(
            f"the engine {engine} has not answered within {CHECK_SECONDS:g} s; see whether it works by itself",
            code="engine-silent",
        ) from error
    return EngineCheck(
        engine=engine,
        name=name,
        sound=report.sound,
        findings=[EngineFinding(**msgspec.structs.asdict(finding)) for finding in report.findings],
        options={**report.options, **written_options(options)},
        default_image=report.default_image if default_image is None else default_image,
    )


def _refuse_unsound(checked: EngineCheck) -> None:
    if checked.sound:
        return
    wrong = [finding for finding in checked.findings if finding.needed and not finding.ok]
    told = "; ".join(f"{one.detail}{f' ({one.remedy})' if one.remedy else ''}" for one in wrong)
    raise Invalid(
        f"the engine {checked.engine} cannot be used so: {told}",
        code="engine-not-usable",
        findings=[msgspec.to_builtins(finding) for finding in checked.findings],
    )
