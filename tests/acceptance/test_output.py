"""Output without measure: the job is slowed or cut with a mark, the server stays small and answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from dais.sdk.jobs import frame_bytes
from tests.support.installation import Installation, installation, script

LIMIT = 64 << 20
GROWTH = 150 << 20
"""Bytes by which server and supervisor may grow, whatever is printed. Output in memory would be many times that."""
ANSWER_SECONDS = 5.0
"""A generous bound for one small request while the machine's cores are taken by what prints."""

BYTES = "head -c {size} /dev/zero | tr '\\0' x"


@pytest.fixture(scope="module")
def capped() -> Iterator[Installation]:
    """An installation that keeps little output of each run."""
    with installation(settings={"DAIS_COMPUTE_LOG_LIMIT": str(LIMIT), "DAIS_COMPUTE_STOP_GRACE": "1"}) as running:
        yield running


class Watch(threading.Thread):
    """Looks all the time how large the processes are and how long an answer takes."""

    def __init__(self, installed: Installation) -> None:
        super().__init__(daemon=True)
        self._installed = installed
        self._over = threading.Event()
        self._supervisor = installed.supervisor()
        self._before = installed.memory(), installed.memory(self._supervisor)
        self.server = self.supervisor = 0
        self.slowest = 0.0
        self.looks = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._over.wait(0.05):
                begun = time.monotonic()
                assert self._installed.ask("GET", "/v1/jobs?limit=1").status == 200
                self.slowest = max(self.slowest, time.monotonic() - begun)
                self.server = max(self.server, self._installed.memory() - self._before[0])
                self.supervisor = max(self.supervisor, self._installed.memory(self._supervisor) - self._before[1])
                self.looks += 1
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        self._over.set()
        self.join()


@contextmanager
def bounded(installed: Installation, report: Callable[[str, object], None]) -> Iterator[None]:
    """Fail when a process grows too much, or an answer takes too long, in the block."""
    watch = Watch(installed)
    watch.start()
    try:
        yield
    finally:
        watch.end()
    sizes = f"server +{watch.server >> 20} MiB to {installed.memory() >> 20}, supervisor +{watch.supervisor >> 20} MiB"
    figures = f"{sizes}, slowest answer {watch.slowest:.2f} s"
    report("figures", figures)
    print(figures)  # noqa: T201 (pytest shows it with a failure)
    assert watch.error is None, watch.error
    assert watch.looks > 0
    assert watch.server < GROWTH
    assert watch.supervisor < GROWTH
    assert watch.slowest < ANSWER_SECONDS


def test_one_line_of_a_gigabyte_is_cut_with_a_mark(
    capped: Installation, record_property: Callable[[str, object], None]
) -> None:
    with bounded(capped, record_property):
        job = capped.wait(capped.submit(*script(BYTES.format(size=1 << 30) + "; echo END >&2; exit 5"), cpu=1).id)
        assert (job.state, job.exit_code) == ("FAILED", 5), "the job itself is not ended"
        assert (job.runs[0].log_bytes, job.runs[0].log_truncated) == (LIMIT, True)
        total = 0
        marks = []
        for frame in capped.client().jobs.logs(job.id):
            data = frame_bytes(frame)
            if frame.stream == "system":
                marks.append(data)
            else:
                assert data.strip(b"x") == b""
                total += len(data)
        assert total == LIMIT
        assert marks == [f"output beyond {LIMIT} bytes was discarded".encode()]
        printed = capped.dais("job", "logs", "--tail", "1", job.id)
        assert printed.returncode == 0
        assert b"was discarded" in printed.stderr


def test_a_million_lines_as_fast_as_they_come_are_all_there_in_order(
    capped: Installation, record_property: Callable[[str, object], None]
) -> None:
    count = 1_000_000
    with bounded(capped, record_property):
        job = capped.submit("seq", "1", str(count), cpu=1)
        seen = b"".join(frame_bytes(frame) for frame in capped.client().jobs.logs(job.id, follow=True))
        assert capped.wait(job.id).state == "SUCCEEDED"
        assert seen == b"".join(b"%d\n" % number for number in range(1, count + 1))
        tail = capped.dais("job", "logs", "--tail", "2", job.id)
        assert tail.stdout == b"999999\n1000000\n"


def test_a_printer_without_end_hurts_no_neighbour(
    capped: Installation, record_property: Callable[[str, object], None]
) -> None:
    loud = [capped.submit(*script("exec yes 'a line of a loud job'"), cpu=0.5) for _ in range(2)]
    for job in loud:
        capped.wait_output(job, b"loud")
    with bounded(capped, record_property):
        quiet = capped.run(*script("i=0; while [ $i -lt 50 ]; do echo $i; i=$((i+1)); done"))
        assert quiet.state == "SUCCEEDED"
        assert capped.output(quiet.id) == b"".join(b"%d\n" % number for number in range(50))
        for job in loud:
            assert capped.client().jobs.kill(job.id).cancel_requested
        for job in loud:
            ended = capped.wait(job.id)
            assert ended.state == "CANCELLED"
    capped.wait_nothing_left(*(capped.client().jobs.get(job.id) for job in loud))
    assert capped.is_well()


def test_a_follower_that_does_not_read_hurts_nobody(
    capped: Installation, record_property: Callable[[str, object], None]
) -> None:
    with bounded(capped, record_property):
        job = capped.submit("yes", "a line that nobody reads", cpu=1)
        capped.wait_output(job, b"nobody")
        frames = capped.client(patience=1).jobs.logs(job.id, follow=True)
        next(iter(frames))  # and now it is left alone
        assert capped.run("true").state == "SUCCEEDED"
        capped.client().jobs.kill(job.id)
        assert capped.wait(job.id).state == "CANCELLED"
        del frames


@pytest.mark.slow
@pytest.mark.alone
def test_ten_gigabytes_are_cut_and_the_server_is_as_before(
    capped: Installation, record_property: Callable[[str, object], None]
) -> None:
    with bounded(capped, record_property):
        job = capped.wait(capped.submit(*script(f"head -c {10 << 30} /dev/zero; exit 6"), cpu=1).id)
        assert (job.state, job.exit_code, job.runs[0].log_truncated) == ("FAILED", 6, True)
