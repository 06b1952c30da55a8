"""The supervisor, as its attempts see it. For type checkers alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from dais.node.attempt import Attempt
from dais.node.egress import Egress
from dais.node.launch import Machine
from dais.node.loop import Loop
from dais.node.spec import LaunchSpec


class Keeper(Protocol):
    """The supervisor, as an attempt sees it."""

    loop: Loop
    machine: Machine
    node_dir: str
    on_other_child: dict[int, Any]

    def emit(self, record: dict[str, Any]) -> None: ...
    def adopt(self, pid: int, attempt: Attempt) -> None: ...
    def strays(self, attempt: Attempt) -> list[int]: ...
    def unattributed(self) -> bool: ...
    def helpers(self, attempt: Attempt) -> set[int]: ...
    def end_execs(self, attempt: Attempt) -> None: ...
    def count_user(self, uid: int | None, change: int) -> None: ...
    def uid_in_use(self, uid: int) -> bool: ...
    def way_out(self, spec: LaunchSpec, then: Callable[[str | None], None]) -> Egress: ...
