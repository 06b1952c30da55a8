"""`dais job exec`: a command in a running job, with this terminal's input and output."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from dais.cli.base import ReferenceAndCommand, leave, reaching
from dais.cli.problems import PLATFORM, explain

if TYPE_CHECKING:
    from dais.sdk.execution import ExecSession, Terminal
    from dais.sdk.profiles import Access

CHUNK = 64 << 10


@click.command("exec", cls=ReferenceAndCommand)
@click.option("--last", is_flag=True, help="In your newest job.")
@click.option("-i", "--stdin", "attach", is_flag=True, help="Pass this terminal's input on; piped input always is.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal; the default when this is one.")
@click.option("-T", "--no-tty", is_flag=True, help="Give it none.")
@click.option("-e", "--env", metavar="NAME=VALUE", multiple=True, help="Set a variable. Repeatable.")
@click.option("--workdir", metavar="DIR", help="Start it in this directory.")
@reaching
def execute(
    access: Access,
    last: bool,
    attach: bool,
    tty: bool,
    no_tty: bool,
    env: tuple[str, ...],
    workdir: str | None,
    words: tuple[str, ...],
) -> None:
    """Run a command inside a running job.

    Exits with the command's exit code; 127 says that there is no such command, 125 that it could not be run.

    \b
    Examples:
      dais job exec --last -- bash
      dais job exec train -- nvidia-smi
      dais job exec 42 -- bash -s < script.sh
    """
    ref, argv = ("last", words) if last else (words[0] if words else "", words[1:])
    if not ref or not argv:
        raise click.UsageError("name a job (or say --last) and, after `--`, the command: dais job exec --last -- bash")
    variables = _variables(env)
    terminal = _terminal() if not no_tty and (tty or (sys.stdin.isatty() and sys.stdout.isatty())) else None
    attach = attach or terminal is not None or not sys.stdin.isatty()
    from dais.sdk.execution import open_exec

    try:
        with open_exec(access.target, ref, argv, variables, workdir, terminal, access.account) as session:
            code = _converse(session, attach=attach, raw=terminal is not None and sys.stdin.isatty())
    except Exception as error:
        code = explain(error, failed=127 if getattr(error, "code", None) == "command-not-found" else PLATFORM)
    leave(code)


def _converse(session: ExecSession, *, attach: bool, raw: bool) -> int:
    """Carry input and output until the command has ended; its exit code."""
    from dais.sdk.execution import STDERR

    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    with _terminal_mode(raw), _told_of_resizing(waker if raw else None):
        feeder = threading.Thread(target=_feed, args=(session, attach, wake), daemon=True)
        feeder.start()
        interrupted = False
        items = iter(session)
        while True:
            try:
                for kind, data in items:
                    out = sys.stderr.buffer if kind == STDERR else sys.stdout.buffer
                    out.write(data)
                    out.flush()
                break
            except KeyboardInterrupt:
                if interrupted:
                    raise
                interrupted = True
                session.signal("INT")
                items = iter(session)
    return 1 if session.exit_code is None else session.exit_code


def _feed(session: ExecSession, attach: bool, wake: int) -> None:
    """Pass our input on, and tell of new sizes of the window. Reads the descriptor: no lock is held at our end."""
    watched = [wake, *([0] if attach else [])]
    if not attach:
        session.send_eof()
    while True:
        ready, _, _ = select.select(watched, [], [])
        if wake in ready:
            os.read(wake, CHUNK)
            size = _window()
            session.resize(size.lines, size.columns)
        if 0 in ready:
            data = os.read(0, CHUNK)
            if data:
                session.send(data)
            else:
                session.send_eof()
                watched.remove(0)


@contextmanager
def _terminal_mode(raw: bool) -> Iterator[None]:
    """Keys go through as they are; the terminal is put back however we leave."""
    if not raw:
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(0)

    def leave_orderly(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    handlers = {number: signal.signal(number, leave_orderly) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def _told_of_resizing(waker: int | None) -> Iterator[None]:
    if waker is None:
        yield
        return

    def resized(number: int, frame: Any) -> None:
        try:
            os.write(waker, b"w")
        except BlockingIOError:
            pass  # it has been told already

    before = signal.signal(signal.SIGWINCH, resized)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def _window() -> os.terminal_size:
    """The size of the terminal itself: LINES and COLUMNS, which a shell may have exported, do not follow it.

    A terminal that nobody looks at (of `script` in a pipeline, of ssh -t) has none: 0 by 0.
    """
    with suppress(OSError):
        size = os.get_terminal_size(0)
        if all(size):
            return size
    import shutil

    return shutil.get_terminal_size()


def _terminal() -> Terminal:
    from dais.sdk.execution import Terminal

    size = _window()
    return Terminal(size.lines, size.columns, os.environ.get("TERM", "xterm-256color"))


def _variables(pairs: tuple[str, ...]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise click.UsageError(f"--env: {pair!r} has no '='; write NAME=VALUE")
    return dict(pair.split("=", 1) for pair in pairs)
