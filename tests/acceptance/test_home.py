"""The home of an interactive job on a real machine: dotfiles, a folder with a dot, the script before the command."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.installation import Installation, installation
from tests.support.needs import needs_program
from tests.support.ssh import new_key


def test_the_home_of_an_interactive_job(tmp_path: Path) -> None:
    with installation(tmp_path) as inst:
        assert inst.dais("dotfile", "set", ".bashrc", stdin=b"greeting=hello\n").returncode == 0
        assert inst.dais("dotfile", "set", ".config/tool/x.conf", "--mode", "600", stdin=b"x=1\n").returncode == 0
        script = b"echo before; echo 3 > from-bootstrap; exit 3\n"
        assert inst.dais("dotfile", "set", "bootstrap", stdin=script).returncode == 0
        assert b".config/tool/x.conf" in inst.dais("dotfile", "ls").stdout
        assert inst.dais("dotfile", "show", "bootstrap").stdout == script
        folder = inst.folder(".ssh")
        assert inst.put(folder, "authorized_keys", b"ssh-ed25519 key\n").status < 300
        files = "~/.bashrc ~/.config/tool/x.conf ~/.ssh/authorized_keys from-bootstrap"
        look = f'cat {files}; touch ~/.ssh/written; echo "$1"'
        job = inst.run("/bin/sh", "-c", look, "sh", "a word", type="interactive")
        assert job.state == "SUCCEEDED", inst.output(job.id)
        output = inst.output(job.id).decode()
        printed = ("before", "greeting=hello", "x=1", "ssh-ed25519 key", "\n3\n", "a word", "ended with exit code 3")
        for wanted in printed:
            assert wanted in output, output
        assert inst.get(folder, "written") == b""
        batch = inst.run("/bin/sh", "-c", "ls -A ~")
        assert b".bashrc" not in inst.output(batch.id)
        assert b".ssh" not in inst.output(batch.id)


def test_an_interactive_job_has_a_key_of_its_own_for_ssh(shared: Installation, tmp_path: Path) -> None:
    """As Backend.AI's guide has it: fetch `id_container`, forward the port of the job's sshd, and come in."""
    needs_program("sshd", "openssh-server")
    job = shared.submit("sleep", "600", type="interactive", mem="256Mi")
    shared.wait_running(job)
    key = tmp_path / "id_container"
    assert shared.dais("job", "cp", f"{job.id}:/home/work/id_container", str(key)).returncode == 0
    assert key.stat().st_mode & 0o777 == 0o600
    client = shared.client()
    opened = client.jobs.open_app(job.id, "sshd")
    words = ["-F", "/dev/null", "-i", str(key), "-oIdentitiesOnly=yes", "-oStrictHostKeyChecking=no"]
    words += ["-oUserKnownHostsFile=/dev/null", "-oBatchMode=yes"]
    user = shared.dais("job", "exec", job.id, "--", "id", "-un").stdout.decode().strip()
    with client.jobs.port_forward(job.id, 0, opened.port) as forward:
        line = ["ssh", *words, f"-p{forward.port}", f"{user}@127.0.0.1", "echo in $(pwd)"]
        done = subprocess.run(line, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(b"in /home")
        other = new_key(tmp_path / "other")
        line[line.index(str(key))] = str(other)
        assert subprocess.run(line, capture_output=True, timeout=60, check=False).returncode == 255
    batch = shared.run("/bin/sh", "-c", "ls -A ~")
    assert b"id_container" not in shared.output(batch.id)


def test_without_a_sandbox_dotfiles_are_refused_in_words_that_help() -> None:
    with installation(settings={"DAIS_LOCAL_ISOLATION": "process"}) as inst:
        plain = inst.run("/bin/sh", "-c", "ls -A ~", type="interactive")
        assert plain.state == "SUCCEEDED"
        assert b"id_container" not in inst.output(plain.id), "nor is there a key, which would be a file"
        assert inst.dais("dotfile", "set", ".bashrc", stdin=b"greeting=hello\n").returncode == 0
        job = inst.run("true", type="interactive")
        assert (job.state, job.reason) == ("FAILED", "launch-failed")
        assert job.detail is not None
        for wanted in ("dotfiles of", "(.bashrc)", "has no sandbox", "dais doctor", "dais dotfile rm"):
            assert wanted in job.detail
        assert inst.run("true").state == "SUCCEEDED", "batch jobs are given none"
        assert inst.dais("dotfile", "rm", ".bashrc").returncode == 0
        assert inst.run("true", type="interactive").state == "SUCCEEDED"
