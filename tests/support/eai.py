"""People of the Element AI Toolkit at their shells: lines of its guides, with `eai` on the PATH, on a real Dais."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
        until(lambda: self(f"eai job get {ref} --field state").strip() == "RUNNING", f"job {ref} runs")
        return self(f"eai job get {ref} --field id").strip()

    def ended(self, ref: str = "--last") -> str:
        """Wait until a job has ended; its state."""
        until(lambda: self(f"eai job get {ref} --field alive").strip() == "false", f"job {ref} has ended")
        return self(f"eai job get {ref} --field state").strip()


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
