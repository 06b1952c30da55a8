"""The commands. Modules are imported when their command is used, so that `dais --help` answers at once."""

from __future__ import annotations


def main() -> None:
    """The program `dais`: run the command of sys.argv and exit with its code."""
    from dais.cli.main import run

    raise SystemExit(run())
