"""What the Slurm engine makes of launches and of Slurm's words: no Slurm is needed."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dais.engines.contract import LaunchSpec, Limits, Phase, Slots, Status
from dais.engines.slurm.ahead import SHORT_SECONDS, Ahead
from dais.engines.slurm.attempts import Attempts, Known, doubtful, verdict
from dais.engines.slurm.commands import Commands, tidy
from dais.engines.slurm.nodes import Partition, as_info, holdings, parse, parse_partitions
from dais.engines.slurm.options import SlurmOptions
from dais.engines.slurm.queue import Job, gpu_count, to_bytes
from dais.engines.slurm.queue import parse as parse_queue
from dais.engines.slurm.requests import words
from dais.node.allocation import ENDED_FROM_OUTSIDE, own_gpus
from dais.node.sealed import Unsealable, seal, unseal

NODE = (
    "NodeName={name} Arch=x86_64 CoresPerSocket=1  CPUAlloc=6 CPUEfctv=16 CPUTot=16 CPULoad=7.95 "
    "AvailableFeatures=(null) ActiveFeatures=(null) Gres=gpu:a100:4(S:0-1) GresDrain=N/A GresUsed=gpu:a100:3(IDX:0-2) "
    "NodeAddr=10.0.0.1 NodeHostName=h OS=Linux 6.1 #1 SMP  RealMemory=8000 AllocMem=3000 FreeMem=766 Sockets=16 "
    "State={state} ThreadsPerCore=1 MemSpecLimit=500 Partitions=main,gpu  BootTime=2026-11-26T14:48:08 "
    "CfgTRES=cpu=16,mem=8000M AllocTRES=cpu=6,mem=3000M{reason}"
)


def test_a_launch_becomes_what_sbatch_is_told() -> None:
    spec = LaunchSpec(
        attempt_id="a1",
        argv=("true",),
        env={},
        gpus=("x", "y"),
        slots=Slots(cpu_millis=2500, memory=(1 << 30) + 1),
        limits=Limits(time=90, grace=10),
        labels={"dais.job": "j1", "dais.name": 'a "b"|c', "dais.user": ""},
        bid=7,
    )
    options = SlurmOptions(partition="gpu", gpu="gpu:a100", qos="high", extra=("--exclusive",), bid="nice", overhead=10)
    told = words(spec, options, Path("/shared/a1"))
    assert {
        "--job-name=dais-a1", "--no-requeue", "--cpus-per-task=3", "--mem=1035M", "--gres=gpu:a100:2", "--time=3",
        "--partition=gpu", "--qos=high", "--exclusive", "--nice=993", "--comment=dais.job=j1 dais.name=a _b__c",
    } <= set(told)  # fmt: skip
    assert not any(word.startswith(("--account", "--reservation", "--constraint")) for word in told)
    assert "--time=2" in words(spec, options, Path("/shared/a1"), longest=120), "Slurm would never begin a longer one"


def test_partitions_are_read_with_how_long_a_job_may_run() -> None:
    said = "main*|infinite\nshort|1:00\nday|1-02:03:04\nhours|2:00:00\n"
    assert parse_partitions(said) == [
        Partition("main", True, None),
        Partition("short", False, 60),
        Partition("day", False, 93_784),
        Partition("hours", False, 7200),
    ]


@pytest.mark.parametrize("options", [{"extra": ("rm -rf",)}, {"login": "-oProxyCommand=x"}, {"partition": "a b"}])
def test_options_that_are_none_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, SlurmOptions)


def test_nodes_are_read_with_what_others_hold_and_why_they_are_away() -> None:
    lines = [
        NODE.format(name="n1", state="MIXED", reason=""),
        NODE.format(name="n2", state="IDLE+DRAIN", reason=" Reason=bad disk, State=GOOD [root@2026-11-26T14:48:08]"),
        NODE.format(name="n3", state="DOWN*", reason=" Reason=Not responding [slurm@2026-11-26T14:48:08]"),
        NODE.format(name="n4", state="IDLE+CLOUD+POWERED_DOWN", reason=""),
    ]
    found = {node.name: node for node in parse("\n".join(lines))}
    assert found["n1"].away is None
    assert found["n2"].away == "drain in Slurm: bad disk, State=GOOD"
    assert found["n3"].away == "down+not_responding in Slurm: Not responding"
    assert found["n4"].away is None
    ours = [Job("1", "a", "RUNNING", cpus=2, memory=1 << 30, gpus=1, node="n1"), Job("2", "b", "PENDING", cpus=9)]
    info = as_info(found["n1"], holdings(ours)["n1"], {}, 64 << 20)
    assert (info.cpu, info.memory, len(info.gpus)) == (16.0, (7500 - 64) << 20, 4)
    assert (info.others.cpu_millis, info.others.memory, info.others.gpu) == (4000, (3000 << 20) - (1 << 30), 2)


def test_the_queue_is_read_and_foreign_jobs_are_left_out() -> None:
    said = (
        "12|RUNNING|None|2|1.50G|gres:gpu:1|n1|dais|dais-a\n"
        "13|PENDING|Resources|1|64M|N/A||dais|dais-b\n"
        "14|RUNNING|None|1|64M|N/A|n1|dais|dais_look-1\n"
        "15|PENDING|(null)|1|64M|N/A||dais|somebody|else\n"
    )
    one, two = parse_queue(said)
    assert (one.job, one.attempt_id, one.memory, one.gpus, one.node, one.reason) == (
        "12", "a", 1536 << 20, 1, "n1", "",
    )  # fmt: skip
    assert (two.waiting, two.reason) == (True, "Resources")


@pytest.mark.parametrize(
    "text,count",
    [("(null)", 0), ("N/A", 0), ("gpu", 1), ("gpu:2", 2), ("gpu:a100:4(S:0-1)", 4), ("gres/gpu=3", 3),
     ("gpu:a:1(IDX:0,2),gpu:b:2(IDX:1-2),nic:1", 3)],
)  # fmt: skip
def test_gpus_are_counted(text: str, count: int) -> None:
    assert gpu_count(text) == count


def test_amounts_of_memory_are_read() -> None:
    assert [to_bytes(text) for text in ("64M", "1.5G", "8000", "4000Mn", "2T", "?")] == [
        64 << 20, 3 << 29, 8000 << 20, 4000 << 20, 2 << 40, 0,
    ]  # fmt: skip


def record(**fields: Any) -> dict[str, Any]:
    return {"kind": "ended", "reason": "exit-code", "exit_code": 0, "signal": None, "at": 5, **fields}


def known(told: dict[str, Any] | None = None, stopped: str | None = None) -> Known:
    made = Known("a", Status(attempt_id="a", phase=Phase.RUNNING, node="n1"), stop_reason=stopped)
    made.record = told
    return made


@pytest.mark.parametrize(
    "state,stopped,phase,reason,stop_reason",
    [
        ("TIMEOUT", None, Phase.ENDED, "time-limit", None),
        ("OUT_OF_MEMORY", None, Phase.ENDED, "out-of-memory", None),
        ("PREEMPTED", None, Phase.ENDED, "stopped", "preempted"),
        ("CANCELLED", None, Phase.ENDED, "stopped", None),
        ("CANCELLED", "user-request", Phase.ENDED, "stopped", "user-request"),
        ("FAILED", "user-request", Phase.ENDED, "stopped", "user-request"),
        ("NODE_FAIL", None, Phase.LOST, "node-lost", None),
        ("BOOT_FAIL", None, Phase.LOST, "node-lost", None),
        ("FAILED", None, Phase.LOST, "node-lost", None),
        ("", None, Phase.LOST, "node-lost", None),
    ],
)
def test_an_end_that_no_node_has_told_is_slurms(
    state: str, stopped: str | None, phase: Phase, reason: str, stop_reason: str | None
) -> None:
    fields = verdict(known(stopped=stopped), state, 9)
    assert (fields["phase"], fields["reason"], fields.get("stop_reason")) == (phase, reason, stop_reason)
    assert fields["ended_at"] == 9


@pytest.mark.parametrize(
    "told,state,reason",
    [
        (record(reason="signal", exit_code=None, signal=9), "OUT_OF_MEMORY", "out-of-memory"),
        (record(reason="signal", exit_code=None, signal=15), "TIMEOUT", "time-limit"),
        (record(reason="signal", exit_code=None, signal=9), "FAILED", "signal"),
        (record(reason="stopped", stop_reason=ENDED_FROM_OUTSIDE), "PREEMPTED", "stopped"),
        (record(reason="stopped", stop_reason=ENDED_FROM_OUTSIDE), "TIMEOUT", "time-limit"),
    ],
)
def test_where_both_may_be_right_slurm_is_asked(told: dict[str, Any], state: str, reason: str) -> None:
    attempts = Attempts()
    attempt = attempts.add(LaunchSpec(attempt_id="a", argv=("true",), env={}))
    assert doubtful(told)
    assert attempts.tell(attempt, [told]) is None
    assert not attempt.over
    status = attempts.conclude(attempt, **verdict(attempt, state, 9))
    assert (status.phase, status.reason, status.ended_at) == (Phase.ENDED, reason, 5)
    assert status.stop_reason != ENDED_FROM_OUTSIDE


@pytest.mark.parametrize(
    "told,state",
    [
        (record(reason="stopped", stop_reason=ENDED_FROM_OUTSIDE, signal=15), ""),
        (record(reason="stopped", stop_reason=ENDED_FROM_OUTSIDE, signal=15), "NODE_FAIL"),
        # of a node that has come back, and ended what had been given up
        (record(reason="signal", exit_code=None, signal=15), "NODE_FAIL"),
    ],
)
def test_what_slurm_has_forgotten_or_lost_is_lost(told: dict[str, Any], state: str) -> None:
    attempts = Attempts()
    attempt = attempts.add(LaunchSpec(attempt_id="a", argv=("true",), env={}))
    attempts.tell(attempt, [told])
    status = attempts.conclude(attempt, **verdict(attempt, state, 9))
    assert (status.phase, status.reason, status.stop_reason) == (Phase.LOST, "node-lost", None)


def test_what_a_node_alone_can_know_is_not_doubted() -> None:
    for told in (record(), record(reason="signal", signal=11), record(reason="stopped", stop_reason="user-request")):
        assert not doubtful(told)


@given(st.binary(max_size=300), st.integers(0, 10_000))
def test_what_is_sealed_opens_with_its_key_and_name_alone(plain: bytes, place: int) -> None:
    key = secrets.token_bytes(32)
    sealed = seal(key, "name", plain)
    assert unseal(key, "name", sealed) == plain
    assert len(plain) < 8 or plain not in sealed
    flipped = bytearray(sealed)
    flipped[place % len(sealed)] ^= 1
    for wrong_key, name, content in (
        (secrets.token_bytes(32), "name", sealed),
        (key, "other", sealed),
        (key, "name", bytes(flipped)),
        (key, "name", sealed[:-1]),
    ):
        with pytest.raises(Unsealable):
            unseal(wrong_key, name, content)


def test_gpus_are_those_of_the_allocation() -> None:
    document: dict[str, Any] = {"gpus": ["n1:gpu0", "n1:gpu1"], "env": {"CUDA_VISIBLE_DEVICES": "n1:gpu0"}}
    own_gpus(document, {"SLURM_JOB_GPUS": "2,5", "CUDA_VISIBLE_DEVICES": "2,5"})
    assert document["env"]["CUDA_VISIBLE_DEVICES"] == "0,1"
    document |= {"isolation": "process"}
    own_gpus(document, {"SLURM_JOB_GPUS": "2,5", "CUDA_VISIBLE_DEVICES": "2,5"})
    assert document["env"]["CUDA_VISIBLE_DEVICES"] == "2,5"
    untouched: dict[str, Any] = {"gpus": [], "env": {}}
    own_gpus(untouched, {"SLURM_JOB_GPUS": "2"})
    assert untouched == {"gpus": [], "env": {}}


def test_words_on_the_way_to_a_login_node_stay_words() -> None:
    commands = Commands(SlurmOptions(login="dais@login", conf="/etc/a b.conf", ssh=("-p", "2222")))
    try:
        argv = commands._argv("sbatch", ("--comment=it's; rm -rf /",), ())
    finally:
        commands.close()
    assert argv[:4] == ["ssh", "-oBatchMode=yes", "-p", "2222"], "what a group says of ssh counts, and comes first"
    assert "-oStrictHostKeyChecking=yes" in argv
    assert argv[-3:-1] == ["--", "dais@login"]
    assert argv[-1] == """env LC_ALL=C 'SLURM_CONF=/etc/a b.conf' sbatch '--comment=it'"'"'s; rm -rf /'"""


def test_what_commands_say_is_told_once() -> None:
    said = "sbatch: error: invalid partition specified: x\nsbatch: error: Batch job submission failed: Invalid\n"
    assert tidy(said) == "invalid partition specified: x; Batch job submission failed: Invalid"


def test_each_short_run_that_ended_lately_lets_one_more_wait_inside_slurm() -> None:
    now = 0.0
    ahead = Ahead(lambda: now)
    second, long = 1_000_000, round(SHORT_SECONDS * 1e6)
    for ended_at, phase in ((second, Phase.ENDED), (long, Phase.ENDED), (second, Phase.LOST), (second, Phase.ENDED)):
        ahead.see(Status(attempt_id="a", phase=phase, started_at=0, ended_at=ended_at))
        now += 1
    ahead.see(Status(attempt_id="never-began", phase=Phase.ENDED, ended_at=second))
    assert ahead.count == 2
    now = SHORT_SECONDS + 1
    assert ahead.count == 1
    now = 3 * SHORT_SECONDS
    assert ahead.count == 0
