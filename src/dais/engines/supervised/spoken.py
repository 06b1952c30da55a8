"""What a supervisor of an older Dais does not know, and would ignore: a job would run without it."""

from __future__ import annotations

from dais.engines.contract import LaunchRefused, LaunchSpec

FILES_AND_ROOTS = 2
"""The protocol that knows a launch's `files`, and a `root` other than the host's."""


def refuse_unspoken(spec: LaunchSpec, protocol: int) -> None:
    """Return where a supervisor of this protocol knows all that the launch asks for. Raises LaunchRefused."""
    if protocol >= FILES_AND_ROOTS:
        return
    for part, given in (("secrets as files", bool(spec.files)), ("images of their own", spec.root != "host")):
        if given:
            raise LaunchRefused(
                f"the node supervisor was started by an older Dais (it speaks protocol {protocol}) and cannot give "
                f"jobs {part}; once nothing runs, stop Dais and start it again: a new one takes its place"
            )
