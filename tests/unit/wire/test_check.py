"""The limits of a job: what no machine could do is refused before it is stored."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dais.wire.check import MAX_ARGUMENT, MAX_COMMAND, check
from dais.wire.names import check_environment_name, check_folder_name, check_job_name
from dais.wire.ports import MAX_PORTS
from dais.wire.problems import SpecError
from dais.wire.spec import GIB, JobSpec, Mount, Port, Resources


def refused(**fields: Any) -> SpecError:
    with pytest.raises(SpecError) as failure:
        check(JobSpec(**{"command": ("true",), **fields}))
    return failure.value


def mounted(*targets: str) -> SpecError:
    return refused(data=tuple(Mount(name="x", target=target) for target in targets))


def test_a_plain_job_passes() -> None:
    spec = JobSpec(
        command=("python", "train.py", ""),
        name="my-job_2",
        account="acme.vision",
        image="host",
        workdir="/home/work",
        data=(Mount(name="acme.joe./.ssh", target="/keys", path="a/b", read_only=True),),
        environment={"A": "", "PATH": "/usr/bin", "b.c-d": "ä\n"},
        resources=Resources(cpu=0.5, mem=GIB, gpu=0, shm=64 << 20),
        max_run_time=60,
        tags={"plain": "", "k": "v w"},
        requirements="deep/requirements.txt",
        source="blake3:" + "0" * 64,
        group="gpu.a100",
    )
    assert check(spec) is spec


@pytest.mark.parametrize(
    "command, path",
    [
        ((), "command"),
        (("",), "command[0]"),
        (("a", "b\0c"), "command[1]"),
        (("a", "\udcff"), "command[1]"),
        (("a", "x" * (MAX_ARGUMENT + 1)), "command[1]"),
        (("a", *["x" * 1000] * (MAX_COMMAND // 1000)), "command"),
    ],
)
def test_commands(command: tuple[str, ...], path: str) -> None:
    assert refused(command=command).path == path


def test_a_command_of_ten_megabytes_is_refused_with_a_short_message() -> None:
    error = refused(command=("bash", "-c", "x" * 10_000_000))
    assert "10,000,000 bytes" in str(error)
    assert len(str(error)) < 200


@pytest.mark.parametrize("target", ["/", "//", "/a/", "/a//b", "/a/../b", "/..", "a", "", "/a/./b", "/a\nb"])
def test_mount_points_must_be_plain_absolute_paths(target: str) -> None:
    assert mounted(target).path == "data[0]"


@pytest.mark.parametrize("target", ["/proc", "/proc/self", "/dev/shm", "/sys", "/usr/lib", "/etc", "/bin", "/run/x"])
def test_the_system_is_not_mounted_over(target: str) -> None:
    assert "belongs to the system" in str(mounted(target))


def test_a_name_that_only_begins_like_the_system_is_free() -> None:
    check(JobSpec(command=("a",), data=(Mount(name="x", target="/etcetera"),)))


@pytest.mark.parametrize("targets", [("/a", "/a"), ("/a", "/a/b"), ("/a/b/c", "/a")])
def test_mounts_lie_side_by_side(targets: tuple[str, ...]) -> None:
    assert mounted(*targets).path == "data[1]"


def test_neighbours_with_a_common_beginning_are_no_clash() -> None:
    check(JobSpec(command=("a",), data=(Mount(name="x", target="/a"), Mount(name="y", target="/ab"))))


@pytest.mark.parametrize("name", ["", "/etc", "a b", "../x", "<b>", "x\n", "a@2", "..", ".", "a:b", "é"])
def test_what_names_no_folder(name: str) -> None:
    assert refused(data=(Mount(name=name, target="/a"),)).path == "data[0]"


@pytest.mark.parametrize("path", ["../x", "/x", "a/../b", "a/", "./a", "a\0"])
def test_directories_below_a_folder_stay_there(path: str) -> None:
    assert refused(data=(Mount(name="x", path=path, target="/a"),)).path == "data[0]"


@pytest.mark.parametrize(
    "resources",
    [
        Resources(cpu=0),
        Resources(cpu=-1),
        Resources(cpu=float("inf")),
        Resources(cpu=float("nan")),
        Resources(cpu=1e9),
        Resources(mem=0),
        Resources(mem=-1),
        Resources(mem=16),
        Resources(mem=1 << 60),
        Resources(gpu=-1),
        Resources(gpu=1 << 40),
        Resources(shm=0),
    ],
)
def test_absurd_resources(resources: Resources) -> None:
    assert refused(resources=resources).path.startswith("resources.")


@pytest.mark.parametrize("name", ["DAIS_JOB_ID", "EAI_X", "dais_x", "1A", "A B", "", "A=B", "Ä"])
def test_variables_that_may_not_be_set(name: str) -> None:
    assert refused(environment={name: "1"}).path == "environment"


def test_too_many_variables() -> None:
    assert "at most 256" in str(refused(environment={f"V{n}": "" for n in range(257)}))
    assert refused(environment={"A": "x" * MAX_ARGUMENT}).path == "environment.A"
    assert "bytes" in str(refused(environment={f"V{n}": "x" * 100_000 for n in range(8)}))


@pytest.mark.parametrize(
    "fields, path",
    [
        ({"name": "Bad Name"}, "name"),
        ({"name": "x\n"}, "name"),
        ({"name": "<b>x</b>"}, "name"),
        ({"name": "a" * 64}, "name"),
        ({"account": "a b"}, "account"),
        ({"image": "a b"}, "image"),
        ({"image": ""}, "image"),
        ({"workdir": "x"}, "workdir"),
        ({"workdir": "/a/../b"}, "workdir"),
        ({"bid": 1 << 62}, "bid"),
        ({"max_run_time": 0}, "max_run_time"),
        ({"max_run_time": -5}, "max_run_time"),
        ({"tags": {"a=b": ""}}, "tags"),
        ({"tags": {"": ""}}, "tags"),
        ({"tags": {"a": "x\ny"}}, "tags.a"),
        ({"source": "sha256:0"}, "source"),
        ({"requirements": "../x"}, "requirements"),
        ({"requirements": "/etc/passwd"}, "requirements"),
        ({"group": "a b"}, "group"),
    ],
)
def test_other_fields(fields: dict[str, Any], path: str) -> None:
    assert refused(**fields).path == path


def test_a_job_name_is_proposed() -> None:
    with pytest.raises(SpecError) as failure:
        check_job_name("My Job!")
    assert failure.value.hint == "write 'my-job'"


def test_names_are_given_back() -> None:
    assert check_folder_name(".ssh") == ".ssh"
    assert check_folder_name("code@v1") == "code@v1"
    assert check_environment_name("PATH", "environment") == "PATH"
    for bad in ("a.b", "..", "", "a/b", "a" * 70, "a@", "@b", "a@b@c", "a@latest", "a@empty", "a@3", "a@" + "b" * 63):
        with pytest.raises(SpecError):
            check_folder_name(bad)


def test_what_msgspec_lets_through_is_still_checked() -> None:
    spec = msgspec.json.decode(b'{"command":["a"],"resources":{"cpu":-1,"mem":1073741824}}', type=JobSpec)
    with pytest.raises(SpecError):
        check(spec)


def test_a_job_names_so_many_ports_and_each_once() -> None:
    ports = tuple(Port(name=f"p{number}", port=number) for number in range(1, MAX_PORTS + 2))
    check(JobSpec(command=("true",), ports=ports[:MAX_PORTS]))
    assert "too many" in str(refused(ports=ports))
    assert "has the name" in str(refused(ports=(Port(name="a", port=1), Port(name="a", port=2))))
    assert "has the number" in str(refused(ports=(Port(name="a", port=1), Port(name="b", port=1))))
    assert "not a port" in str(refused(ports=(Port(name="a", port=65_536),)))
    assert "cannot name a port" in str(refused(ports=(Port(name="80", port=80),)))
