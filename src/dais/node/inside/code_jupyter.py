"""Between the code runner and a kernel that is installed: by jupyter_client, which the job's Python must have.

Arguments: the descriptor of the messages, the kernel's name, and the runner's directory, for sockets that the job's
user alone can reach: ports of the loopback could be anybody's where jobs share a network. What the kernel says of a
cell is passed on as it comes; its reply follows when it is idle again, so that nothing of the cell comes after it.

One thread waits for the kernel's sockets, the runner's and the kernel's end together: the channels of jupyter_client
start an event loop for each message, and threads that hand a cell on to each other take as long as the cell.
"""

from __future__ import annotations

import hmac
import importlib
import json
import os
import signal
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

START_SECONDS = 120.0
ASK_SECONDS = 1.0
"""How often a kernel that starts is asked whether it is there."""
LOOK_SECONDS = 0.2
"""How often to look whether a kernel has ended, where the system does not tell."""
PASSED_ON = ("stream", "display_data", "execute_result", "error")
PIECE = 1 << 20
_PROMPT = ["--Kernel._execute_sleep=0"]
"""ipykernel sleeps before it replies, for clients that do not wait until all output is there; this one does."""
_NOBLOCK = 1
"""ZeroMQ's flag, as a number: to look it up takes as long as to receive."""


