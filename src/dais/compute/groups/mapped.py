"""Groups whose jobs run as Unix users of their own: who may submit there, and what such a job cannot have."""

from __future__ import annotations

import msgspec

from dais.engines.contract import unix_users
from dais.identity import Actor
from dais.kit.database import Row
from dais.kit.errors import Forbidden, Invalid
from dais.wire.spec import JobSpec


def check_mapped(actor: Actor, spec: JobSpec, group: Row) -> None:
    """Refuse a job of somebody without a Unix user, and one that asks for what stays the server's.

    Raises Forbidden `no-unix-user`, Invalid `not-as-unix-user`.
    """
    if "map_users" not in group.options:  # nearly always
        return
    people = unix_users(msgspec.json.decode(group.options))
    if people is None:
        return
    if people.of(actor.id) is None:
        raise Forbidden(
            f"jobs of group {group.name} run as Unix users, and {actor.name} has none there: name another group, or "
            f"let an administrator add {actor.id}=UNIX to its option users: dais group set {group.name} --option …",
            code="no-unix-user",
            group=group.name,
            user=actor.id,
        )
    asked = {
        "folders (data)": bool(spec.data),
        "an output": spec.output is not None,
        f"a job of type {spec.type}": spec.type != "batch",
    }
    for what, wanted in asked.items():
        if wanted:
            raise Invalid(
                f"jobs of group {group.name} run as Unix users, who cannot be given {what}: name another group, or use "
                "the directories that this one shows to its jobs",
                code="not-as-unix-user",
                group=group.name,
            )
