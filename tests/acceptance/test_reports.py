"""Jobs report of themselves in a real installation, in the sandbox and without one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dais.wire.answers import JobDetail
from dais.wire.reports import JobReport
from tests.support.installation import Installation, script
from tests.support.supervisor import until

SOCKET = """
import json, os, socket, time
held = socket.socket(socket.AF_UNIX)
def connected():
    directory = os.open(os.path.dirname(os.environ["DAIS_SOCKET"]), os.O_PATH)
    held.connect(f"/proc/self/fd/{directory}/socket")
connected()
reader = held.makefile("rb")
for step in range(3):
    document = {"accuracy": step / 2, "step": step, "model": "cnn", "progress": step / 2}
    held.sendall(json.dumps(document).encode() + b"\\n")
    print(reader.readline().decode().strip(), flush=True)
print(os.listdir(os.path.dirname(os.environ["DAIS_SOCKET"])), flush=True)
"""
FILE = """
echo '{"loss": 0.5}' >> "$DAIS_REPORT"
echo '{"loss": 0.25}' >> "$DAIS_REPORT"
printf '{"final": 7}' >> "$DAIS_REPORT"
"""


def report(running: Installation, job: JobDetail) -> JobReport:
    found: JobReport = running.client().jobs.metrics(job.id)
    return found


@pytest.mark.parametrize("isolation", ["auto", "process"])
def test_over_the_socket_and_by_the_file(tmp_path: Path, isolation: str) -> None:
    own = Installation(tmp_path / "here", settings={"DAIS_LOCAL_ISOLATION": isolation})
    own.start()
    try:
        job = own.run("python3", "-c", SOCKET)
        assert job.state == "SUCCEEDED", own.output(job.id)
        assert own.output(job.id) == b'{"ok":true}\n' * 3 + b"['socket']\n"
        found = report(own, job)
        assert (found.series[0].values, found.progress) == ([0.0, 0.5, 1.0], 1.0)
        job = own.run(*script(FILE))
        assert job.state == "SUCCEEDED", own.output(job.id)
        until(lambda: len(report(own, job).series) == 2, "the file is taken")
        loss = report(own, job).series[1]
        assert (loss.name, loss.values) == ("loss", [0.5, 0.25])
        assert own.dais("job", "metrics", job.id, "--field", "run").stdout == b"0\n"
        assert b"loss" in own.dais("job", "metrics", job.id).stdout
        sockets = own.data / "jobs" / ".reports" / "default"
        assert list(sockets.iterdir())  # kept for the next run
        own.stop()
        assert not list(sockets.iterdir())
    finally:
        own.close()


def test_what_is_reported_while_the_server_is_away_is_not_lost(own: Installation) -> None:
    own.folder("gate")
    job = own.submit(*script(_shell()), data=["gate:/gate"])
    own.wait_output(job, b"one")
    assert report(own, job).series[0].values == [1.0]
    own.kill()
    own.start()
    own.put("gate", "back", b"")
    done = own.wait(job.id)
    assert done.state == "SUCCEEDED", own.output(job.id)
    until(lambda: report(own, job).series[0].count == 3, "everything was taken")
    assert report(own, job).series[0].values == [1.0, 2.0, 3.0]


def _shell() -> str:
    """A job that reports by the socket, by the file while nobody listens, and by the socket again."""
    return """exec python3 -c '
import json, os, socket, time

def send(document):
    held = socket.socket(socket.AF_UNIX)
    directory = os.open(os.path.dirname(os.environ["DAIS_SOCKET"]), os.O_PATH)
    try:
        held.connect(f"/proc/self/fd/{directory}/socket")
        held.sendall(json.dumps(document).encode() + b"\\n")
        return b"true" in held.recv(100)
    except OSError:
        return False

assert send(dict(a=1, step=1))
print("one", flush=True)
while send(dict(b=0, step=0)):
    time.sleep(0.02)
with open(os.environ["DAIS_REPORT"], "a") as file:
    print(json.dumps(dict(a=2, step=2)), file=file)
print("two", flush=True)
while not os.path.exists("/gate/back"):
    time.sleep(0.02)
while not send(dict(a=3, step=3)):
    time.sleep(0.02)
'"""


def test_the_client_reports_from_a_job(own: Installation) -> None:
    """Where jobs see the machine's own interpreter with the package: here it is brought by the path."""
    package = Path(sys.modules["dais"].__file__ or "").parent.parent
    paths = [str(package), *sys.path]
    code = f"import sys; sys.path[:0] = {paths!r}; import dais; print(dais.report(accuracy=0.5, step=1))"
    own.stop()
    own.close()
    with_process = Installation(own.data.parent / "second", settings={"DAIS_LOCAL_ISOLATION": "process"})
    with_process.start()
    try:
        job = with_process.run(sys.executable, "-c", code)
        assert with_process.output(job.id) == b"True\n"
        assert report(with_process, job).series[0].values == [0.5]
    finally:
        with_process.close()
