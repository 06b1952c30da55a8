"""What users are told about an end that is not the program's own doing."""

from __future__ import annotations

import os

from dais.node import logs
from dais.node.launch import NOT_A_COMMAND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def memory_words(limit: int | None) -> str:
    """For out-of-memory; `limit` in bytes."""
    return "the machine ran out of memory" if limit is None else f"more than the {limit} bytes that were allowed"


def why_never_ran(command: str, report: dict[str, Any], log_directory: str) -> tuple[str, str]:
    """(reason, detail) when bwrap ended and the program never ran: all that was printed are the launcher's words."""
    if "missing" in report:
        return "command-not-found", f"{command}: not found in the container"
    frames, _, _ = logs.read(log_directory, 0, 0, 4096)
    words = b"".join(data for _, _, data in frames).decode("utf-8", "replace").strip()[:2000]
    for number in NOT_A_COMMAND:
        if words.endswith(f"execvp {command}: {os.strerror(number)}"):
            return "command-not-found", f"{command}: {os.strerror(number)}"
    return "launch-failed", words or "the sandbox could not be started, and did not say why"
