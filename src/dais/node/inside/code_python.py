"""The built-in Python kernel: the standard library alone, its messages as Jupyter's, one a line over a descriptor.

Arguments: the descriptor. Cells run one after the other in the main thread, in a module `__main__` of their own, which
keeps what they define. An interrupt is SIGINT, which means nothing between cells.
"""

from __future__ import annotations

import ast
import base64
import builtins
import json
import linecache
import os
import signal
import socket
import sys
import threading
import traceback
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FORMS = (
    ("_repr_svg_", "image/svg+xml"), ("_repr_png_", "image/png"), ("_repr_jpeg_", "image/jpeg"),
    ("_repr_html_", "text/html"), ("_repr_latex_", "text/latex"), ("_repr_markdown_", "text/markdown"),
    ("_repr_json_", "application/json"),
)  # fmt: skip
REPR_LIMIT = 1 << 20


class Channel:
    """The messages to and from the runner."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._lock = threading.RLock()
        self._in = b""
        self.parent = ""

    def send(self, kind: str, content: dict[str, Any], parent: str | None = None) -> None:
        message = {"msg_type": kind, "parent": self.parent if parent is None else parent, "content": content}
        line = json.dumps(message, default=str).encode("ascii") + b"\n"
        with self._lock:
            # A signal's exception in the midst would leave half a line: none is let in until it is whole.
            held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                self._socket.sendall(line)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def receive(self) -> dict[str, Any]:
        """The next message. Raises EOFError once the runner has gone."""
        while b"\n" not in self._in:
            data = self._socket.recv(65536)
            if not data:
                raise EOFError
            self._in += data
        line, _, self._in = self._in.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message


class Stream:
    """`sys.stdout` or `sys.stderr` of cells."""

    encoding = "utf-8"
    errors = "replace"
    newlines = None
    mode = "w"
    closed = False

    def __init__(self, channel: Channel, name: str, fd: int) -> None:
        self._channel = channel
        self._fd = fd
        self.name = f"<{name}>"
        self._kind = name
        self.buffer = _Bytes(self)

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        for start in range(0, len(text), 100_000):
            self._channel.send("stream", {"name": self._kind, "text": text[start : start + 100_000]})
        return len(text)

    def writelines(self, lines: Any) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._fd


class _Bytes:
    """What writes bytes to a stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        self._stream.write(bytes(data).decode("utf-8", "replace"))
        return len(data)

    def flush(self) -> None:
        pass


class Input:
    """`sys.stdin` of cells: each line is asked for."""

    encoding = "utf-8"
    name = "<stdin>"
    closed = False

    def __init__(self, kernel: Python) -> None:
        self._kernel = kernel

    def readline(self, _size: int = -1) -> str:
        return self._kernel.ask("", False) + "\n"

    def __iter__(self) -> Input:
        return self

    def __next__(self) -> str:
        return self.readline()

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return 0


