"""The home of an interactive job on a real machine: dotfiles, a folder with a dot, the script before the command."""

from __future__ import annotations

from pathlib import Path

from tests.support.installation import installation


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
