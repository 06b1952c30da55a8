"""The steps of batch runs: what `*` stands for, and in which environment they run."""

from __future__ import annotations

import os
import shutil

FLAGS = "-pthread -lm -lrt -ldl"
STEPS = (("clean", "clean-finished"), ("build", "build-finished"), ("exec", "finished"))
BUILD_FAILED = 127
"""The exit code of a run whose build has failed: what a shell says of a command that is not there."""

_build = f"""
if [ -f Makefile ] || [ -f makefile ]; then exec make
elif [ -f setup.py ]; then exec python3 setup.py install --user
elif ls *.c >/dev/null 2>&1; then exec gcc -o main *.c {FLAGS}
elif ls *.cpp *.cc >/dev/null 2>&1; then exec g++ -o main $(ls *.cpp *.cc 2>/dev/null) {FLAGS}
elif ls *.rs >/dev/null 2>&1; then exec rustc -o main main.rs
elif ls *.go >/dev/null 2>&1; then exec go build -o main .
fi
"""
_exec = """
if [ -x main ]; then exec ./main
elif [ -f main.py ]; then exec python3 main.py
elif [ -f main.sh ]; then exec "$SHELL" main.sh
elif [ -f main.js ]; then exec node main.js
fi
echo 'there is no main, main.py, main.sh or main.js to run: name the command' >&2
exit 127
"""
_defaults = {"clean": "", "build": _build, "exec": _exec}


def shell() -> str:
    return shutil.which("bash") or "/bin/sh"


def command(step: str, text: str) -> list[str]:
    """The command line of a step; `*` is the default of its kind, which for `clean` does nothing."""
    return [shell(), "-c", _defaults[step] if text == "*" else text]


def environment() -> dict[str, str]:
    return {"USER": "work", **os.environ, "TERM": "xterm", "LANG": "C.UTF-8", "SHELL": shell()}