class Python:
    """The kernel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._count = 0
        self._running = False
        self._main = types.ModuleType("__main__")
        self._main.__dict__.update(__builtins__=builtins, __doc__=None)
        self.names: dict[str, Any] = self._main.__dict__

    def begin(self) -> None:
        """Take the place of an interpreter's own streams, input and display."""
        sys.modules["__main__"] = self._main
        sys.argv = [""]
        sys.path.insert(0, "")
        streams = sys.__stdout__, sys.__stderr__
        sys.stdout, sys.stderr = Stream(self._channel, "stdout", 1), Stream(self._channel, "stderr", 2)
        sys.stdin = Input(self)
        sys.displayhook = self.display_result
        builtins.input = self._input
        builtins.display = self.display  # type: ignore[attr-defined]
        sys.meta_path.insert(0, _Helpers(self))
        signal.signal(signal.SIGINT, self._interrupted)

        def in_child() -> None:  # its messages would be taken for ours
            sys.stdout, sys.stderr = streams

        os.register_at_fork(after_in_child=in_child)

    def serve(self) -> None:
        """Until the runner has gone."""
        info = {"implementation": "dais", "language_info": {"name": "python", "version": sys.version.split()[0]}}
        self._channel.send("kernel_info_reply", info)
        while True:
            try:
                message = self._channel.receive()
            except EOFError:
                return
            kind, content = message["msg_type"], message["content"]
            if kind == "execute_request":
                self._channel.parent = message["parent"]
                self._execute(content["code"])
            elif kind == "environ":
                os.environ.update(content)
            elif kind == "complete_request":
                matches = self._complete(content["code"][: content["cursor_pos"]])
                self._channel.send("complete_reply", {"matches": matches}, message["parent"])

    def ask(self, prompt: str, password: bool) -> str:
        """Ask whoever runs this cell. Raises KeyboardInterrupt when it is interrupted meanwhile."""
        self._channel.send("input_request", {"prompt": prompt, "password": password})
        while True:
            message = self._channel.receive()
            if message["msg_type"] == "input_reply":
                return str(message["content"]["value"])

    def display(self, *values: Any) -> None:
        """Show values in the richest form that they have."""
        for value in values:
            self._channel.send("display_data", {"data": bundle(value), "metadata": {}})

    def display_result(self, value: Any) -> None:
        if value is not None:
            builtins._ = self.names["_"] = value  # type: ignore[attr-defined]
            self._channel.send("execute_result", {"data": bundle(value), "execution_count": self._count})

    def _input(self, prompt: object = "", /) -> str:
        return self.ask(str(prompt), False)

    def _interrupted(self, _number: int, _frame: Any) -> None:
        if self._running:
            raise KeyboardInterrupt

    def _execute(self, code: str) -> None:
        self._count += 1
        reply: dict[str, Any] = {"status": "ok", "execution_count": self._count}
        try:
            self._running = True
            try:
                self._run(code)
                if "matplotlib.pyplot" in sys.modules:
                    _show_figures(self)
            finally:
                self._running = False
        except SystemExit as error:
            reply["exit_code"] = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
            if isinstance(error.code, str):
                self._channel.send("stream", {"name": "stderr", "text": f"{error.code}\n"})
        except BaseException as error:
            reply["status"] = "error"
            try:
                self._tell(error)
            except BaseException as worse:  # its own words may fail, too
                self._channel.send(
                    "error", {"ename": type(error).__name__, "evalue": "", "traceback": [repr(type(worse))]}
                )
        self._channel.send("execute_reply", reply)

    def _run(self, code: str) -> None:
        name = f"<cell {self._count}>"
        linecache.cache[name] = (len(code), None, code.splitlines(True), name)
        tree = ast.parse(code, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        if tree.body:
            self._evaluate(compile(tree, name, "exec", flags=flags, dont_inherit=True))
        if last is not None and isinstance(last, ast.Expr):
            value = self._evaluate(compile(ast.Expression(last.value), name, "eval", flags=flags, dont_inherit=True))
            if not code.rstrip().endswith(";"):
                sys.displayhook(value)

    def _evaluate(self, compiled: types.CodeType) -> Any:
        if compiled.co_flags & 0x80:  # CO_COROUTINE: it awaits outside of any function
            import asyncio

            return asyncio.run(types.FunctionType(compiled, self.names)())
        return eval(compiled, self.names)  # noqa: S307 - what this is for

    def _tell(self, error: BaseException) -> None:
        trace = error.__traceback__
        own = __file__ if "__file__" in globals() else "code_python"
        while trace is not None and trace.tb_frame.f_code.co_filename in (own, ast.__file__):
            trace = trace.tb_next
        shown = "".join(traceback.format_exception(type(error), error, trace)).rstrip("\n")
        try:
            value = str(error)
        except Exception:
            value = ""
        self._channel.send("error", {"ename": type(error).__name__, "evalue": value, "traceback": [shown]})

    def _complete(self, code: str) -> list[str]:
        import re
        import rlcompleter

        found = re.search(r"[A-Za-z_][\w.]*$", code)
        if found is None:
            return []
        completer = rlcompleter.Completer(self.names)
        matches: list[str] = []
        try:
            while len(matches) < 1000:
                match = completer.complete(found.group(), len(matches))
                if match is None:
                    break
                matches.append(match)
        except Exception:
            return matches
        return sorted({match.rstrip("( ") for match in matches})


def bundle(value: Any) -> dict[str, Any]:
    """A value in the forms that it has, by MIME type."""
    data: dict[str, Any] = {}
    if not isinstance(value, type):
        own = getattr(value, "_repr_mimebundle_", None)
        if callable(own):
            made = own(include=None, exclude=None)
            made = made[0] if isinstance(made, tuple) else made
            if isinstance(made, dict):
                data.update({str(name): _plain(form) for name, form in made.items()})
        for name, mime in _FORMS:
            method = getattr(value, name, None)
            if mime not in data and callable(method):
                made = method()
                made = made[0] if isinstance(made, tuple) else made
                if made is not None:
                    data[mime] = _plain(made)
    if "text/plain" not in data:
        text = repr(value)
        data["text/plain"] = text if len(text) <= REPR_LIMIT else text[:REPR_LIMIT] + "…"
    return data


def _plain(form: Any) -> Any:
    return base64.b64encode(form).decode("ascii") if isinstance(form, (bytes, bytearray)) else form


def _show_figures(kernel: Python) -> None:
    """Show what matplotlib has drawn, and forget it."""
    import io

    pyplot = sys.modules["matplotlib.pyplot"]
    for number in pyplot.get_fignums():
        drawn = io.BytesIO()
        figure = pyplot.figure(number)
        figure.savefig(drawn, format="png", bbox_inches="tight")
        data = {"image/png": _plain(drawn.getvalue()), "text/plain": repr(figure)}
        kernel._channel.send("display_data", {"data": data, "metadata": {}})
    pyplot.close("all")


class _Helpers:
    """What is changed or made only when a cell imports it: `getpass` asks here, matplotlib draws into answers."""

    def __init__(self, kernel: Python) -> None:
        self._kernel = kernel
        self._busy = False

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> Any:
        if self._busy or name not in ("getpass", "dais_inline"):
            return None
        from importlib.machinery import ModuleSpec

        return ModuleSpec(name, self)  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> Any:
        if spec.name == "dais_inline":
            return types.ModuleType(spec.name)
        import importlib

        self._busy = True
        try:
            return importlib.import_module(spec.name)
        finally:
            self._busy = False

    def exec_module(self, module: Any) -> None:
        kernel = self._kernel
        if module.__name__ == "getpass":
            module.getpass = lambda prompt="Password: ", stream=None: kernel.ask(str(prompt), True)
            return
        import importlib

        module.FigureCanvas = importlib.import_module("matplotlib.backends.backend_agg").FigureCanvasAgg
        module.show = lambda *_args, **_kwargs: _show_figures(kernel)


def main() -> None:
    channel = Channel(int(sys.argv[1]))
    os.set_inheritable(int(sys.argv[1]), False)
    kernel = Python(channel)
    kernel.begin()
    kernel.serve()
