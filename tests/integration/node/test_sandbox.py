"""What a sandboxed container sees, and what it does not."""

from __future__ import annotations

import base64
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.needs import needs_bwrap, needs_cgroups, needs_root
from tests.support.supervisor import TEST_UID, Control, Node, processes_with


@pytest.fixture(autouse=True)
def _sandbox() -> None:
    needs_bwrap()


def _run(node: Node, control: Control, script: str, **fields: Any) -> str:
    spec = node.spec("sh", "-c", script, isolation="sandbox", **fields)
    ended = control.run(spec)
    text = node.log(spec["attempt_id"]).decode()
    assert ended["reason"] == "exit-code", (ended, text)
    return text


def _owned(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        os.chown(path, TEST_UID, TEST_UID)
    return path


def test_it_sees_no_other_process(node: Node, control: Control) -> None:
    assert _run(node, control, "ls /proc | grep -c '^[0-9]'") <= "6"
    assert _run(node, control, "echo $$ $PPID").split()[1] == "1"


def test_it_sees_nothing_of_the_host_s_files(node: Node, control: Control) -> None:
    secret = node.directory.parent / "secret"
    secret.write_text("hidden")
    script = f"cat {secret} {node.directory}/journal /etc/shadow; ls /root /work /var /home/*; grep -c . /etc/passwd"
    text = _run(node, control, script)
    assert "hidden" not in text
    assert text.strip().endswith("3")  # the job's user under each of its names, and nobody of the machine's
    for place in ("/etc/shadow", "/root", "/var"):
        assert f"{place}': No such file" in text or f"{place}: No such file" in text


def test_other_attempts_directories_are_invisible(node: Node, control: Control, isolation: str) -> None:
    other = node.spec("sh", "-c", "echo secret; sleep 1000", isolation="sandbox")
    control.launch(other)
    node.wait_log(other["attempt_id"], b"secret")
    spec = node.spec("sh", "-c", f"ls {node.directory} {node.directory}/attempts", isolation=isolation)
    if isolation == "process":
        needs_root()  # the same user could look
    control.run(spec)
    assert other["attempt_id"].encode() not in node.log(spec["attempt_id"])


def test_it_can_write_only_where_it_may(node: Node, control: Control) -> None:
    script = (
        "for d in / /usr /etc /bin /run /dev /proc /sys; do touch $d/x 2>/dev/null && echo $d; done; "
        "touch /tmp/x ~/x /dev/shm/x && echo fine"
    )
    text = _run(node, control, script)
    assert set(text.split()) <= {"fine", "/dev"}
    assert "fine" in text


def test_it_has_no_network_unless_asked(node: Node, control: Control) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"python3 -c \"import socket; socket.create_connection(('127.0.0.1', {port}), 5); print('connected')\""
        assert "connected" not in _run(node, control, f"{script}; cat /proc/net/dev | wc -l; exit 0")
        assert "connected" in _run(node, control, script, network="host")


def test_names_are_its_own(node: Node, control: Control) -> None:
    text = _run(node, control, "hostname; id -un; echo $HOME; getent hosts localhost", hostname="my-job")
    assert text.split()[:3] == ["my-job", "dais", "/home/work"]


def test_the_environment_is_exactly_what_was_given(node: Node, control: Control) -> None:
    env = {"PATH": "/usr/bin:/bin", "A": "b=c\nd"}
    text = _run(node, control, "exec env -0", env=env)
    seen = dict(entry.split("=", 1) for entry in text.split("\0") if entry)
    for name in ("PWD", "_", "SHLVL", "OLDPWD"):  # the shell's own
        seen.pop(name, None)
    attempt_id = seen.pop("DAIS_ATTEMPT")
    assert attempt_id
    assert seen == {**env, "HOME": "/home/work", "USER": "dais", "LOGNAME": "dais"}


def test_a_preloaded_library_is_not_loaded_outside(node: Node, control: Control) -> None:
    # bwrap would complain in the log, were it given the variable.
    text = _run(node, control, "exec env -0", env={"PATH": "/bin", "LD_PRELOAD": "/nowhere.so"})
    assert text.count("cannot be preloaded") <= 2  # the shell and env


def test_secrets_show_in_no_command_line_and_bwrap_has_none_of_the_environment(node: Node, control: Control) -> None:
    secret = f"hunter2-{os.urandom(8).hex()}"
    spec = node.spec("sh", "-c", "echo up; sleep 1000", isolation="sandbox")
    spec["env"]["PASSWORD"] = secret
    control.launch(spec)
    node.wait_log(spec["attempt_id"], b"up")
    mine = processes_with(f"DAIS_ATTEMPT={spec['attempt_id']}".encode())
    assert mine
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                assert secret.encode() not in (entry / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
    for pid in mine:
        if b"bwrap" in Path(f"/proc/{pid}/cmdline").read_bytes():
            assert secret.encode() not in Path(f"/proc/{pid}/environ").read_bytes()


def test_folders_are_mounted_as_asked(node: Node, control: Control) -> None:
    data, work = _owned(node.directory.parent / "data"), _owned(node.directory.parent / "work")
    (data / "file").write_text("content")
    binds = [
        {"source": str(data), "target": "/data", "read_only": True},
        {"source": str(work), "target": "/home/work", "read_only": False},
        {"source": str(data / "file"), "target": "/home/work/deep/er/file", "read_only": True},
    ]
    script = "exec 2>&1; cat /data/file; touch /data/no; pwd; cat deep/er/file; echo result > out"
    text = _run(node, control, script, binds=binds, workdir="/home/work")
    assert text.startswith("content")
    assert "Read-only file system" in text
    assert text.endswith("/home/work\ncontent")
    assert (work / "out").read_text() == "result\n"
    assert not (data / "no").exists()


def test_a_folder_below_what_the_user_may_not_enter_is_mounted(node: Node, control: Control) -> None:
    closed = node.directory.parent / "closed"
    closed.mkdir(mode=0o700)
    folder = _owned(closed / "folder")
    binds = [{"source": str(folder), "target": "/data", "read_only": False}]
    assert _run(node, control, "echo there > /data/x && cat /data/x", binds=binds) == "there\n"
    assert (folder / "x").read_text() == "there\n"


def test_a_link_is_never_followed_to_be_mounted(node: Node, control: Control) -> None:
    link = node.directory.parent / "link"
    link.symlink_to("/etc")
    binds = [{"source": str(link), "target": "/data", "read_only": True}]
    ended = control.run(node.spec("ls", "/data", isolation="sandbox", binds=binds))
    assert ended["reason"] == "launch-failed"
    assert "symbolic link" in ended["detail"]


def test_an_exact_source_leads_through_no_link(node: Node, control: Control) -> None:
    """A job has made a link of a directory in the midst of a path that another job mounts."""
    folder = _owned(node.directory.parent / "folder")
    (folder / "real" / "data").mkdir(parents=True)
    (folder / "link").symlink_to("real")
    through, straight = str(folder / "link" / "data"), str((folder / "real" / "data").resolve())
    for source, exact, reason in (
        (through, True, "launch-failed"),
        (through, False, "exit-code"),
        (straight, True, "exit-code"),
    ):
        binds = [{"source": source, "target": "/data", "exact": exact}]
        ended = control.run(node.spec("ls", "/data", isolation="sandbox", binds=binds))
        assert ended["reason"] == reason, (source, exact, ended)
    assert (
        "symbolic link"
        in control.run(
            node.spec("ls", "/data", isolation="sandbox", binds=[{"source": through, "target": "/data", "exact": True}])
        )["detail"]
    )


def test_an_interpreter_elsewhere_is_bound_where_it_is(node: Node, control: Control) -> None:
    prefix = node.directory.parent / "opt" / "tool"
    (prefix / "bin").mkdir(parents=True)
    tool = prefix / "bin" / "tool"
    tool.write_text("#!/bin/sh\necho tool runs\n")
    tool.chmod(0o755)
    spec = node.spec(str(tool), isolation="sandbox", ro_host=[str(prefix), "/no/such/prefix"])
    assert control.run(spec)["exit_code"] == 0
    assert node.log(spec["attempt_id"]) == b"tool runs\n"


def test_shared_memory_has_a_size(node: Node, control: Control) -> None:
    script = "df --output=size -B1 /dev/shm | tail -1; head -c 9M /dev/zero > /dev/shm/x; stat -c %s /dev/shm/x"
    lines = _run(node, control, script, limits={"shm": 8 << 20}).splitlines()
    assert lines[0].strip() == lines[-1] == str(8 << 20)
    assert "No space left" in lines[1]


def test_shared_memory_counts_as_memory(node: Node, control: Control) -> None:
    needs_cgroups()
    script = "head -c 64M /dev/zero > /dev/shm/x; echo $?; sleep 1000"
    ended = control.run(node.spec("sh", "-c", script, isolation="sandbox", limits={"shm": 1 << 30, "memory": 32 << 20}))
    assert ended["reason"] == "out-of-memory"


def test_control_groups_are_out_of_reach(node: Node, control: Control) -> None:
    script = "ls -d /sys/fs/*; grep cgroup /proc/mounts; find / -name cgroup.procs; readlink /proc/self/ns/cgroup"
    spec = node.spec("sh", "-c", script, isolation="sandbox", limits={"memory": 64 << 20})
    control.run(spec)
    own = str(Path("/proc/self/ns/cgroup").readlink())
    lines = [line for line in node.log(spec["attempt_id"], 1).decode().splitlines() if line]
    assert len(lines) == 1
    assert lines[0].startswith("cgroup:")
    assert lines[0] != own


def test_a_working_directory_is_made(node: Node, control: Control) -> None:
    assert _run(node, control, "pwd; touch x && echo ok", workdir="/some/where").split() == ["/some/where", "ok"]
    assert _run(node, control, "pwd", workdir="/").split() == ["/"]


def test_a_terminal_belongs_to_the_container(node: Node, control: Control, isolation: str) -> None:
    script = "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all; stty size; echo $TERM; sh -c 'echo ctty > /dev/tty'"
    spec = node.spec("sh", "-c", script, isolation=isolation, pty={"rows": 33, "cols": 77, "term": "vt100"})
    assert control.run(spec)["exit_code"] == 0
    assert node.log(spec["attempt_id"]) == b"all\r\n33 77\r\nvt100\r\nctty\r\n"


def test_an_image_is_a_root_of_its_own(node: Node, control: Control, tmp_path: Path) -> None:
    root = tmp_path / "image"
    for name in ("bin", "etc", "data", "lib", "lib64", "usr"):
        (root / name).mkdir(parents=True)
    (root / "etc" / "passwd").write_text("somebody:x:1:1::/:/bin/sh\n")
    (root / "data" / "inside").write_text("of the image")
    _copy_with_libraries(root, ["/bin/sh", "/bin/cat", "/bin/ls"])
    target = _owned(node.directory.parent / "out")
    binds = [{"source": str(target), "target": "/out", "read_only": False}]
    script = "cat /data/inside; ls /; cat /etc/passwd; echo x > /out/x; echo y > /data/y"
    assert node.root(root)["op"] == "root", node.root(root)
    text = _run(node, control, script, root=str(root), binds=binds, env={"PATH": "/bin"})
    assert text.startswith("of the image")
    assert "dais:x:" in text
    assert "Read-only" in text
    assert (target / "x").read_text() == "x\n"


def _copy_with_libraries(root: Path, programs: list[str]) -> None:
    import shutil
    import subprocess

    for program in programs:
        shutil.copy(program, root / "bin")
        for word in subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.split():
            if word.startswith("/"):
                (root / word[1:]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(word, root / word[1:])


def test_what_protects_it_is_told(node: Node, control: Control) -> None:
    spec = node.spec("true", isolation="sandbox")
    control.run(spec)
    started = control.record(spec["attempt_id"], "started")
    assert {"bwrap", "pid", "net", "ipc", "uts", "filesystem"} <= set(started["isolation"])
    bare = node.spec("true", isolation="process")
    control.run(bare)
    assert {"filesystem", "pid", "net"} <= set(control.record(bare["attempt_id"], "started")["missing"])


def test_a_launch_leaves_no_descriptor_open_in_the_supervisor(node: Node, control: Control) -> None:
    link = node.directory.parent / "link"
    link.symlink_to("/etc")
    binds = [{"source": str(_owned(node.directory.parent / name)), "target": f"/{name}"} for name in ("one", "two")]
    refused = [*binds, {"source": str(link), "target": "/three"}]
    control.run(node.spec("true", isolation="sandbox", binds=binds))
    before = node.descriptors()
    for _ in range(3):
        assert control.run(node.spec("true", isolation="sandbox", binds=binds))["exit_code"] == 0
        assert control.run(node.spec("true", isolation="sandbox", binds=refused))["reason"] == "launch-failed"
    assert node.descriptors() == before


def test_python_runs_in_it(node: Node, control: Control) -> None:
    program = "import ssl, ctypes, sqlite3, tempfile, multiprocessing as m; print(m.Pool(2).map(abs, [-1, -2]))"
    spec = node.spec("python3", "-c", program, isolation="sandbox")
    assert control.run(spec)["exit_code"] == 0
    assert node.log(spec["attempt_id"]) == b"[1, 2]\n"
    assert sys.version_info >= (3, 11)


def test_many_files_are_written_into_it_and_the_supervisor_is_well(node: Node, control: Control) -> None:
    files = [
        {"target": f"/run/secrets/{number}", "content": base64.b64encode(b"x").decode(), "mode": 0o444}
        for number in range(100)
    ]
    for _ in range(2):
        assert _run(node, control, "cat /run/secrets/* | wc -c", files=files).strip() == "100"