class Bridge:
    """One kernel, and what of its messages belongs to which run."""

    def __init__(self, fd: int, name: str, place: str) -> None:
        manager = importlib.import_module("jupyter_client.manager")  # the job's own, not ours
        self._zmq: Any = importlib.import_module("zmq")
        self._socket = socket.socket(fileno=fd)
        os.set_inheritable(fd, False)
        self._held = b""
        self._half_ended: set[str] = set()
        self._runs: dict[str, str] = {}
        self._manager: Any = manager.KernelManager(kernel_name=name)
        self._manager.transport, self._manager.ip = "ipc", f"{place}/{os.getpid()}"
        more = _PROMPT if "ipykernel_launcher" in self._manager.kernel_spec.argv else []
        self._manager.start_kernel(stdout=1, stderr=2, preexec_fn=_ends_with(os.getpid()), extra_arguments=more)
        self._connect()
        self._wait_until_ready()

    def _connect(self) -> None:
        """The channels of a client, without the client's ways of waiting for them."""
        client: Any = self._manager.blocking_client()
        client.context = self._zmq.Context()
        self._session: Any = client.session
        own = self._session.bsession  # by which the kernel knows who is to be asked for input
        self._shell: Any = client.connect_shell(identity=own)
        self._iopub: Any = client.connect_iopub()
        self._stdin: Any = client.connect_stdin(identity=own)
        self._hear: dict[Any, Callable[[str, str, bytes], None]] = {
            self._shell: self._on_reply, self._iopub: self._on_output, self._stdin: self._on_question,
        }  # fmt: skip
        self._poller: Any = self._zmq.Poller()
        for channel in self._hear:
            self._poller.register(channel, self._zmq.POLLIN)
        self._end = _fd_of(self._manager)
        if self._end is not None:
            self._poller.register(self._end, self._zmq.POLLIN)

    def _wait_until_ready(self) -> None:
        """Once it answers, and its output arrives: what it says before somebody listens to that is lost."""
        until = time.monotonic() + START_SECONDS
        answered = heard = False
        while not (answered and heard):
            asked = self._ask("kernel_info_request", {})
            again = time.monotonic() + ASK_SECONDS
            while not (answered and heard) and time.monotonic() < again:
                ready = dict(self._poller.poll(LOOK_SECONDS * 1000))
                for _, parent, _ in self._messages(self._shell) if self._shell in ready else ():
                    answered = answered or parent == asked
                heard = heard or (self._iopub in ready and bool(self._messages(self._iopub)))
                self._look(ready)
            if time.monotonic() > until:
                raise TimeoutError(f"the kernel did not answer within {START_SECONDS:g} s")

    def serve(self) -> None:
        """Until the runner has gone, or the kernel."""
        self._send("kernel_info_reply", "", b'{"implementation":"jupyter"}')
        self._poller.register(self._socket.fileno(), self._zmq.POLLIN)
        wait = None if self._end is not None else LOOK_SECONDS * 1000
        while True:
            ready = dict(self._poller.poll(wait))
            if self._socket.fileno() in ready and not self._read():
                break
            for channel, hear in self._hear.items():
                for message in self._messages(channel) if channel in ready else ():
                    hear(*message)
            self._look(ready)
        self._manager.shutdown_kernel(now=True)

    # The runner.

    def _send(self, kind: str, parent: str, content: bytes) -> None:
        """A message with content that is JSON already."""
        if b"\n" in content:
            content = json.dumps(json.loads(content)).encode()
        head = json.dumps({"msg_type": kind, "parent": parent})[:-1].encode()
        self._socket.sendall(b'%b,"content":%b}\n' % (head, content))

    def _read(self) -> bool:
        """Do what the runner asks for; False when it has gone."""
        data = self._socket.recv(PIECE)
        *lines, self._held = (self._held + data).split(b"\n")
        for line in lines:
            self._do(json.loads(line))
        return bool(data)

    def _do(self, message: dict[str, Any]) -> None:
        kind, parent, content = message["msg_type"], message["parent"], message["content"]
        if kind == "execute_request":
            self._runs[self._ask(kind, {
                "code": content["code"], "silent": False, "store_history": True, "user_expressions": {},
                "allow_stdin": True, "stop_on_error": True,
            })] = parent  # fmt: skip
        elif kind == "complete_request":
            self._runs[self._ask(kind, {"code": content["code"], "cursor_pos": content["cursor_pos"]})] = parent
        elif kind == "input_reply":
            self._session.send(self._stdin, self._session.msg(kind, {"value": content["value"]}))
        elif kind == "interrupt_request":
            self._manager.interrupt_kernel()

    # The kernel.

    def _ask(self, kind: str, content: dict[str, Any]) -> str:
        """Send a request; its id."""
        message = self._session.msg(kind, content)
        self._session.send(self._shell, message)
        return str(message["header"]["msg_id"])

    def _messages(self, channel: Any) -> list[tuple[str, str, bytes]]:
        """What has come over a channel and is signed: its kind, the request that it is about, and its content."""
        found = []
        while True:
            try:
                parts = self._session.feed_identities(channel.recv_multipart(_NOBLOCK))[1]
                signature, *signed = parts[:5]
                head, parent, _, content = signed
                if self._session.auth is None or hmac.compare_digest(signature, self._session.sign(signed)):
                    found.append((json.loads(head)["msg_type"], json.loads(parent).get("msg_id", ""), content))
            except self._zmq.Again:
                return found
            except (ValueError, TypeError, KeyError, AttributeError):
                continue  # nonsense

    def _on_output(self, kind: str, asked: str, content: bytes) -> None:
        run = self._runs.get(asked)
        if run is None:
            return
        if kind in PASSED_ON:
            self._send(kind, run, content)
        elif kind == "status" and not run.startswith("complete-") and json.loads(content)["execution_state"] == "idle":
            self._one_more_end(asked)

    def _on_reply(self, kind: str, asked: str, content: bytes) -> None:
        if kind == "complete_reply":
            self._send(kind, self._runs.pop(asked, ""), content)
        elif kind == "execute_reply":
            self._one_more_end(asked)

    def _one_more_end(self, asked: str) -> None:
        """A cell has ended when its reply is here and its output is."""
        if asked in self._half_ended:
            self._half_ended.remove(asked)
            self._send("execute_reply", self._runs.pop(asked, ""), b"{}")
        else:
            self._half_ended.add(asked)

    def _on_question(self, kind: str, asked: str, content: bytes) -> None:
        if kind == "input_request":
            self._send(kind, self._runs.get(asked, ""), content)

    def _look(self, ready: dict[Any, int]) -> None:
        """When the kernel has gone, so has this, in the same way."""
        if self._end is not None and self._end not in ready:
            return
        if self._manager.is_alive():
            return
        process = _process_of(self._manager)
        code = 1 if process is None or process.poll() is None else process.poll()
        os._exit(128 - code if code < 0 else code)


def _process_of(manager: Any) -> Any:
    """The kernel's process, as whoever started it knows it; None where that is not told."""
    return getattr(getattr(manager, "provisioner", None), "process", None)


def _fd_of(manager: Any) -> int | None:
    """A descriptor that can be read once the kernel has ended; None where there is none (Python before 3.9)."""
    process = _process_of(manager)
    try:
        return os.pidfd_open(process.pid)
    except (AttributeError, OSError, TypeError):
        return None


def _ends_with(parent: int) -> Callable[[], None] | None:
    """What a new process does so that the kernel ends it with its parent, whose main thread makes it."""
    try:
        import ctypes

        prctl = ctypes.CDLL(None).prctl
    except (ImportError, AttributeError, OSError):
        return None

    def begin() -> None:
        prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)

    return begin


def main() -> None:
    try:
        importlib.import_module("jupyter_client")
    except ImportError:
        sys.stderr.write(f"kernel {sys.argv[2]} needs jupyter_client in {sys.executable}: pip install jupyter_client\n")
        sys.exit(1)
    Bridge(int(sys.argv[1]), sys.argv[2], sys.argv[3]).serve()
