"""The supervisor of one attempt, inside an allocation that something else has made (a job of Slurm's).

`--dir DIR` is the attempt's own directory, on a file system that the server sees, too; `--shared DIR` is what all
attempts of the group have together. The key to the launch comes on standard input. The launch is taken away when it is
read: whoever comes second, or with another key, has nothing to do and ends. Records are in the journal, as everywhere;
an empty file in `news` of the shared directory says that there are new ones. It ends with its attempt, and the
allocation with it.

TERM tells it to look at what the server wants (`stop`), and without that, to end. USR1 tells it to make a bridge for
the server (`bridging`): few attempts ever need one, and it is as large as everything else here. With `--look` it
looks for both each second, for a server that can send it no signal.
"""

from __future__ import annotations

import os
import sys
import time

from dais.node import seccomp
from dais.node.around import find_around
from dais.node.guard import Guard
from dais.node.journal import Journal
from dais.node.launch import Machine
from dais.node.lean import dumps, loads, signal
from dais.node.probe import findings, probe, recall
from dais.node.roots import Roots
from dais.node.sealed import Unsealable, unseal
from dais.node.settling import give_up_privileges, settle, take_lock
from dais.node.spawn import reserve_low_descriptors
from dais.node.spec import is_image
from dais.node.supervisor import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dais.node.bridging import Bridging
    from dais.node.control import Server
    from dais.node.journal import Past
    from dais.node.records import Record

LAUNCH, STOP, BRIDGE, ADDRESS, USAGE, NEWS, PROBED = "launch", "stop", "bridge", "address", "usage", "news", "nodes"
GIVEN, OWN, TRASH, IMAGES = "given", "own", "trash", "images"
"""Of a mapped user's attempt (`belongings`)."""
ENDED_FROM_OUTSIDE = "allocation-ended"
"""The `stop_reason` of what ended because its allocation was told to, and nobody had asked here."""
_KILL_SECONDS, _BRIDGE_SECONDS, _USAGE_SECONDS, _LOOK_SECONDS = 20.0, 2.0, 10.0, 1.0


def main() -> None:
    """Run the attempt whose launch can be opened; without one, end at once."""
    arguments = sys.argv[1:]
    directory = os.path.realpath(arguments[arguments.index("--dir") + 1])
    shared = os.path.realpath(arguments[arguments.index("--shared") + 1])
    key = bytes.fromhex(sys.stdin.readline().strip())
    with open(os.devnull, "rb") as null:
        os.dup2(null.fileno(), 0)
    os.closerange(3, 65_536)
    reserve_low_descriptors()
    os.umask(0o077)
    if take_lock(directory, cleaning=False) is None:
        return
    launch = take_launch(directory, key)
    if launch is None:
        return
    os.chdir("/")
    settle()
    mapped = launch.get("mapped")
    if mapped is not None:
        from dais.node.belongings import take_up

        take_up(directory, shared, mapped, launch["spec"])
    status = _run(
        directory,
        shared,
        launch["spec"],
        launch["remote"],
        look="--look" in arguments,
        apptainer=launch.get("apptainer"),
    )
    if mapped is not None:
        from dais.node.belongings import put_away

        put_away(directory)
    sys.stderr.flush()
    os._exit(status)  # taking the interpreter down takes as long as starting it, and does nothing


def take_launch(directory: str, key: bytes) -> dict[str, Any] | None:
    """The launch, which is nobody else's from then on; None where there is none that this key opens."""
    path = f"{directory}/{LAUNCH}"
    try:
        with open(path, "rb") as file:
            document = loads(unseal(key, os.path.basename(directory), file.read()))
        os.unlink(path)
    except (FileNotFoundError, Unsealable):
        return None
    assert isinstance(document, dict)
    return document


def _run(
    directory: str,
    shared: str,
    document: dict[str, Any],
    remote: dict[str, Any] | None,
    *,
    look: bool,
    apptainer: str | None,
) -> int:
    machine = Machine()
    machine.apptainer, machine.images = apptainer, f"{shared}/{IMAGES}"
    journal = Journal(f"{directory}/journal")
    isolation = _probed(machine, shared)
    give_up_privileges(machine)
    machine.roots = Roots(shared)
    machine.around = find_around()
    supervisor = Allocation(directory, shared, machine, journal, journal.load(), str(document["attempt_id"]))
    supervisor.remote, supervisor.isolation = remote, isolation
    supervisor.loop.install_signals()
    # What was asked for before the handler was there is found afterwards.
    signal.signal(signal.SIGTERM, lambda *_: setattr(supervisor, "end_requested", True))
    signal.signal(signal.SIGUSR1, lambda *_: setattr(supervisor, "bridge_wanted", True))
    supervisor.end_requested = os.path.exists(f"{directory}/{STOP}")
    own_gpus(document, os.environ)
    if look:
        supervisor.look()
    supervisor.launch([document])
    guard = None
    if _is_loose(document):  # what is in a sandbox dies with the supervisor, without a guard
        from dais.node.program import own_command

        guard = Guard(supervisor, own_command(directory, "--clean"))
    supervisor.finished = True  # as soon as the attempt is over
    supervisor.run()
    supervisor.end_bridge()
    if guard is not None:
        guard.dismiss()
    return supervisor.status


