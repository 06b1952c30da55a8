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
    person = f"{actor.organization}.{actor.name}"
    if people.of(person) is None:
        raise Forbidden(
            f"jobs of group {group.name} run as Unix users, and {person} has none there: name another group, or let an "
            f"administrator add {person}=UNIX to its option users (dais group set {group.name} --option 'users=…')",
            code="no-unix-user",
            group=group.name,
            person=person,
        )
    asked = {
        "folders (data)": bool(spec.data),
        "an output": spec.output is not None,
        "the folders of an interactive job's home": spec.type == "interactive",
    }
    for what, wanted in asked.items():
        if wanted:
            raise Invalid(
                f"jobs of group {group.name} run as Unix users, who cannot be given {what}: name another group, or use "
                "the directories that this one shows to its jobs",
                code="not-as-unix-user",
                group=group.name,
            )
