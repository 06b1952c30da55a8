"""SSH into jobs with OpenSSH's own clients: shells, commands, files, ports, agents; and who is not let in."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installation import Installation, installation
from tests.support.needs import needs_program
from tests.support.ssh import PATIENCE, Laptop, free_port, laptop_of, listens, new_key
from tests.support.supervisor import until

SERVER = """
import socket
listening = socket.create_server(("127.0.0.1", 8000))
print("ready", flush=True)
while True:
    taken, _ = listening.accept()
    data = b""
    while part := taken.recv(65536):
        data += part
    taken.sendall(data[::-1])
    taken.close()
"""


@pytest.fixture(scope="module")
def dais() -> Iterator[Installation]:
    """An installation with a job `train` that runs, and listens on port 8000 of its own."""
    with installation(settings={"DAIS_SSH_PORT": "0", "DAIS_COMPUTE_STOP_GRACE": "1"}) as running:
        job = running.submit("python3", "-c", SERVER, name="train", mem="256Mi")
        running.wait_output(job, b"ready")
        yield running


@pytest.fixture(scope="module")
def laptop(dais: Installation) -> Iterator[Laptop]:
    with laptop_of(dais) as made:
        yield made


def reversed_by(port: int, text: bytes) -> bytes:
    """What the job's server answers through a forwarded port; empty where it is refused."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        try:
            sock.sendall(text)
            sock.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: sock.recv(65536), b""))
        except ConnectionError:
            return b""


# -- shells and commands -----------------------------------------------------------------------------------------


def test_a_command_has_its_input_its_two_outputs_and_its_exit_code(laptop: Laptop) -> None:
    done = laptop.ssh("train", "cat; echo wrong >&2; exit 7", input=b"given")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"given", b"wrong\n")
    assert laptop.ssh("train", "kill -9 $$").returncode == 128 + 9
    assert laptop.ssh("train", "no-such-program").returncode == 127


def test_it_runs_as_the_job_with_its_environment_and_what_the_client_sends(laptop: Laptop) -> None:
    done = laptop.ssh(
        "train",
        'echo "$DAIS_JOB_NAME $FLAVOUR $DAIS_USER"; which python3; pwd',
        options=("-oSetEnv=FLAVOUR=sour",),
    )
    said = done.stdout.decode().split("\n")
    assert said[0].startswith("train sour ")
    assert said[1:3] == ["/opt/dais/bin/python3", "/home/work"]
    sent = laptop.ssh("train", 'echo "$DAIS_JOB_NAME"', options=("-oSetEnv=DAIS_JOB_NAME=other",))
    assert sent.stdout == b"train\n"


def test_a_shell_has_a_terminal_of_the_size_of_the_window(laptop: Laptop) -> None:
    script = b"stty size; test -t 0 && echo a terminal; exit 3\n"
    done = laptop.ssh("train", options=("-tt",), input=script)
    assert done.returncode == 3
    assert b"24 80" in done.stdout  # what ssh tells where it has none itself
    assert b"\na terminal" in done.stdout


def test_a_shell_without_a_terminal_reads_its_script(laptop: Laptop) -> None:
    assert laptop.ssh("train", "bash -s", input=b"echo $((6 * 7))\n").stdout == b"42\n"


def test_a_signal_and_a_client_that_goes_away_end_the_command(laptop: Laptop, dais: Installation) -> None:
    running = laptop.start("train", "echo $$; exec sleep 1000")
    assert running.stdout is not None
    pid = running.stdout.readline().decode().strip()
    running.kill()
    running.communicate()
    until(lambda: laptop.ssh("train", f"kill -0 {pid}").returncode == 1, "the command has ended with its client")


@pytest.mark.parametrize("kind", ["id", "number", "short id", "full name", "last"])
def test_a_job_is_named_in_each_way(kind: str, laptop: Laptop, dais: Installation) -> None:
    job = dais.client().jobs.get("train")
    names = {"id": job.id, "number": str(job.number), "short id": job.id[-8:], "last": "last"}
    named = names.get(kind, f"{job.account}.train")
    assert laptop.ssh(named, "echo $DAIS_JOB_ID").stdout.decode().strip() == job.id


