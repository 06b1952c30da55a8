"""Checks of the engines that were attached: asked of the running server which there are, then looked at from here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial

import msgspec

from dais.app.doctor.types import Answer, Check, Facts
from dais.app.engines import KINDS
from dais.compute import DEFAULT_GROUP
from dais.engines.contract import CheckReport
from dais.kit.errors import DaisError
from dais.sdk.client import Client
from dais.sdk.errors import DaisError as ClientError
from dais.sdk.installation import Installation
from dais.sdk.profiles import read_profiles
from dais.wire.groups import Group

CHECK_SECONDS = 30.0


def attached_groups(installation: Installation | None) -> tuple[Group, ...]:
    """The groups of a server that runs, as whoever asks may see them; none where nothing can be asked.

    Only a profile that is this very server's is used: no other token is sent to it.
    """
    if installation is None or installation.state != "running" or installation.url is None:
        return ()
    try:
        profiles = read_profiles().values()
        token = next((one.token for one in profiles if one.url == installation.url and one.token), None)
        if token is None:
            return ()
        with Client(installation.url, token, patience=0.0) as client:
            return tuple(group for group in client.groups.list() if group.name != DEFAULT_GROUP)
    except (ClientError, OSError):
        return ()


def attached(facts: Facts) -> tuple[Check, ...]:
    """A row for each attached group."""
    return tuple(Check(f"group-{group.name}", f"group {group.name}", partial(_look, group)) for group in facts.groups)


def _look(group: Group, facts: Facts) -> Answer:
    lost = "its jobs wait; all else goes on"
    load = KINDS.get(group.engine)
    if load is None:
        return Answer("bad", f"this version has no engine {group.engine}", lost, f"dais detach {group.name}")
    if group.options is None:  # who asks is no administrator
        if group.problem is not None:
            return Answer("weak", f"{group.engine}: {group.problem}", lost, f"dais group get {group.name}")
        return Answer("fine", f"{group.engine}: the server reaches it")
    try:
        kind = load()
        options = msgspec.convert(group.options, kind.options, strict=False)
        report = asyncio.run(_checked(kind.check(options, data_dir=facts.data_dir)))
    except (ModuleNotFoundError, msgspec.ValidationError, TimeoutError, DaisError) as error:
        return Answer("bad", f"{group.engine} cannot be asked: {error}", lost, f"dais group get {group.name}")
    wrong = [one for one in report.findings if not one.ok]
    needed = [one for one in wrong if one.needed]
    if needed:
        return Answer("bad", f"{group.engine}: {needed[0].detail}", lost, needed[0].remedy)
    if group.problem is not None:
        remedy = f"dais group get {group.name}"
        return Answer("weak", f"{group.engine} answers here, and not to the server: {group.problem}", lost, remedy)
    if wrong:
        return Answer("weak", f"{group.engine}: {wrong[0].detail}", "something is lost by it", wrong[0].remedy)
    nodes = f"{group.nodes} node{'' if group.nodes == 1 else 's'}"
    return Answer("fine", f"{group.engine} answers; {nodes}, {group.running} jobs run and {group.waiting} wait there")


async def _checked(look: Awaitable[CheckReport]) -> CheckReport:
    async with asyncio.timeout(CHECK_SECONDS):
        return await look
