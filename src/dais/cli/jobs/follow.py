"""Following a job on the terminal, and the exit code that tells how it ended."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from dais.cli.base import note
from dais.cli.output import marked
from dais.cli.problems import PLATFORM, harmless
from dais.wire.answers import JobDetail, LogFrame
from dais.wire.units import format_duration, short_size

if TYPE_CHECKING:
    from dais.sdk.client import Client

SECOND_CTRL_C = 2.0
"""Seconds after a Ctrl-C in which another one kills the job."""

LOOK_SECONDS = 1.0

PLATFORM_REASONS = {"node-lost", "launch-failed"}
"""Reasons that are not the job's own doing, even where a signal ended it."""

FAULTS_OF_THE_SOURCE = {"environment-failed", "bad-requirements"}
"""Reasons for which a program did not run that lie in what was submitted."""

CODES_OF_REASONS = {"command-not-found": 127, "out-of-memory": 137, "time-limit": 124}


def exit_code(job: JobDetail) -> int:
    """What a command that followed the job exits with: the job's own code wherever there is one."""
    if job.state == "SUCCEEDED":
        return 0
    if job.exit_code:
        return job.exit_code
    if job.reason in PLATFORM_REASONS:
        return PLATFORM
    if job.reason in CODES_OF_REASONS:
        return CODES_OF_REASONS[job.reason]
    run = job.runs[-1] if job.runs else None
    if run is not None and run.signal:
        return 128 + run.signal
    if job.state == "CANCELLED":
        return 130
    return 1 if job.reason in FAULTS_OF_THE_SOURCE else PLATFORM  # its program never ran


class Detached(KeyboardInterrupt):
    """One Ctrl-C came, and no second one."""


def follow(client: Client, job: JobDetail, *, aside: bool = False) -> JobDetail | None:
    """Print what a job prints until it has ended; the job as it ended. None: Ctrl-C left it running.

    `aside` sends all of it to stderr, for stdout is to carry the job's data. A second Ctrl-C within two seconds kills
    the job, and following goes on to its end.
    """
    try:
        with told_why_it_waits(client, job.id) as started, _interrupts(client, job):
            return _print_until_end(client, job, started, aside)
    except Detached:
        name = job.name or job.number
        note(f"follow it with `dais job logs -f {name}`, end it with `dais job kill {name}`")
        return None


@contextmanager
def told_why_it_waits(client: Client, ref: str) -> Iterator[threading.Event]:
    """Tell who sits at a terminal where the job is, and why it waits, until the event is set, for it prints now."""
    started = threading.Event()
    if sys.stderr.isatty():
        threading.Thread(target=_tell_why_it_waits, args=(client, ref, started), daemon=True).start()
    try:
        yield started
    finally:
        started.set()


def write_frame(frame: LogFrame, *, split: bool, aside: bool = False) -> None:
    """One frame, its bytes exactly; marks of the system go to stderr, with `aside` everything does."""
    from dais.sdk.jobs import frame_bytes

    if frame.stream == "system":
        sys.stdout.flush()
        note(harmless(frame.data.strip()))
        return
    to_stderr = aside or (split and frame.stream == "stderr")
    stream: BinaryIO = sys.stderr.buffer if to_stderr else sys.stdout.buffer
    stream.write(frame_bytes(frame))
    stream.flush()


def tell_end(job: JobDetail) -> None:
    """One line on how a job ended, on stderr."""
    code = "" if job.exit_code is None else f", exit code {job.exit_code}"
    reason = f" ({job.reason})" if job.reason and job.reason not in ("exit-code", "completed") else ""
    told = job.detail or _more_of(job)
    detail = f": {harmless(told)}" if told and job.state != "SUCCEEDED" else ""
    note(f"job {job.name or job.number} {marked(job.state)}{reason}{code}{detail}")
    for made in job.outputs[-1:] if job.state == "SUCCEEDED" else []:
        files = "1 file" if made.files == 1 else f"{made.files:,} files"
        note(f"it made the file set {made.fileset}: {files}, {short_size(made.size)}")
    if job.has_partial:
        note(f"what it had written is kept aside: dais job partial {job.number}")


def _more_of(job: JobDetail) -> str | None:
    """What the reason alone does not say: which signal, which limit."""
    run = job.runs[-1] if job.runs else None
    if job.reason == "signal" and run is not None and run.signal:
        known = {number.value: number.name for number in signal.Signals}
        return known.get(run.signal, f"signal {run.signal}")
    if job.reason == "time-limit" and job.spec.max_run_time:
        return f"it ran longer than its {format_duration(job.spec.max_run_time)}"
    return None


def _print_until_end(client: Client, job: JobDetail, started: threading.Event, aside: bool) -> JobDetail:
    for item in client.jobs.follow(job.id):
        started.set()
        if isinstance(item, JobDetail):
            return item
        write_frame(item, split=True, aside=aside)
    return client.jobs.wait(job.id)


@contextmanager
def _interrupts(client: Client, job: JobDetail) -> Iterator[None]:
    """Ctrl-C breaks off no reading: once it leaves after two seconds, twice it kills the job, thrice it ends us."""
    presses = 0
    name = job.name or job.number

    def pressed(number: int, frame: Any) -> None:
        nonlocal presses
        presses += 1
        if presses == 1:
            signal.setitimer(signal.ITIMER_REAL, SECOND_CTRL_C)
            _say(f"\ndais: job {name} goes on; Ctrl-C again kills it\n")
        elif presses == 2:
            signal.setitimer(signal.ITIMER_REAL, 0)
            _say(f"\ndais: killing job {name}\n")
            threading.Thread(target=_kill, args=(client, job), daemon=True).start()
        else:
            raise KeyboardInterrupt

    def waited(number: int, frame: Any) -> None:
        raise Detached

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGALRM)}
    signal.signal(signal.SIGALRM, waited)
    signal.signal(signal.SIGINT, pressed)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _kill(client: Client, job: JobDetail) -> None:
    from dais.sdk.errors import DaisError

    try:
        client.jobs.kill(job.id)
    except DaisError as error:
        _say(f"dais: it could not be killed: {harmless(error.message)}\n")


def _say(text: str) -> None:
    """Words on stderr from where the buffered stream may be in use: a signal handler, another thread."""
    os.write(2, text.encode())


def _tell_why_it_waits(client: Client, ref: str, started: threading.Event) -> None:
    """Whenever that changes."""
    from dais.sdk.errors import DaisError

    said = ""
    while not started.wait(LOOK_SECONDS):
        try:
            now = client.jobs.get(ref)
        except DaisError:
            continue  # following tells of lost connections
        place = f", {now.place} before it" if now.place else ""
        text = f"{marked(now.state)}: {harmless(now.pending_reason or '')}{place}" if now.pending_reason else now.state
        if now.state == "RUNNING" or not now.alive:
            return
        if text != said and not started.is_set():
            note(text)
            said = text