def _probed(machine: Machine, shared: str) -> dict[str, Any]:
    """What this node can isolate: as an attempt before has found it, since the node was started."""
    place = f"{shared}/{PROBED}/{node_name()}.json"
    with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
        same = [file.read().strip(), os.getuid(), os.path.abspath(__file__)]
    program = seccomp.load(shared)
    try:
        with open(place, encoding="utf-8") as file:
            known = loads(file.read())
    except (OSError, ValueError):
        known = {}
    if known.get("same") == same and recall(machine, known.get("findings"), program):
        return dict(known["isolation"])
    isolation = probe(machine, None, program)
    if not machine.root:
        new = f"{place}.{os.getpid()}"
        with open(new, "w", encoding="utf-8") as file:
            file.write(dumps({"same": same, "isolation": isolation, "findings": findings(machine)}))
        os.replace(new, place)
    return isolation


def node_name() -> str:
    """What the allocation calls this machine."""
    return os.environ.get("SLURMD_NODENAME") or os.uname().nodename


def _is_loose(document: dict[str, Any]) -> bool:
    """Whether the container is no sandbox of the supervisor's own."""
    return document.get("isolation") == "process" or is_image(document.get("root"))


def own_gpus(document: dict[str, Any], given: os._Environ[str] | dict[str, str]) -> None:
    """Give an attempt that asked for GPUs those of its allocation: their device nodes, and numbers from 0 on.

    In the sandbox no other GPU has a device node, and programs count what they find.
    """
    if not document.get("gpus"):
        return
    numbers = [number for number in given.get("SLURM_JOB_GPUS", "").split(",") if number.isdigit()]
    shown = [str(place) for place in range(len(numbers))]
    if _is_loose(document):
        shown = given.get("CUDA_VISIBLE_DEVICES", "").split(",")
    document["env"] = {**document["env"], "CUDA_VISIBLE_DEVICES": ",".join(shown)}
    nodes = [f"/dev/nvidia{number}" for number in numbers]
    nodes += ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"]
    document["devices"] = [{"source": path, "target": path} for path in nodes if os.path.exists(path)]


class Allocation(Supervisor):
    """A supervisor of one attempt. `status` is what the allocation ends with."""

    def __init__(
        self, directory: str, shared: str, machine: Machine, journal: Journal, past: Past, attempt_id: str
    ) -> None:
        super().__init__(directory, machine, journal, past)
        self.status = 0
        self.remote: dict[str, Any] | None = None
        self.isolation: dict[str, Any] = {}
        self.bridge_wanted = False
        self._bridge: Bridging | None = None
        self._server: Server | None = None
        self._attempt_id = attempt_id
        self._stop = f"{directory}/{STOP}"
        self._news = f"{shared}/{NEWS}/{attempt_id}"

    def shut_down(self, *, kill: bool) -> None:
        """Something outside wants an end: what the server has written down, or else whatever made the allocation."""
        self.end_requested = False
        try:
            with open(self._stop, encoding="utf-8") as file:
                asked = loads(file.read())
        except (OSError, ValueError):
            asked = {"grace": _KILL_SECONDS, "reason": ENDED_FROM_OUTSIDE}
        self.stop(self._attempt_id, asked["grace"], asked["reason"])

    def look(self) -> None:
        """See what the server asks for, now and every second until an end is asked for."""
        self.bridge_wanted = self.bridge_wanted or os.path.exists(f"{self.node_dir}/{BRIDGE}")
        if os.path.exists(self._stop):
            self.end_requested = True
        else:
            self.loop.later(_LOOK_SECONDS, self.look)

    def emit(self, record: dict[str, Any]) -> None:
        super().emit(record)
        if record["kind"] == "ended":
            code, number = record.get("exit_code"), record.get("signal")
            self.status = 128 + number if number else 1 if code is None else code

    def send_records(self, records: list[Record]) -> None:
        super().send_records(records)
        if records:
            self._note_usage()
            try:
                os.close(os.open(self._news, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            except OSError as error:  # the server looks into the journal later, without being told
                print(f"{self._news} cannot be made: {error}", file=sys.stderr)  # noqa: T201

    def tell(self) -> None:
        super().tell()
        if self.bridge_wanted and self._bridge is None and self.remote is not None:
            self._begin_bridge(self.remote)

    def _begin_bridge(self, remote: dict[str, Any]) -> None:
        """Serve, and let the server reach what is served. What it takes is as large as all else here: see above."""
        from dais.node.bridging import Bridging
        from dais.node.control import Server

        self._server = Server(self, self.isolation)
        self._bridge = Bridging(self, remote)

    def end_bridge(self) -> None:
        """Let what is being carried arrive: once this process has ended, everything else is ended for it."""
        if self._server is not None:
            self._server.close()
        if self._bridge is None or not self._bridge.pid:
            return
        deadline = time.monotonic() + _BRIDGE_SECONDS
        try:
            os.kill(self._bridge.pid, signal.SIGTERM)
            while os.waitpid(self._bridge.pid, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
                time.sleep(0.01)
        except (ProcessLookupError, ChildProcessError):
            pass

    def _note_usage(self) -> None:
        """Write down what the attempt uses, now and every few seconds as long as it runs."""
        attempt = self.attempts.get(self._attempt_id)
        used = None if attempt is None else attempt.usage()
        if used is None:
            return
        new = f"{self.node_dir}/.{USAGE}.new"
        try:
            with open(new, "w", encoding="utf-8") as file:
                file.write(dumps(used))
            os.replace(new, f"{self.node_dir}/{USAGE}")
        except OSError:
            pass  # figures: those of before stay
        self.loop.later(_USAGE_SECONDS, self._note_usage)
