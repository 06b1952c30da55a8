"""Commands of the command line, run against a server as somebody."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from dataclasses import dataclass

import pytest

from dais.cli.program import cli

_substitution = re.compile(r"\$\(([^()]*)\)")


@dataclass(frozen=True)
class Ran:
    """What came of a command: its exit code, and what it printed on stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """The words of each line on stdout."""
        return [line.split() for line in self.out.splitlines()]


@dataclass(frozen=True)
class Commands:
    """Runs commands with this server and this token, as a shell would that has them in its environment."""

    url: str
    token: str

    def __call__(self, line: str) -> Ran:
        """One line that begins with `dais`; `$(dais …)` in it is run first, and its output put there."""
        expanded = _substitution.sub(lambda found: self(found[1]).out.strip(), line)
        program, *words = shlex.split(expanded)
        assert program == "dais", line
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("DAIS_URL", self.url)
            environment.setenv("DAIS_TOKEN", self.token)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = cli(words)
        return Ran(code, out.getvalue(), err.getvalue())

    def said(self, line: str) -> str:
        """What a command printed, which must have done what it was asked."""
        ran = self(line)
        assert ran.code == 0, f"{line}: {ran.err}"
        return ran.out

    def refused(self, line: str) -> str:
        """Why a command failed."""
        ran = self(line)
        assert ran.code == 1, f"{line}: {ran.code} {ran.out} {ran.err}"
        return ran.err
