"""Code in jobs: cells whose state is kept, programs that are built, input, interrupts, files; and what goes wrong."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from websockets.sync.client import connect

from dais.sdk import Client
from dais.sdk.errors import Conflict, DaisError, Invalid, NotFound
from dais.wire.code import CodeRequest, CodeResult, Steps
from tests.support.cells import Cells
from tests.support.installation import Installation

LIMIT = 524_288


@pytest.fixture(scope="module")
def site(shared: Installation) -> Iterator[tuple[Installation, Client]]:
    with shared.client() as client:
        yield shared, client


@pytest.fixture(scope="module")
def cells(site: tuple[Installation, Client]) -> Cells:
    _, client = site
    return Cells(client, client.code.open().id)


def test_cells_keep_what_they_define_and_show_what_they_are_worth(cells: Cells) -> None:
    assert cells("x = 41\nprint('set')") == [("stdout", "set\n")]
    assert cells("x + 1") == [("stdout", "42\n")]
    assert cells("x + 1;") == []
    assert cells("_ + 1") == [("stdout", "43\n")]
    assert cells("await __import__('asyncio').sleep(0, 'done')") == [("stdout", "'done'\n")]
    assert cells.client.code.open().id == cells.job, "it is found again"


def test_items_come_in_the_order_in_which_they_were_printed(cells: Cells) -> None:
    shown = cells(
        "import sys, os\n"
        "class Table:\n def _repr_html_(self): return '<b>t</b>'\n"
        "class Picture:\n def _repr_png_(self): return b'\\x89PNG'\n"
        "class Drawing:\n def _repr_svg_(self): return '<svg/>'\n"
        "print('a'); print('b', file=sys.stderr); display(Table()); display(Picture(), Drawing())\n"
        "print('c')\n"
        "Table()"
    )
    picture = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    assert shown == [
        ("stdout", "a\n"),
        ("stderr", "b\n"),
        ("html", "<b>t</b>"),
        ("media", ["image/png", picture]),
        ("media", ["image/svg+xml", "<svg/>"]),
        ("stdout", "c\n"),
        ("html", "<b>t</b>"),
    ]
    assert cells("os.system('echo raw; echo err >&2')")[0] == ("stdout", "raw\n")


def test_an_exception_is_told_with_the_lines_of_the_cell(cells: Cells) -> None:
    (answer,) = cells.all("a = 123\nprint('what happens now?')\na = a / 0")
    assert (answer.status, answer.exit_code) == ("finished", 0)
    assert answer.error is not None
    assert (answer.error.name, answer.error.value) == ("ZeroDivisionError", "division by zero")
    (_, out), (kind, trace) = answer.console
    assert (out, kind) == ("what happens now?\n", "stderr")
    assert "line 3, in <module>\n    a = a / 0" in trace
    assert "code_python" not in trace
    (odd,) = cells.all("if x\n")
    assert odd.error is not None
    assert odd.error.name == "SyntaxError"


def test_the_seeds_example_of_polling(cells: Cells) -> None:
    code = "import time\nfor i in range(3):\n    print(f'Tick {i+1}')\n    time.sleep(0.3)\nprint('done')"
    answers = [cells.ask(code=code, wait=0.1, run_id="ticks")]
    while answers[-1].status == "continued":
        answers.append(cells.ask(mode="continue", run_id="ticks", wait=0.1))
    assert len(answers) > 2
    assert answers[-1].status == "finished"
    printed = "".join(data for answer in answers for _, data in answer.console)
    assert printed == "Tick 1\nTick 2\nTick 3\ndone\n"


def test_input_is_asked_for_and_a_password_is_known_as_one(cells: Cells) -> None:
    asked: list[bool] = []

    def answer(password: bool) -> str:
        asked.append(password)
        return "Lablup"

    code = "import getpass\nn = input('>> ')\nprint('Hello,', n)\nprint(len(getpass.getpass('key: ')))"
    assert cells(code, ask=answer) == [("stdout", ">> Hello, Lablup\nkey: 6\n")]
    assert asked == [False, True]
    with pytest.raises(Conflict, match="does not wait"):
        cells.ask(mode="input", run_id=cells.all("1")[0].run_id, code="x")
    first = cells.ask(code="input('never: ')", run_id="never")
    assert first.status == "waiting-input"
    behind = cells.ask(code="'later'", run_id="behind", follow=True)
    assert behind.console[0][0] == "log"
    assert "run never comes first, and waits for input" in behind.console[0][1][-1]
    assert cells.client.code.interrupt(cells.job) is True
    last = cells.ask(mode="continue", run_id="never")
    assert last.error is not None
    assert last.error.name == "KeyboardInterrupt"


def test_an_answer_that_was_lost_is_given_again(cells: Cells) -> None:
    cells.ask(code="print('once')\ninput()", run_id="lost")
    once = cells.ask(mode="continue", run_id="lost", seq=0)
    assert once.console == [("stdout", "once\n")], "the first was not acknowledged"
    after = cells.ask(mode="continue", run_id="lost", seq=once.seq, wait=0)
    assert (after.status, after.console) == ("waiting-input", [])
    same = cells.ask(code="print('once')\ninput()", run_id="lost", wait=0)
    assert same.status == "waiting-input", "beginning it twice begins it once"
    with pytest.raises(Conflict, match="another run"):
        cells.ask(code="other", run_id="lost")
    assert cells.ask(mode="input", run_id="lost", code="").status == "finished"


def test_a_flood_is_cut_and_told_and_memory_stays(cells: Cells) -> None:
    answers = cells.all("for i in range(60000): print('x' * 99)\nprint('end', file=__import__('sys').stderr)")
    for answer in answers:
        assert all(len(data) <= LIMIT for kind, data in answer.console if kind == "stdout")
    printed = sum(len(data) for answer in answers for kind, data in answer.console if kind == "stdout")
    left_out = sum(answer.left_out.get("stdout", 0) for answer in answers)
    assert printed + left_out == 60_000 * 100
    polled = cells.ask(code="print('y' * 1_000_000, end='')", wait=10)
    assert polled.left_out == {"stdout": 1_000_000 - LIMIT}
    assert cells("print('fine')") == [("stdout", "fine\n")]


def test_runs_wait_for_each_other_in_order(cells: Cells) -> None:
    cells.ask(code="order = []\nimport time\ntime.sleep(0.3)", run_id="q0", wait=0)
    for number in range(1, 4):
        cells.ask(code=f"order.append({number})", run_id=f"q{number}", wait=0)
    session = cells.client.code.session(cells.job)
    assert (session.current, session.waiting) == ("q0", ["q1", "q2", "q3"])
    assert cells("order") == [("stdout", "[1, 2, 3]\n")]


def test_what_takes_too_long_is_stopped(cells: Cells) -> None:
    answers = cells.all("kept = 1\nwhile True: pass", timeout=0.3)
    assert answers[-1].status == "exec-timeout"
    assert cells("kept") == [("stdout", "1\n")], "an interrupt was enough"
    stubborn = "while True:\n try:\n  while True: pass\n except KeyboardInterrupt: pass"
    cells.ask(code=stubborn, run_id="stubborn", wait=0)
    cells.client.code.restart(cells.job)
    ended = cells.ask(mode="continue", run_id="stubborn")
    assert ended.status == "finished"
    assert ended.console[-1][0] == "log"
    assert cells.all("kept")[-1].error is not None, "its variables are gone"


@pytest.mark.parametrize(
    "code, exit_code", [("import os; os._exit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_a_kernel_that_dies_says_so_and_another_comes(cells: Cells, code: str, exit_code: int) -> None:
    answer = cells.all(code)[-1]
    assert (answer.status, answer.exit_code) == ("finished", exit_code)
    assert answer.error is not None
    assert answer.error.name == "KernelDied"
    assert cells("2 + 2") == [("stdout", "4\n")]


def test_names_are_completed(cells: Cells) -> None:
    cells("import os")
    assert "print" in cells.client.code.complete(cells.job, "pri")
    assert "os.path" in cells.client.code.complete(cells.job, "x = os.pa + 1", 9)
    assert cells.client.code.complete(cells.job, "") == []


def test_a_program_in_c_is_built_and_run(cells: Cells) -> None:
    source = b'#include <stdio.h>\nint main(void){int n; scanf("%d",&n); printf("%d\\n", n*n); return n;}\n'
    cells.client.code.upload(cells.job, {"main.c": source, "sub/notes.txt": b"n"})
    answers = list(cells.client.code.batch(cells.job, clean="*", build="*", exec="echo 12 | ./main", timeout=60))
    assert [a.status for a in answers if a.status != "continued"] == ["clean-finished", "build-finished", "finished"]
    assert answers[-1].exit_code == 12
    assert "144\n" in "".join(data for answer in answers for _, data in answer.console)
    cells.client.code.upload(cells.job, {"main.c": b"int main( {"})
    broken = list(cells.client.code.batch(cells.job, build="*", exec="*"))
    assert broken[-1].exit_code == 127
    assert any(a.status == "build-finished" and a.exit_code for a in broken)
    piped = cells.ask(mode="batch", options=Steps(exec="read line; echo got $line"), run_id="shell", wait=0)
    assert piped.status == "continued"
    assert cells.ask(mode="input", run_id="shell", code="it").console == [("stdout", "got it\n")]


def test_files_are_put_listed_fetched_and_removed(cells: Cells) -> None:
    code, job = cells.client.code, cells.job
    code.upload(job, {"d/one.bin": bytes(range(256)), "d/deep/two": b""})
    assert [(f.name, f.kind, f.size) for f in code.ls(job, "d").files] == [
        ("deep", "directory", 0),
        ("one.bin", "file", 256),
    ]
    assert code.download(job, "d/one.bin") == bytes(range(256))
    cells("open('big', 'wb').write(b'z' * 3_000_001);")
    assert code.download(job, "big") == b"z" * 3_000_001
    with pytest.raises(Invalid, match="1,048,577 bytes"):
        code.upload(job, {"large": b"x" * 1_048_577})
    for path in ("../out", "/etc/passwd", "d/../../x"):
        with pytest.raises(Invalid, match="not in the working directory"):
            code.upload(job, {path: b"x"})
    cells("import os; os.symlink('/etc', 'link'); os.mkfifo('pipe')")
    with pytest.raises(Invalid, match="not in the working directory"):
        code.download(job, "link/passwd")
    with pytest.raises(Invalid, match="no file"):
        code.download(job, "pipe")
    code.rm(job, "link")
    code.rm(job, "d", recursive=True)
    with pytest.raises(NotFound, match=r"^/home/work/d: No such file or directory$"):
        code.ls(job, "d")


def test_a_cell_cannot_speak_for_the_runner(cells: Cells) -> None:
    """It can write to any descriptor that its process has: nonsense is not heard, and what it says is its own run's."""
    forged = json.dumps({"msg_type": "execute_reply", "parent": "somebody-else", "content": {"exit_code": 5}})
    shown = cells(
        "import os, socket\n"
        "for fd in range(3, 20):\n"
        " try:\n"
        f"  os.write(fd, b'nonsense\\n[1]\\n{{\"msg_type\": 7}}\\n{forged}\\n')\n"
        " except OSError: pass\n"
        "print('still', end='')"
    )
    assert shown == [("stdout", "still")]
    assert cells("1 + 1") == [("stdout", "2\n")]


