"""Calling Slurm's commands: here, or on a login node by ssh."""

from __future__ import annotations

import asyncio
import os
import pwd
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from dais.engines.slurm.login import FAILED, NOT_FOUND, Login
from dais.engines.slurm.options import SlurmOptions

AT_ONCE = 6
"""Commands that run at the same time."""
SECONDS = 60.0
"""How long a command may take: some try a controller that does not answer again and again."""

_away = (
    "unable to contact slurm controller",
    "socket timed out",
    "connection refused",
    "zero bytes were transmitted",
    "controller not responding",
    "slurm backup controller in standby",
    "temporarily unable to accept job",
    "resource temporarily unavailable",
    "transport endpoint",
    "unable to resolve",
    "could not establish a configuration source",
    "communication connection failure",
    "munge",
)


Owner = tuple[int, int]
"""A uid and a gid."""


class Unreachable(ConnectionError):
    """Slurm does not answer; `args[0]` has its command's own words. What was asked for may have been done."""


class Failed(Exception):
    """A command of Slurm's refused; `args[0]` has its words."""


class Answer(NamedTuple):
    """What a command printed and ended with."""

    code: int
    out: str
    err: str


class Commands:
    """Runs Slurm's commands. `calls` counts them by name."""

    def __init__(self, options: SlurmOptions, *, seconds: float = SECONDS) -> None:
        self.calls: Counter[str] = Counter()
        self._options = options
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="slurm")
        self.owner: Owner | None = owner_of(options)
        self._login = Login(options, self.owner) if options.login else None

    def close(self) -> None:
        """No command is begun any more; what runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._login is not None:
            self._login.close()

    async def run(self, name: str, *words: str, given: str = "", unix: str = "") -> str:
        """What it prints. Raises Unreachable, Failed."""
        answer = await self.call(name, *words, given=given, unix=unix)
        if answer.code == 0:
            return answer.out
        said = tidy(answer.err) or tidy(answer.out) or f"it ended with {answer.code}"
        if self._login is not None and answer.code == FAILED:
            raise Unreachable(self._login.why(tidy(answer.err, 8) or said))
        if self._login is not None and answer.code == NOT_FOUND:
            there = f"name their directory with --option bin=PATH: {said}"
            raise Failed(f"{name} is not found among the commands of {self._options.login}; {there}")
        if is_away(said):
            raise Unreachable(f"Slurm does not answer: {said}")
        if unix and answer.err.startswith("sudo:"):
            raise Failed(f"sudo does not let the server run {name} as {unix}: {said}")
        raise Failed(said)

    async def call(self, name: str, *words: str, given: str = "", unix: str = "") -> Answer:
        """Run it to its end, as the user `unix` by sudo. Raises Unreachable when it cannot be started, or takes too
        long. Sudo asks for no password: where its rules do not let us, it says so.
        """
        self.calls[name] += 1
        argv = self._argv(name, words, ("sudo", "-n", "-u", unix, "--") if unix else ())
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, name, argv, given)

    def _argv(self, name: str, words: tuple[str, ...], become: tuple[str, ...]) -> list[str]:
        options = self._options
        program = f"{options.bin}/{name}" if options.bin else name
        if self._login is None:
            return [*become, program, *words]
        settings = [f"SLURM_CONF={options.conf}"] if options.conf else []
        return self._login.argv(["env", "LC_ALL=C", *settings, *become, program, *words])

    def _run(self, name: str, argv: list[str], given: str) -> Answer:
        env = {name: os.environ[name] for name in ("PATH", "HOME", "SSH_AUTH_SOCK") if name in os.environ}
        env["LC_ALL"] = "C"
        if conf := self._options.conf or os.environ.get("SLURM_CONF"):
            env["SLURM_CONF"] = conf
        user: dict[str, Any] = {}
        if self.owner is not None:
            user = {"user": self.owner[0], "group": self.owner[1], "extra_groups": []}
        try:
            done = subprocess.run(
                argv,
                input=given.encode(),
                capture_output=True,
                timeout=self._seconds,
                check=False,
                cwd="/",
                env=env,
                **user,
            )
        except subprocess.TimeoutExpired:
            raise Unreachable(f"{name} did not end within {self._seconds:g} s") from None
        except OSError as error:
            raise Unreachable(f"{argv[0]} cannot be started: {error.strerror}") from error
        return Answer(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


def is_away(said: str) -> bool:
    """Whether words of Slurm's mean that its controller does not answer."""
    return any(words in said.lower() for words in _away)


def owner_of(options: SlurmOptions) -> tuple[int, int] | None:
    """The uid and gid that own jobs and their files, where they are not the server's. Raises LookupError."""
    if not options.user or os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(options.user)
    except KeyError:
        raise LookupError(f"user {options.user!r} does not exist on this machine; create it, or name another") from None
    return found.pw_uid, found.pw_gid


def tidy(text: str, most: int = 3) -> str:
    """What a command said, without its name and on one line: `sbatch: error: …` says it twice."""
    lines = []
    for line in text.strip().splitlines():
        for prefix in ("error:", "fatal:"):
            _, found, rest = line.partition(prefix)
            line = rest.strip() if found else line
        if line.strip() and line.strip() not in lines:
            lines.append(line.strip())
    return "; ".join(lines[-most:])[:1000]
