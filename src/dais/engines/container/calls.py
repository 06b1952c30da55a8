"""Which system calls containers of Podman may make: its own list, without what only nested containers need.

Docker's list is used as it is: it keeps those from processes without capabilities already.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)

PLACES = ("/etc/containers/seccomp.json", "/usr/share/containers/seccomp.json")
_withheld = frozenset(
    {
        "unshare", "setns", "mount", "umount", "umount2", "pivot_root", "move_mount", "open_tree", "fsopen", "fsconfig",
        "fsmount", "fspick", "mount_setattr", "keyctl", "add_key", "request_key", "io_uring_setup", "io_uring_enter",
        "io_uring_register", "userfaultfd", "clone3",
    }
)  # fmt: skip
_namespaces = 0x7E020000
"""The flags of clone that make namespaces."""
_no_such_call = 38


def podman_profile(directory: Path, places: Sequence[str] = PLACES) -> Path | None:
    """A file with the list, below `directory`; None where Podman's own is not found. Blocks."""
    for place in places:
        try:
            own = json.loads(Path(place).read_text())
            profile = narrowed(own)
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.debug("%s gives no list of system calls: %s", place, error)
            continue
        made = directory / "seccomp.json"
        made.write_text(json.dumps(profile))
        return made
    return None


def narrowed(profile: dict[str, Any]) -> dict[str, Any]:
    """The profile without what is withheld; clone makes processes and threads, and no namespaces."""
    rules = []
    for rule in profile["syscalls"]:
        names = [name for name in rule["names"] if name not in _withheld and name != "clone"]
        if names:
            rules.append({**rule, "names": names})
    plain = {"index": 0, "value": _namespaces, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    rules.append({"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [plain]})
    # The C library then uses clone, whose flags can be looked at.
    rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _no_such_call, "args": []})
    return {**profile, "syscalls": rules}
