"""What Slurm says of its jobs: from the text of its commands. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from dais.engines.slurm.requests import attempt_of

OVER = frozenset(
    {
        "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
        "REVOKED", "TIMEOUT",
    }
)  # fmt: skip
WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
FORMAT = "%i|%T|%r|%C|%m|%b|%N|%u|%j"
"""What squeue is to print, for `parse`."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job of ours. `memory` in bytes; `reason` is why it waits, or how it ended.

    `user` is the mapped user whose it is, by name; empty: the group's own.
    """

    job: str
    attempt_id: str
    state: str
    reason: str = ""
    cpus: int = 0
    memory: int = 0
    gpus: int = 0
    node: str = ""
    user: str = ""

    @property
    def over(self) -> bool:
        return self.state in OVER

    @property
    def waiting(self) -> bool:
        return self.state in WAITING


def parse(said: str) -> list[Job]:
    """Jobs of attempts, from what squeue prints in `FORMAT`."""
    found = []
    for line in said.splitlines():
        fields = line.split("|", 8)
        if len(fields) != 9 or (attempt_id := attempt_of(fields[8].strip())) is None:
            continue
        job, state, reason, cpus, memory, gres, node, user, _ = (field.strip() for field in fields)
        found.append(
            Job(
                job=job,
                attempt_id=attempt_id,
                state=state,
                reason="" if reason == "None" else reason,
                cpus=int(cpus) if cpus.isdigit() else 0,
                memory=to_bytes(memory),
                gpus=gpu_count(gres),
                node="" if node == "(null)" else node,
                user=user,
            )
        )
    return found


def parse_ends(said: str) -> dict[str, str]:
    """States by attempt, from what sacct prints of State and JobName."""
    found: dict[str, str] = {}
    for line in said.splitlines():
        state, _, name = line.partition("|")
        attempt_id = attempt_of(name.strip())
        if state and attempt_id is not None:
            found[attempt_id] = state.split()[0]  # CANCELLED by 1000
    return found


def to_bytes(text: str) -> int:
    """`64M`, `1.50G`, `8000` (MiB), with `n` or `c` behind it in older releases; 0 for what is none."""
    digits = text.rstrip("nc")
    unit = {"K": 10, "M": 20, "G": 30, "T": 40}.get(digits[-1:].upper())
    try:
        return int(float(digits[:-1] if unit else digits) * (1 << (unit or 20)))
    except ValueError:
        return 0


def gpu_count(gres: str) -> int:
    """GPUs in a list like `gpu:2`, `gres:gpu:a100:2(IDX:0-1)` or `gpu`; 0 when it names none."""
    count = 0
    for item in gres.replace("gres/", "").replace("gres:", "").split(","):
        parts = item.partition("(")[0].replace("=", ":").split(":")
        if parts[0] == "gpu":
            count += int(parts[-1]) if parts[-1].isdigit() else 1
    return count
