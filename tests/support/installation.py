"""A whole installation as its operator runs it: `dais up` in a process of its own, killed and started again at will."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from blake3 import blake3

from dais.node.processes import MARK
from dais.sdk import Client
from dais.sdk.jobs import frame_bytes
from dais.wire.answers import JobDetail
from tests.support.places import open_place
from tests.support.supervisor import Closed, Control, cgroups_of, processes_with, until, wait_gone

PATIENCE = 60.0
"""Seconds after which something that must happen has not happened."""

DAIS = [sys.executable, "-m", "dais"]


@dataclass(frozen=True)
class Answer:
    """What the server answered. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Installation:
    """One data directory, its configuration directory, and the server on it, which may be up or down.

    `settings` are environment variables for the server; `database_url` "" is SQLite in the data directory; `data` is
    the data directory, in `directory` unless told.
    """

    def __init__(
        self,
        directory: Path,
        *,
        data: Path | None = None,
        database_url: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.data = data or directory / "data"
        self.config = directory / "config"
        self.database_url = database_url
        self.words = directory / "up.err"
        """What `dais up` said on stderr, over all starts."""
        self.port = 0
        self.url = ""
        self.program: Sequence[str] = DAIS
        """The command that the server is started with."""
        self.server: subprocess.Popen[bytes] | None = None
        """The process that `dais up` began as: the server, or where that is another user's, its keeper."""
        self.pid = 0
        """The server's own, once it has answered."""
        self.starts: list[float] = []
        """Seconds from each start to the first answer."""
        self.settings = {"DAIS_DATABASE_URL": database_url} if database_url else {}
        """Of the next start."""
        self.settings |= settings or {}
        self._clients: list[Client] = []
        self._client: Client | None = None

    # -- the server ------------------------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        """Variables for a command of this installation."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("DAIS_")}
        return own | {"DAIS_DATA_DIR": str(self.data), "DAIS_CONFIG_DIR": str(self.config)}

    def start(self) -> None:
        """Bring the server up, on the same port as before; returns once it answers."""
        begun = time.monotonic()
        self.launch()
        assert self.server is not None
        assert self.server.stdout is not None
        text = b""
        while not text.endswith(b"\n}\n"):
            part = _read(self.server.stdout.fileno())
            assert part, f"`dais up` ended before it answered: {self.said()}"
            text += part
        told = json.loads(text)
        self.url, self.pid = told["url"], told["pid"]
        self.port = urlsplit(self.url).port or 0
        assert self.ask("GET", "/v1/health", token="").status == 200
        self.starts.append(time.monotonic() - begun)

    def launch(self) -> None:
        """Start the server's process, without waiting until it answers."""
        assert self.server is None, "the server runs already"
        self.pid = 0
        with self.words.open("ab") as words:
            self.server = subprocess.Popen(
                [*self.program, "up", "--port", str(self.port), "--json"],
                env=self.environment | self.settings,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=words,
                start_new_session=True,
            )

    def live(self, seconds: float) -> bool:
        """Let the server live for so long; whether it is alive then."""
        assert self.server is not None
        fd = os.pidfd_open(self.server.pid)
        try:
            return not select.select([fd], [], [], seconds)[0]
        finally:
            os.close(fd)

    def kill(self) -> None:
        """kill -9 of the server; returns once it is dead, and its keeper with it."""
        assert self.server is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid or self.server.pid, signal.SIGKILL)
        self._ended()

    def stop(self) -> int:
        """SIGTERM, as `dais down` sends it; the server's exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self.server is not None
        self.server.send_signal(number)
        return self._ended()

    def _ended(self) -> int:
        assert self.server is not None
        code = self.server.wait(PATIENCE)
        assert self.server.stdout is not None
        self.server.stdout.close()
        self.server = None
        return code

    def said(self) -> str:
        """What `dais up` said on stderr so far."""
        return self.words.read_text(errors="replace") if self.words.exists() else ""

    def log(self) -> str:
        """The server's log so far."""
        path = self.data / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def memory(self, pid: int | None = None) -> int:
        """Resident bytes of the server, or of another process."""
        status = Path(f"/proc/{pid or self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) << 10

    # -- the supervisor --------------------------------------------------------------------------------------

    @property
    def node(self) -> Path:
        return self.data / "node"

    def supervisor(self) -> int:
        """The supervisor's process id."""
        return int((self.node / "supervisor.lock").read_text())

    def kill_supervisor(self) -> None:
        """kill -9 of the supervisor; returns once it is dead."""
        pid = self.supervisor()
        fd = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        wait_gone(fd)

    # -- talking to it ---------------------------------------------------------------------------------------

    @property
    def token(self) -> str:
        """The administrator's."""
        found: str = tomllib.loads((self.config / "profiles.toml").read_text())["default"]["token"]
        return found

    def client(self, **options: Any) -> Client:
        """A client of the SDK, closed with the installation; one for all, unless it is given options."""
        if not options:
            if self._client is None or self._client.access.url != self.url:
                self._client = self.client(patience=PATIENCE)
            return self._client
        made = Client(self.url, self.token, **options)
        self._clients.append(made)
        return made

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Answer:
        """One request. `body` is bytes, or something to be sent as JSON; `token` "" sends none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        sent = dict(headers or {})
        if token != "":
            sent["Authorization"] = f"Bearer {token or self.token}"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def dais(
        self, *arguments: str | bytes, cwd: Path | None = None, stdin: bytes = b"", **variables: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run one command of this installation to its end."""
        return subprocess.run(
            [*DAIS, *arguments],
            env=self.environment | variables,
            cwd=cwd or "/",
            input=stdin,
            capture_output=True,
            timeout=2 * PATIENCE,
            check=False,
        )

    def is_well(self) -> bool:
        """Whether the server answers, and has said nothing of a defect."""
        well = self.ask("GET", "/v1/health", token="").status == 200
        return well and "Traceback" not in self.log() + self.said()

    # -- jobs and folders ------------------------------------------------------------------------------------

    def submit(self, *command: str, **fields: Any) -> JobDetail:
        """Submit a job that asks for little, unless told otherwise."""
        return self.client().jobs.submit(command, **{"cpu": 0.1, "mem": "64Mi", **fields})

    def run(self, *command: str, **fields: Any) -> JobDetail:
        """Submit a job and wait until it has ended."""
        return self.wait(self.submit(*command, **fields).id)

    def wait(self, job_id: str) -> JobDetail:
        """The job once it has ended; with it the story of one that does not end."""
        with told(lambda: self.dais("job", "info", job_id).stdout.decode()):
            return self.client().jobs.wait(job_id, PATIENCE)

    def wait_output(self, job: JobDetail, wanted: bytes) -> None:
        """Wait until a job has printed something."""
        with told(lambda: self.output(job.id)[-2000:]):
            until(lambda: wanted in self.output(job.id), f"{wanted!r} is printed")

    def output(self, job_id: str) -> bytes:
        """All that a job's latest run printed."""
        frames = self.client().jobs.logs(job_id)
        return b"".join(frame_bytes(frame) for frame in frames if frame.stream != "system")

    def marks(self, job_id: str) -> list[str]:
        """What the system itself wrote into a job's log."""
        return [frame.data for frame in self.client().jobs.logs(job_id) if frame.stream == "system"]

    def folder(self, name: str) -> str:
        """Make a folder; its id."""
        answer = self.ask("POST", "/v1/folders", {"name": name})
        assert answer.status == 201, answer.body
        made: str = answer.json["id"]
        return made

    def put(self, folder: str, path: str, content: bytes) -> Answer:
        """Push one file into a folder."""
        query = f"path={quote(path)}&size={len(content)}&digest=blake3:{blake3(content).hexdigest()}"
        return self.ask("PUT", f"/v1/folders/{folder}/file?{query}", content)

    def get(self, folder: str, path: str) -> bytes:
        """Pull one file of a folder."""
        answer = self.ask("GET", f"/v1/folders/{folder}/file?path={quote(path)}")
        assert answer.status == 200, answer.body
        return answer.body

    def wait_running(self, job: JobDetail) -> str:
        """Wait until a job runs; the id of that run."""
        client = self.client()
        with told(lambda: client.jobs.get(job.id)):
            until(lambda: client.jobs.get(job.id).state == "RUNNING", "the job runs")
        return client.jobs.get(job.id).runs[-1].id

    def left_of(self, job: JobDetail) -> list[str]:
        """What is left on this machine of a job's runs; the log that the supervisor kept counts, too."""
        found = []
        for run in job.runs:
            found += [f"process {pid}: {command_line(pid)}" for pid in processes_with(run.id.encode())]
            found += [f"control group {path}" for path in cgroups_of(run.id)]
            places = (self.data / "jobs" / run.id, self.node / "attempts" / run.id)
            found += [f"directory {path}" for path in places if path.exists()]
            found += [f"mount {line}" for line in mounts() if run.id in line]
        return found

    def wait_nothing_left(self, *jobs: JobDetail) -> None:
        """Fail unless everything of these jobs goes away."""
        with told(lambda: [left for job in jobs for left in self.left_of(job)]):
            until(lambda: not any(map(self.left_of, jobs)), "nothing is left of these jobs")

    # -- the end ---------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the server, the supervisor, and everything that it runs."""
        for client in self._clients:
            client.close()
        self._clients, self._client = [], None
        if self.server is not None:
            self._end(signal.SIGKILL)
        with contextlib.suppress(OSError, Closed):
            control = Control(self.node)
            control.send(op="shutdown", kill=True)
            with contextlib.suppress(Closed, TimeoutError):
                while True:
                    control.receive()
            control.close()
        with contextlib.suppress(AssertionError):  # they tidy up as they end
            until(lambda: not processes_with(str(self.data).encode()), "every process has ended")
        for pid in processes_with(str(self.data).encode()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def installation(
    directory: Path | None = None,
    *,
    data: Path | None = None,
    database_url: str = "",
    settings: Mapping[str, str] | None = None,
) -> Iterator[Installation]:
    """An installation whose server is up; ended with all that it runs. Without a directory it gets one of its own."""
    with contextlib.ExitStack() as held:
        if directory is None:
            directory = held.enter_context(open_place())
        made = Installation(directory, data=data, database_url=database_url, settings=settings)
        held.callback(made.close)
        made.start()
        yield made


@contextlib.contextmanager
def told(story: Callable[[], object]) -> Iterator[None]:
    """Print a story when what happens inside fails."""
    try:
        yield
    except BaseException:
        print(story())  # noqa: T201 (pytest shows it with the failure)
        raise


def command_line(pid: int) -> str:
    """The words of a process; "" when it has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def alive(run_id: str) -> bool:
    """Whether a process of a run is there. What has ended and was not yet reaped is not."""
    return bool(processes_with(f"{MARK}={run_id}".encode()))


def mounts() -> list[str]:
    """Every mount that this process sees."""
    return Path("/proc/self/mountinfo").read_text().splitlines()


def script(text: str) -> Sequence[str]:
    """A command that runs a shell script."""
    return ("/bin/sh", "-c", text)


def _read(descriptor: int) -> bytes:
    """What comes next; empty at the end. Fails after PATIENCE seconds."""
    ready, _, _ = select.select([descriptor], [], [], PATIENCE)
    assert ready, f"`dais up` has said nothing for {PATIENCE:g} s"
    return os.read(descriptor, 1 << 16)