def test_a_job_that_is_not_there_or_does_not_run_is_told(laptop: Laptop, dais: Installation) -> None:
    done = laptop.ssh("nothing", "true")
    assert (done.returncode, done.stdout) == (255, b"")
    assert b"there is no job 'nothing'" in done.stderr
    ended = dais.run("true", name="ended")
    assert b"is SUCCEEDED, not RUNNING" in laptop.ssh(ended.id, "true").stderr


# -- files -------------------------------------------------------------------------------------------------------


def test_files_go_in_and_out_by_sftp_scp_and_rsync(laptop: Laptop, tmp_path: Path) -> None:
    needs_program("rsync", "rsync")
    content = os.urandom(3 << 20)
    (tmp_path / "there").write_bytes(content)
    script = (
        f"mkdir d\ncd d\nput {tmp_path}/there a\nrename a b\nln -s b l\nchmod 600 b\nls -l\nget l {tmp_path}/back\n"
    )
    done = laptop.run(["sftp", *laptop.options(), "-b", "-", "train@127.0.0.1"], input=script.encode())
    assert done.returncode == 0, done.stderr
    assert b"-rw------- " in done.stdout
    assert (tmp_path / "back").read_bytes() == content
    for words in (["-r"], ["-O", "-r"]):
        back = tmp_path / f"copy{len(words)}"
        done = laptop.run(["scp", *words, *laptop.options(), "train@127.0.0.1:d", str(back)])
        assert done.returncode == 0, done.stderr
        assert (back / "b").read_bytes() == content
    shell = shlex.join(["ssh", *laptop.options()])
    for _ in range(2):
        done = laptop.run(["rsync", "-a", "-e", shell, f"{tmp_path}/copy1/", "train@127.0.0.1:r"])
        assert done.returncode == 0, done.stderr
    assert laptop.ssh("train", "cmp d/b r/b && ls r").stdout == b"b\nl\n"


def test_sftp_reaches_what_the_job_reaches_and_nothing_else(laptop: Laptop, dais: Installation) -> None:
    """It is a program inside the sandbox: there is no path that leads out of it."""
    assert dais.data.exists()
    outside = [
        f"{dais.data}/secrets.key",
        f"/proc/1/root{dais.data}/secrets.key",
        f"../../../..{dais.data}/secrets.key",
    ]
    script = "".join(f"-get {path} /dev/null\n" for path in outside) + "ln -s /etc/shadow x\n-get x /dev/null\n"
    done = laptop.run(["sftp", *laptop.options(), "-b", "-", "train@127.0.0.1"], input=script.encode())
    assert done.stderr.count(b"not found") + done.stderr.count(b"denied") + done.stderr.count(b"No such file") >= 4
    assert laptop.ssh("train", "rm x").returncode == 0


def test_rsync_that_the_image_lacks_is_told(laptop: Laptop, tmp_path: Path) -> None:
    done = laptop.ssh("train", "PATH=/nowhere; rsync --server . .")
    assert done.returncode == 127
    plain = laptop.ssh("train", "rsync --server --no-such-option . .")
    assert plain.returncode not in (0, 127)


# -- ports and agents --------------------------------------------------------------------------------------------


def test_ports_of_the_job_are_forwarded_and_no_others(laptop: Laptop, dais: Installation) -> None:
    own, proxy, remote, silent = (free_port() for _ in range(4))
    forwards = (
        f"-L{own}:localhost:8000", f"-D{proxy}", f"-L{remote}:127.0.0.2.example.org:80", f"-L{silent}:localhost:9",
    )  # fmt: skip
    running = laptop.start("train", options=("-N", "-v", *forwards))
    try:
        until(lambda: listens(silent), "ssh listens")
        text = os.urandom(1 << 20)
        assert reversed_by(own, text) == text[::-1]
        socks = socket.create_connection(("127.0.0.1", proxy), PATIENCE)
        with socks:
            socks.sendall(b"\5\1\0")
            assert socks.recv(2) == b"\5\0"
            socks.sendall(b"\5\1\0\3\x09localhost" + (8000).to_bytes(2, "big"))
            assert socks.recv(10)[:2] == b"\5\0"
            socks.sendall(b"abc")
            socks.shutdown(socket.SHUT_WR)
            assert socks.recv(10) == b"cba"
        assert reversed_by(remote, b"x") == b""
        assert reversed_by(silent, b"x") == b""
    finally:
        running.terminate()
    said = running.communicate(timeout=PATIENCE)[1]
    assert b"own localhost only, not to 127.0.0.2.example.org" in said
    assert b"listens on port 9" in said
    entries = dais.client().audit.list(limit=50)
    assert any(not entry.allowed and entry.action == "job:exec" for entry in entries)