def test_bad_requests_are_refused_with_a_reason(site: tuple[Installation, Client], cells: Cells) -> None:
    running, client = site
    for fields, words in (
        ({"mode": "continue"}, "needs the run_id"),
        ({"mode": "batch"}, "needs `options`"),
        ({"mode": "batch", "code": "x", "options": Steps(exec="x")}, "empty `code`"),
        ({"run_id": "x" * 129}, "128"),
        ({"timeout": -1.0}, "timeout"),
    ):
        with pytest.raises(Invalid, match=words):
            cells.ask(**fields)
    with pytest.raises(NotFound, match="no run 'gone'"):
        cells.ask(mode="continue", run_id="gone")
    with pytest.raises(NotFound, match="there are: python"):
        cells.ask(code="1", kernel="julia-9")
    ended = running.run("true")
    with pytest.raises(Conflict, match="not RUNNING"):
        list(client.code.run(ended.id, "1"))
    with pytest.raises(DaisError):
        client.code.upload(cells.job, {f"f{n}": b"" for n in range(21)} | {"": b""})


def test_a_stream_carries_answers_and_input(site: tuple[Installation, Client], cells: Cells) -> None:
    running, _ = site
    address = f"{running.url.replace('http', 'ws', 1)}/v1/jobs/{cells.job}/code/stream"
    with connect(address, additional_headers={"Authorization": f"Bearer {running.token}"}) as socket:
        socket.send(msgspec.json.encode(CodeRequest(code="print('a')\nprint(input('b? '))")).decode())
        answers = []
        while True:
            answers.append(msgspec.json.decode(socket.recv(), type=CodeResult))
            if answers[-1].status == "waiting-input":
                socket.send("typed")
            if answers[-1].status == "finished":
                break
    assert "".join(data for answer in answers for _, data in answer.console) == "a\nb? typed\n"


