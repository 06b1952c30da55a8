"""People of the Element AI Toolkit at their shells: lines of its guides, with `eai` on the PATH, on a real Dais."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dais.sdk import Client
from dais.wire.answers import JobDetail
from tests.support.installation import Installation
from tests.support.supervisor import until

PATIENCE = 60.0


@dataclass(frozen=True)
class Shell:
    """A shell of somebody. `name` and `id` are the user's."""

    home: Path
    url: str
    token: str
    name: str
    id: str

    @property
    def ssh(self) -> str:
        """What OpenSSH is told beside a line of the guides: whose key, and that every host is new."""
        return f"-i {self.home / 'id'} -oIdentitiesOnly=yes -oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null"

    def environment(self, **more: str) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("DAIS_", "EAI_"))}
        path = f"{self.home / 'bin'}:{own['PATH']}"
        ours = {"PATH": path, "HOME": str(self.home), "DAIS_CONFIG_DIR": str(self.home / "config")}
        return own | ours | {"DAIS_URL": self.url, "EAI_TOKEN": self.token} | more

    def run(self, line: str, stdin: bytes = b"", **variables: str) -> subprocess.CompletedProcess[bytes]:
        """A line as bash runs it."""
        return subprocess.run(
            ["bash", "-c", line],
            env=self.environment(**variables),
            cwd=self.home,
            input=stdin,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )

    def __call__(self, line: str, stdin: bytes = b"", **variables: str) -> str:
        """What a line printed, which must have done what it was asked."""
        done = self.run(line, stdin, **variables)
        assert done.returncode == 0, f"{line}: {done.returncode} {done.stdout.decode()} {done.stderr.decode()}"
        return done.stdout.decode()

    def rows(self, line: str) -> list[list[str]]:
        """The words of each line that was printed."""
        return [row.split() for row in self(line).splitlines()]

    def refused(self, line: str, code: int = 1, **variables: str) -> str:
        """Why a line failed."""
        done = self.run(line, b"", **variables)
        assert done.returncode == code, f"{line}: {done.returncode} {done.stdout.decode()} {done.stderr.decode()}"
        return done.stderr.decode()

    @contextmanager
    def beside(self, line: str) -> Iterator[subprocess.Popen[bytes]]:
        """A line that goes on beside the test; ended with its group."""
        process = subprocess.Popen(
            ["bash", "-c", f"exec {line}"],
            env=self.environment(),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def running(self, ref: str = "--last") -> str:
        """Wait until a job runs; its id."""
        return self._once(ref, lambda job: job.state == "RUNNING", "runs").id

    def ended(self, ref: str = "--last") -> str:
        """Wait until a job has ended; its state."""
        self._once(ref, lambda job: job.ended_at is not None, "has ended")
        return self(f"eai job get {ref} --field state").strip()

    def _once(self, ref: str, reached: Callable[[JobDetail], bool], what: str) -> JobDetail:
        """Wait for a job by looking at it as a program does: each line of a shell is a process, and dear."""

        def look() -> JobDetail | None:
            job = client.jobs.get("last" if ref == "--last" else ref)
            return job if reached(job) else None

        with Client(self.url, self.token) as client:
            return until(look, f"job {ref} {what}")


def shell(place: Installation, directory: Path, name: str, *, administrator: bool = False) -> Shell:
    """A shell of a new user of the organization acme, which is made for the first of them."""
    client = place.client()
    if "acme" not in [one.name for one in client.organizations.list()]:
        client.organizations.new("acme")
    user = client.users.new(name=name, organization="acme")
    if administrator:
        client.roles.add_member("acme.admin", user=user.id)
    secret = client.keys.new("user", user.id).secret
    home = directory / name
    (home / "bin").mkdir(parents=True)
    program = home / "bin" / "eai"
    source = Path(__file__).parents[2] / "src"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={source} exec {sys.executable} -m dais.eai "$@"\n')
    program.chmod(0o755)
    return Shell(home, place.url, secret, name, user.id)


@contextmanager
def forwarded(of: Shell, remote: int) -> Iterator[int]:
    """`eai job port-forward --last REMOTE`, at a free port of this machine, for others may want the same."""
    with of.beside(f"eai job port-forward --last --json 0:{remote}") as forward:
        assert forward.stdout is not None
        line = forward.stdout.readline()
        assert line, forward.communicate()[1].decode()
        yield int(json.loads(line)["port"])


def toolkit(place: Path) -> None:
    """What stands in for the directory /tk of the images that the guides build: an sshd, a jupyter, a torch."""
    (place / "bin").mkdir(parents=True)
    start = place / "bin" / "start.sh"
    start.write_text(
        "#!/bin/bash\n"
        "ssh-keygen -q -t ed25519 -N '' -f /tmp/host\n"
        "/usr/sbin/sshd -D -f /dev/null -oPort=2222 -oListenAddress=127.0.0.1 -oHostKey=/tmp/host -oPidFile=none "
        "-oUsePAM=no -oStrictModes=no -oAuthorizedKeysFile=/home/toolkit/.ssh/authorized_keys -E /tmp/sshd.log &\n"
        "export PATH=/tk/bin:$PATH\n"
        'exec "$@"\n'
    )
    jupyter = place / "bin" / "jupyter"
    jupyter.write_text("#!/bin/sh\nexec python3 -m http.server --bind 127.0.0.1 8080\n")
    for program in (start, jupyter):
        program.chmod(0o755)
    (place / "torch.py").write_text(
        "class Size(list):\n    __repr__ = lambda self: f'torch.Size({list(self)})'\n"
        "class ones:\n    def __init__(self, shape): self.shape = Size(shape)\n"
    )
