"""`dais up`, or `dais gc`, in a process that chaos may kill: up.py DIRECTORY ARGUMENTS…

The supervisor that it starts is prepared, too: a script stands in for the interpreter and adds a line to its program.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_INTERPRETER = """#!/bin/sh
case "$4" in
*dais.node.supervisor*)
    first=$1 second=$2 third=$3
    program="import sys; sys.path[:0] = ['{root}', '{root}/src']
from tests.chaos.inject import arm; arm('supervisor', '{directory}')
$4"
    shift 4
    exec {python} "$first" "$second" "$third" "$program" "$@" ;;
esac
exec {python} "$@"
"""


def main() -> None:
    directory = sys.argv.pop(1)
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    from tests.chaos.inject import arm

    script = Path(directory) / "python"
    fresh = Path(directory) / f"python.{os.getpid()}"
    fresh.write_text(_INTERPRETER.format(root=ROOT, directory=directory, python=sys.executable))
    fresh.chmod(0o755)
    fresh.replace(script)
    sys.executable = str(script)
    arm("collector" if sys.argv[1:2] == ["gc"] else "server", directory)
    from dais.cli import main as dais

    sys.argv[0] = "dais"
    dais()


if __name__ == "__main__":
    main()
