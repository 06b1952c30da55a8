"""The scripts of fake containers: steps, written as an argv and separated by ";".

exit N            end with this code (also at the end of the script, with 0)
print TEXT        a line on stdout
error TEXT        a line on stderr
hex DIGITS        these bytes on stdout, as they are
sleep SECONDS     by the machine's clock
sleep-forever     until something ends it
trap-term         from here on ignore TERM
signal N          end by a signal
oom               end out of memory
cat               copy stdin to stdout until its end (in `exec`; a container's own stdin is empty)
env NAME          the value of a variable of its environment, as a line
echo PORT         from here on what is sent to this port comes back
true, false       exit 0, exit 1
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_arguments = {
    "exit": 1,
    "print": 1,
    "error": 1,
    "hex": 1,
    "sleep": 1,
    "sleep-forever": 0,
    "trap-term": 0,
    "signal": 1,
    "oom": 0,
    "cat": 0,
    "env": 1,
    "echo": 1,
    "true": 0,
    "false": 0,
}


class Step(NamedTuple):
    verb: str
    argument: str = ""


class UnknownCommand(Exception):
    """The script begins with something that is no command; `args[0]` says which."""


def parse(argv: Sequence[str]) -> list[Step]:
    """The steps of a script, ending with an exit. Raises UnknownCommand, or ValueError for a malformed step."""
    steps: list[Step] = []
    words = list(argv)
    while words:
        end = words.index(";") if ";" in words else len(words)
        step, words = words[:end], words[end + 1 :]
        if not step or step[0] not in _arguments:
            raise UnknownCommand(f"{step[0] if step else ''}: command not found")
        verb, arguments = step[0], step[1:]
        if len(arguments) != _arguments[verb]:
            raise ValueError(f"{verb} takes {_arguments[verb]} arguments, not {len(arguments)}: {' '.join(step)}")
        argument = arguments[0] if arguments else ""
        _check(verb, argument)
        steps.append(Step(verb, argument))
    return [*steps, Step("exit", "0")]


def _check(verb: str, argument: str) -> None:
    if verb in ("exit", "signal", "echo"):
        int(argument)
    elif verb == "sleep":
        float(argument)
    elif verb == "hex":
        bytes.fromhex(argument)