def test_remote_forwards_and_x11_are_refused(laptop: Laptop) -> None:
    done = laptop.ssh("train", "true", options=("-oExitOnForwardFailure=yes", f"-R{free_port()}:localhost:22"))
    assert done.returncode == 255
    assert laptop.ssh("train", "echo [$DISPLAY]", options=("-X",)).stdout == b"[]\n"


def test_an_agent_is_lent_while_the_connection_lasts(laptop: Laptop) -> None:
    needs_program("ssh-agent", "openssh-client")
    inside = "ssh-add -l && ls -d $(dirname $SSH_AUTH_SOCK)"
    line = shlex.join(["ssh", "-A", *laptop.options(), "train@127.0.0.1", inside])
    words = ["ssh-agent", "sh", "-c", f"ssh-add -q {laptop.key} && {line}"]
    done = laptop.run(words)
    assert done.returncode == 0, done.stderr
    listed, place = done.stdout.decode().splitlines()
    assert "somebody@laptop" in listed
    until(lambda: laptop.ssh("train", f"ls -d {place}").returncode == 2, "the socket is gone")
    assert laptop.ssh("train", "echo [$SSH_AUTH_SOCK]").stdout == b"[]\n"


# -- certificates ------------------------------------------------------------------------------------------------


def test_dais_ssh_needs_no_key_and_goes_through_the_api_where_it_must(dais: Installation) -> None:
    done = dais.dais("ssh", "train", "--", "echo hello; exit 5")
    assert (done.returncode, done.stdout) == (5, b"hello\n"), done.stderr
    place = next((dais.config / "ssh").iterdir())
    assert (place / "id_ed25519").stat().st_mode & 0o777 == 0o600
    before = (place / "id_ed25519-cert.pub").read_text()
    proxy = f"ProxyCommand={sys.executable} -m dais ssh-proxy"
    done = dais.dais("ssh", "-o", proxy, "train", "--", "cat", stdin=b"x" * 300_000)
    assert (done.returncode, done.stdout) == (0, b"x" * 300_000), done.stderr
    assert (place / "id_ed25519-cert.pub").read_text() == before


def test_a_block_in_the_configuration_of_ssh_is_ours_and_the_rest_stays(
    laptop: Laptop, dais: Installation, tmp_path: Path
) -> None:
    place = tmp_path / "config"
    before = "ServerAliveInterval 7\nHost other\n    User joe\n"
    place.write_text(before)
    for _ in range(2):
        done = dais.dais("ssh-config", "--file", str(place))
        assert (done.returncode, done.stdout) == (0, b"ssh train.dais\n"), done.stderr
    assert place.read_text().endswith(before)
    assert place.read_text().count(">>> dais") == 1
    assert place.stat().st_mode & 0o777 == 0o600
    told = laptop.run(["ssh", "-F", str(place), "-G", "elsewhere"]).stdout
    assert b"serveraliveinterval 7\n" in told
    words = ["ssh", "-F", str(place), "-oBatchMode=yes", "train.dais", "echo in"]
    another = dais.environment | {"DAIS_PROFILE": "another"}  # the block holds for the one it was written for
    done = subprocess.run(words, capture_output=True, check=False, timeout=PATIENCE, env=another)
    assert (done.returncode, done.stdout) == (0, b"in\n"), done.stderr
    assert dais.dais("ssh-config", "--remove", "--file", str(place)).returncode == 0
    assert place.read_text() == before


def test_a_certificate_that_others_signed_or_changed_is_refused(
    laptop: Laptop, dais: Installation, tmp_path: Path
) -> None:
    key = new_key(tmp_path / "k")
    answer = dais.ask("POST", "/v1/ssh/certificates", {"public": key.with_suffix(".pub").read_text()})
    assert answer.status == 201
    certificate = tmp_path / "k-cert.pub"
    certificate.write_text(answer.json["certificate"] + "\n")
    assert laptop.ssh("train", "echo in", key=key).stdout == b"in\n"
    shown = subprocess.run(["ssh-keygen", "-Lf", str(certificate)], capture_output=True, text=True, check=True).stdout
    key_id = shown.split('Key ID: "')[1].split('"')[0]
    me = dais.ask("GET", "/v1/me").json["id"]
    forger = new_key(tmp_path / "ca")
    words = ["ssh-keygen", "-q", "-s", str(forger), "-I", key_id, "-n", me, str(key.with_suffix(".pub"))]
    subprocess.run(words, check=True)
    assert laptop.ssh("train", "echo in", key=key).returncode == 255
    certificate.write_text(answer.json["certificate"].replace("AAAA", "AAAB", 1) + "\n")
    assert laptop.ssh("train", "echo in", key=key).returncode == 255


