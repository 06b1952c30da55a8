"""Between the code runner and a kernel that is installed: by jupyter_client, which the job's Python must have.

Arguments: the descriptor of the messages, the kernel's name, and the runner's directory, for sockets that the job's
user alone can reach: ports of the loopback could be anybody's where jobs share a network. What the kernel says of a
cell is passed on as it comes; its reply follows when it is idle again, so that nothing of the cell comes after it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

START_SECONDS = 120.0
PASSED_ON = ("stream", "display_data", "execute_result", "error")


class Bridge:
    """One kernel. Each of its channels has a thread; the main thread hears the runner."""

    def __init__(self, fd: int, name: str, place: str) -> None:
        manager = importlib.import_module("jupyter_client.manager")  # the job's own, not ours
        self._socket = socket.socket(fileno=fd)
        os.set_inheritable(fd, False)
        self._lock = threading.Lock()
        self._ends: dict[str, dict[str, Any]] = {}
        self._runs: dict[str, str] = {}
        self._manager: Any = manager.KernelManager(kernel_name=name)
        self._manager.transport, self._manager.ip = "ipc", f"{place}/{os.getpid()}"
        self._manager.start_kernel(stdout=1, stderr=2, preexec_fn=_ends_with(os.getpid()))
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=START_SECONDS)

    def send(self, kind: str, parent: str, content: dict[str, Any]) -> None:
        line = json.dumps({"msg_type": kind, "parent": parent, "content": content}, default=str).encode() + b"\n"
        with self._lock:
            self._socket.sendall(line)

    def serve(self) -> None:
        """Until the runner has gone, or the kernel."""
        self.send("kernel_info_reply", "", {"implementation": "jupyter"})
        for work in (self._hear_output, self._hear_replies, self._hear_questions, self._watch):
            threading.Thread(target=work, daemon=True).start()
        with self._socket.makefile("rb") as lines:
            for line in lines:
                self._do(json.loads(line))
        self._manager.shutdown_kernel(now=True)

    def _do(self, message: dict[str, Any]) -> None:
        kind, parent, content = message["msg_type"], message["parent"], message["content"]
        if kind == "execute_request":
            sent = self._client.session.msg("execute_request", {
                "code": content["code"], "silent": False, "store_history": True, "user_expressions": {},
                "allow_stdin": True, "stop_on_error": True,
            })  # fmt: skip
            self._runs[sent["header"]["msg_id"]] = parent
            self._client.shell_channel.send(sent)
        elif kind == "complete_request":
            sent = self._client.session.msg(
                "complete_request", {"code": content["code"], "cursor_pos": content["cursor_pos"]}
            )
            self._runs[sent["header"]["msg_id"]] = parent
            self._client.shell_channel.send(sent)
        elif kind == "input_reply":
            self._client.input(content["value"])
        elif kind == "interrupt_request":
            self._manager.interrupt_kernel()

    def _hear_output(self) -> None:
        while True:
            message = self._client.get_iopub_msg()
            asked = message["parent_header"].get("msg_id", "")
            run = self._runs.get(asked)
            if run is None:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind in PASSED_ON:
                self.send(kind, run, content)
            elif kind == "status" and content["execution_state"] == "idle" and not run.startswith("complete-"):
                self._one_more_end(asked, {})

    def _hear_replies(self) -> None:
        while True:
            message = self._client.get_shell_msg()
            asked = message["parent_header"].get("msg_id", "")
            if message["msg_type"] == "complete_reply":
                self.send("complete_reply", self._runs.pop(asked, ""), message["content"])
            elif message["msg_type"] == "execute_reply":
                self._one_more_end(asked, {"status": message["content"].get("status")})

    def _one_more_end(self, asked: str, reply: dict[str, Any]) -> None:
        """A cell has ended when its reply is here and its output is."""
        with self._lock:
            other = self._ends.pop(asked, None)
            if other is None:
                self._ends[asked] = reply
                return
            run = self._runs.pop(asked, "")
        self.send("execute_reply", run, {**other, **reply})

    def _hear_questions(self) -> None:
        while True:
            message = self._client.get_stdin_msg()
            if message["msg_type"] == "input_request":
                run = self._runs.get(message["parent_header"].get("msg_id", ""), "")
                self.send("input_request", run, message["content"])

    def _watch(self) -> None:
        """When the kernel has gone, so has this, in the same way."""
        import time

        while self._manager.is_alive():
            time.sleep(0.2)
        process = getattr(getattr(self._manager, "provisioner", None), "process", None)
        code = 1 if process is None or process.poll() is None else process.poll()
        os._exit(128 - code if code < 0 else code)


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
