"""The node supervisor: a tiny process that starts containers, holds what they print and how they end, and outlives
the server. Standard library only: the supervisor imports nothing else, so that it hardly ever dies or needs an upgrade.

`docs/node-protocol.md` describes how to talk to it.
"""

from __future__ import annotations

from dais.node.launcher import connect, start_supervisor, supervisor_command
from dais.node.leases import Leasing
from dais.node.logs import STDERR, STDOUT, SYSTEM, end, log_directory, read
from dais.node.wireframes import MAX_FRAME, OLDEST, PROTOCOL

__all__ = [
    "MAX_FRAME",
    "OLDEST",
    "PROTOCOL",
    "STDERR",
    "STDOUT",
    "SYSTEM",
    "Leasing",
    "connect",
    "end",
    "log_directory",
    "read",
    "start_supervisor",
    "supervisor_command",
]