def test_what_is_run_is_in_the_audit_log_before_its_answer_and_what_is_fetched_is_not(cells: Cells) -> None:
    def entries() -> int:
        return len(list(cells.client.audit.list(action="job:exec", urn=f"*{cells.job}")))

    before = entries()
    assert cells("6 * 7") == [("stdout", "42\n")]
    assert entries() == before + 1
    cells.ask(code="import time; time.sleep(0.05); print('late')", run_id="noted", wait=0)
    ended = cells.ask(mode="continue", run_id="noted", wait=20)
    assert (ended.status, ended.console) == ("finished", [("stdout", "late\n")])
    assert entries() == before + 2


def test_the_command_line(site: tuple[Installation, Client], cells: Cells, tmp_path: Any) -> None:
    running, _ = site
    assert running.dais("code", "run", "y = 5; print(y)").stdout == b"5\n"
    failed = running.dais("code", "run", "1/0")
    assert failed.returncode == 1
    assert b"ZeroDivisionError" in failed.stderr
    asking = running.dais("code", "run", "input('name? ')").stderr.decode()
    found = re.search(r"`dais code input --job (\S+) (\S+) TEXT`", asking)
    assert found is not None, asking
    assert running.dais("code", "input", "--job", *found.groups(), "ada").stdout == b"'ada'\n"
    answer = json.loads(running.dais("code", "run", "y", "--json").stdout.splitlines()[-1])
    assert (answer["status"], answer["console"]) == ("finished", [["stdout", "5\n"]])
    assert running.dais("code", "kernels", "--json").returncode == 0
    ran = running.dais("code", "exec", "--exec", "echo out; exit 4")
    assert (ran.returncode, ran.stdout) == (4, b"out\n")


