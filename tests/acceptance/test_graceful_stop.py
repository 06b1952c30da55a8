"""A server that is told to stop ends what is under way, tells who follows where to go on, and takes nothing new."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from blake3 import blake3
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.installation import PATIENCE, Installation, installation, script

TALK = "i=0; until [ -e /gate/open ]; do echo line $i; i=$((i+1)); sleep 0.02; done"


@pytest.fixture
def patient(tmp_path: Any) -> Iterator[Installation]:
    """An installation that waits long for requests under way."""
    with installation(tmp_path, settings={"DAIS_SERVER_STOP_SECONDS": "30"}) as running:
        yield running


@contextmanager
def half_sent(of: Installation, folder: str, content: bytes) -> Iterator[socket.socket]:
    """An upload of which the server has half."""
    head = (
        f"PUT /v1/folders/{folder}/file?path=large&size={len(content)}&digest=blake3:{blake3(content).hexdigest()} "
        f"HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {of.token}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", of.port), timeout=PATIENCE) as sock:
        sock.sendall(head.encode() + content[: len(content) // 2])
        yield sock


def stopping(of: Installation) -> None:
    """Tell it to stop, and return once it takes no new connection."""
    assert of.server is not None
    of.server.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", of.port), timeout=1).close()
        except OSError:
            return
    raise AssertionError("it still takes connections")


def test_an_upload_under_way_is_finished_and_kept(patient: Installation) -> None:
    folder = patient.folder("files")
    content = bytes(range(256)) * 8192
    with half_sent(patient, folder, content) as sock:
        stopping(patient)
        sock.sendall(content[len(content) // 2 :])
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert answer.status < 300, answer.read()
    assert patient.stop() == 0
    patient.start()
    assert patient.get(folder, "large") == content


def test_a_follower_is_told_where_to_go_on(patient: Installation) -> None:
    gate = patient.folder("gate")
    job = patient.submit(*script(TALK), data=["gate:/gate"])
    patient.wait_output(job, b"line 3\n")
    with closing(http.client.HTTPConnection("127.0.0.1", patient.port, timeout=PATIENCE)) as connection:
        headers = {"Authorization": f"Bearer {patient.token}"}
        connection.request("GET", f"/v1/jobs/{job.id}/logs/stream", headers=headers)
        answer = connection.getresponse()
        first = answer.read1()
        assert patient.server is not None
        patient.server.send_signal(signal.SIGTERM)
        text = (first + answer.read()).decode()  # to its regular end: a broken stream raises
    assert patient.stop() == 0
    last = re.findall(r"^id: (.+)$", text, re.MULTILINE)[-1]
    seen = re.findall(r"line (\d+)", text)
    patient.start()
    (patient.data / "folders" / gate / "open").touch()
    patient.wait(job.id)
    rest = patient.ask("GET", f"/v1/jobs/{job.id}/logs/stream", headers={"Last-Event-ID": last}).body.decode()
    seen += re.findall(r"line (\d+)", rest)
    assert seen == [str(number) for number in range(len(seen))]


def test_a_websocket_is_closed_with_a_reason(patient: Installation) -> None:
    patient.folder("gate")
    job = patient.submit(*script(TALK), data=["gate:/gate"])
    patient.wait_running(job)
    headers = {"Authorization": f"Bearer {patient.token}"}
    url = f"ws://127.0.0.1:{patient.port}/v1/jobs/{job.id}/exec"
    with connect(url, additional_headers=headers, open_timeout=PATIENCE) as websocket:
        websocket.send(json.dumps({"argv": ["sleep", "60"]}))
        assert websocket.recv(timeout=PATIENCE) == b'\0{"ok":true}'
        assert patient.server is not None
        patient.server.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(timeout=PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code in (1001, 1012)
    assert patient.stop() == 0
    patient.start()
    patient.client().jobs.kill(job.id)


@pytest.mark.parametrize("settings", [{"DAIS_SERVER_STOP_SECONDS": "1"}, {"DAIS_SERVER_STOP_SECONDS": "300"}])
def test_what_does_not_end_is_cut_after_the_limit_or_at_a_second_signal(
    tmp_path: Any, settings: dict[str, str]
) -> None:
    with installation(tmp_path, settings=settings) as running:
        folder = running.folder("files")
        with half_sent(running, folder, bytes(1 << 20)) as sock:
            stopping(running)
            if settings["DAIS_SERVER_STOP_SECONDS"] == "300":
                assert running.server is not None
                assert running.server.poll() is None
                while running.server.poll() is None:  # to its very end
                    running.server.send_signal(signal.SIGTERM)
            assert running.server is not None
            assert running.server.wait(PATIENCE) == 0
            answer = http.client.HTTPResponse(sock)
            answer.begin()
            assert (answer.status, json.loads(answer.read())["code"]) == (503, "stopping")
        running.server.stdout.close()  # type: ignore[union-attr]
        running.server = None
        running.start()
        assert running.is_well(), running.log()
