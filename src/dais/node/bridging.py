"""Keeping a bridge beside the supervisor (`remote`), for a server on another machine.

Its facts are a JSON object, given with `--remote` by a file, which is removed once it is read, or by standard input:
`certificate`, `key` and `authority` (PEM), `server_name` (whom to trust), `ports` (the first and the last to listen on,
0 and 0: what the kernel chooses, null: not at all), `address_file` (where to write the addresses then), `dial` (the
server's addresses, `[[host, port]]`) and `watch` (seconds after which a silent connection is known to be cut).
"""

from __future__ import annotations

import json
import os
import sys

from dais.node.spawn import SpawnError, spawn_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dais.node.supervisor import Supervisor

_FACTS_FD = 3
_AGAIN_SECONDS = 1.0
_HELPER = (
    f"import sys; sys.path.insert(0, {os.path.dirname(os.path.dirname(os.path.dirname(__file__)))!r}); "
    "from dais.node.remote import main; main()"
)


def read_facts(path: str) -> dict[str, Any]:
    """Read them once: the key is in no file afterwards. Raises SystemExit with what is wrong."""
    try:
        if path == "-":
            text = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                text = file.read()
            os.unlink(path)
        facts = json.loads(text)
    except (OSError, ValueError) as error:
        raise SystemExit(f"how to reach the server cannot be read from {path}: {error}") from None
    wanted = ("certificate", "key", "authority", "server_name")
    missing = [name for name in wanted if not isinstance(facts, dict) or not isinstance(facts.get(name), str)]
    if missing:
        raise SystemExit(f"{path} does not tell {', '.join(missing)}")
    return dict(facts)


class Bridging:
    """Starts the bridge, now and whenever it has died; it ends with the supervisor."""

    def __init__(self, supervisor: Supervisor, facts: dict[str, Any]) -> None:
        self._supervisor = supervisor
        self._facts = json.dumps({**facts, "node_dir": supervisor.node_dir}).encode()
        self.pid = 0
        self.start()

    def start(self) -> None:
        null = self._supervisor.machine.null
        facts = os.memfd_create("dais-bridge", os.MFD_CLOEXEC)
        try:
            os.write(facts, self._facts)
            os.lseek(facts, 0, os.SEEK_SET)
            argv = [sys.executable, "-I", "-S", "-c", _HELPER, str(os.getpid())]
            self.pid = spawn_plain(argv, [os.fsencode(sys.executable)], [], (null, null, 2), keep={_FACTS_FD: facts})
        except (SpawnError, OSError) as error:
            print(f"the bridge cannot be started: {error}", file=sys.stderr, flush=True)  # noqa: T201
            self._again()
            return
        finally:
            os.close(facts)
        self._supervisor.on_other_child[self.pid] = self._again

    def _again(self) -> None:
        self._supervisor.loop.later(_AGAIN_SECONDS, self.start)
