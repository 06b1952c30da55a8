"""The engine contract: small, idempotent, with an opaque handle that is all a restarted server needs.

One suite (`tests/contract`) runs on every engine, the fake first. Calls return at once: what takes time is told
through `poll`, or pushed through `watch`.
"""

from __future__ import annotations

from dais.engines.contract.abilities import (
    Backfills,
    ByteStream,
    Connected,
    Detachable,
    Dial,
    Exec,
    ExecStream,
    Metered,
    Queues,
    Rooted,
    RootFacts,
    Usage,
)
from dais.engines.contract.check import CheckFinding, CheckReport
from dais.engines.contract.engine import Engine
from dais.engines.contract.images import (
    BuildRequest,
    Credentials,
    ImageFacts,
    ImageProblem,
    ImageStore,
    Progress,
)
from dais.engines.contract.launch import (
    Bind,
    CommandNotFound,
    File,
    LaunchRefused,
    LaunchSpec,
    Limits,
    Slots,
    Terminal,
)
from dais.engines.contract.people import UnixUsers, unix_users
from dais.engines.contract.status import (
    FRAME_HEAD,
    NEVER_ACCEPTED,
    STDERR,
    STDOUT,
    SYSTEM,
    TOLD_BEFORE,
    Batch,
    Frame,
    Handle,
    HostTools,
    LogChunk,
    NodeInfo,
    Others,
    Phase,
    Status,
)

__all__ = [
    "UnixUsers",
    "unix_users",
    "Backfills",
    "Batch",
    "Bind",
    "BuildRequest",
    "ByteStream",
    "Detachable",
    "CheckFinding",
    "CheckReport",
    "CommandNotFound",
    "Connected",
    "Credentials",
    "Dial",
    "Engine",
    "Exec",
    "ExecStream",
    "FRAME_HEAD",
    "File",
    "Frame",
    "Handle",
    "HostTools",
    "ImageFacts",
    "ImageProblem",
    "ImageStore",
    "LaunchRefused",
    "LaunchSpec",
    "Limits",
    "LogChunk",
    "Metered",
    "NEVER_ACCEPTED",
    "NodeInfo",
    "Others",
    "Phase",
    "Progress",
    "Queues",
    "RootFacts",
    "Rooted",
    "STDERR",
    "STDOUT",
    "SYSTEM",
    "Slots",
    "Status",
    "TOLD_BEFORE",
    "Terminal",
    "Usage",
]