def test_a_port_that_another_program_has_stops_nothing(laptop: Laptop) -> None:
    with installation(settings={"DAIS_SSH_PORT": str(laptop.about["port"])}) as other:
        job = other.submit("sleep", "1000")
        other.wait_running(job)
        told = other.ask("GET", "/v1/ssh").json
        assert told["port"] is None
        assert "another program has it" in told["problem"]
        assert "reached through the API alone" in other.log()
        done = other.dais("ssh", "--last", "--", "cat", stdin=b"x" * 100_000)
        assert (done.returncode, done.stdout) == (0, b"x" * 100_000), done.stderr


# -- who is not let in -------------------------------------------------------------------------------------------


def somebody(dais: Installation, name: str) -> tuple[str, str]:
    """A new user: the id and a token."""
    user = dais.ask("POST", "/v1/users", {"name": name}).json["id"]
    return user, dais.ask("POST", f"/v1/users/{user}/keys", {"label": "test"}).json["secret"]


def test_another_user_does_not_reach_the_job_and_is_written_down(
    laptop: Laptop, dais: Installation, tmp_path: Path
) -> None:
    job = dais.client().jobs.get("train")
    _, token = somebody(dais, "mallory")
    key = new_key(tmp_path / "m")
    assert laptop.enrol(key, token).status == 201
    for named in (job.id, f"{job.account}.train"):
        done = laptop.ssh(named, "echo in", key=key)
        assert (done.returncode, done.stdout) == (255, b"")
        assert b"there is no job" in done.stderr or b"there is no account" in done.stderr


def test_a_key_that_is_removed_and_a_user_who_is_disabled_are_out_at_once(
    laptop: Laptop, dais: Installation, tmp_path: Path
) -> None:
    user, token = somebody(dais, "carol")
    key = new_key(tmp_path / "c")
    job = dais.client().jobs.get("train")
    statement = f"job:exec@*:account:*:job:{job.id}"
    answer = dais.ask("POST", f"/v1/users/{user}/policies", {"statements": [statement]})
    assert answer.status == 201, answer.body
    options = ("-oServerAliveInterval=30",)
    for method, path in (("DELETE", "/v1/ssh-keys/{key}"), ("POST", "/v1/users/{user}/disable")):
        added = laptop.enrol(key, token).json["id"]
        running = subprocess.Popen(
            ["ssh", *laptop.options(key=key), *options, f"{job.id}@127.0.0.1", "echo in; sleep 1000"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=laptop.environment,
        )  # fmt: skip
        assert running.stdout is not None
        assert running.stdout.readline() == b"in\n"
        assert dais.ask(method, path.format(key=added, user=user)).status < 300
        _, said = running.communicate(timeout=PATIENCE)
        assert running.returncode == 255
        assert b"does not know the key" in said or b"is disabled" in said
        assert laptop.ssh(job.id, "echo in", key=key).returncode == 255


def test_whoever_tries_many_keys_is_cut(laptop: Laptop, tmp_path: Path) -> None:
    keys = [new_key(tmp_path / f"k{number}") for number in range(16)]
    done = laptop.ssh("train", "true", options=tuple(f"-oIdentityFile={key}" for key in keys), key=keys[0])
    assert done.returncode == 255
    assert b"keys were tried" in done.stderr


# -- the server goes -----------------------------------------------------------------------------------------------


def test_a_restart_is_told_and_the_host_is_the_same_afterwards(laptop: Laptop, dais: Installation) -> None:
    known = (laptop.place / "known_hosts").read_text()
    running = laptop.start("train", "echo in; sleep 1000")
    assert running.stdout is not None
    assert running.stdout.readline() == b"in\n"
    dais.stop()
    _, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 255
    assert b"the job goes on: connect again" in said
    dais.start()
    laptop.learn()
    assert (laptop.place / "known_hosts").read_text() == known
    assert laptop.ssh("train", "echo again").stdout == b"again\n"
    assert dais.is_well()