def test_who_has_another_interactive_job_is_told_how_to_run_code_in_it(own: Installation) -> None:
    job = own.submit("sleep", "600", type="interactive")
    own.wait_running(job)
    refused = own.dais("code", "run", "1")
    assert refused.returncode == 1
    assert f"dais code run --job {job.id}".encode() in refused.stderr
    assert own.dais("code", "run", "--job", job.id, "6 * 7").stdout == b"42\n"


def test_a_cell_goes_on_while_the_server_restarts(own: Installation) -> None:
    with own.client(patience=30.0) as client:
        job = client.code.open()
        cells = Cells(client, job.id)
        cells("kept = 'kept'")
        begun = cells.ask(
            code="import time\nwhile not __import__('os').path.exists('go'): time.sleep(0.01)\nprint(kept)",
            run_id="long",
            wait=0,
        )
        assert begun.status == "continued"
        own.kill()
        own.start()
        until = time.monotonic() + 20
        while client.jobs.get(job.id).state != "RUNNING":
            assert time.monotonic() < until
        client.code.upload(job.id, {"go": b""})
        assert cells.ask(mode="continue", run_id="long").console == [("stdout", "kept\n")]
        assert cells("kept") == [("stdout", "'kept'\n")]


def test_who_follows_a_cell_follows_it_through_a_restart(own: Installation) -> None:
    with own.client() as client:
        job = client.code.open()
        cells = Cells(client, job.id)
        cells("import os, time")
        code = "print('begun')\nwhile not os.path.exists('on'): time.sleep(0.01)\nprint('on')"
        with subprocess.Popen(
            [sys.executable, "-m", "dais", "code", "run", "--job", job.id, code],
            env=own.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as run:
            assert run.stdout is not None
            assert run.stdout.readline() == b"begun\n"
            assert own.stop() == 0
            own.start()
            client.code.upload(job.id, {"on": b""})
            out, told = run.communicate(timeout=60)
        assert (run.returncode, out) == (0, b"on\n"), told
        assert "cut what was under way" not in own.log()
