"""Kernels that are installed in a job, as languages of their own: a real ipykernel; and no kernel outlives its job."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dais.node.processes import parent
from dais.sdk import Client
from tests.acceptance.conftest import SOON
from tests.support.cells import Cells
from tests.support.installation import Installation, installation
from tests.support.jupyter import KERNEL, with_ipykernel
from tests.support.supervisor import processes_with, until

BUSY = "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except KeyboardInterrupt: pass"


@pytest.fixture(scope="module")
def site() -> Iterator[Installation]:
    with installation(settings=SOON) as running:
        yield running


@pytest.fixture(scope="module")
def cells(site: Installation) -> Cells:
    return Cells(site.client(), with_ipykernel(site), kernel=KERNEL)


def test_it_is_found_and_keeps_state(cells: Cells) -> None:
    names = {kernel.name: kernel.language for kernel in cells.client.code.session(cells.job).kernels}
    assert names[KERNEL] == "python"
    assert cells("x = 41\nprint('set')") == [("stdout", "set\n")]
    assert cells("x + 1") == [("stdout", "42\n")], "it is the same kernel"
    assert cells("get_ipython().__class__.__name__")[0][1].startswith("'ZMQInteractiveShell"), "and it is IPython's"
    assert Cells(cells.client, cells.job)("'x' in globals()") == [("stdout", "False\n")], "the built-in one is another"


def test_it_listens_on_sockets_that_are_the_jobs_alone(cells: Cells) -> None:
    shown = cells(
        "import json, os, stat\n"
        "from ipykernel.connect import get_connection_info\n"
        "told = json.loads(get_connection_info())\n"
        "place = os.path.dirname(told['ip'])\n"
        "print(told['transport'], oct(stat.S_IMODE(os.stat(place).st_mode)), end='')"
    )
    assert shown == [("stdout", "ipc 0o700")]


def test_what_it_shows_and_prints_comes_once_and_in_order(cells: Cells) -> None:
    shown = cells(
        "import os, sys\n"
        "from IPython.display import HTML, Image, display\n"
        "print('a', flush=True); print('b', file=sys.stderr, flush=True)\n"
        "display(HTML('<b>t</b>'), Image(b'\\x89PNG\\r\\n\\x1a\\n', format='png'))\n"
        "print('c')"
    )
    assert shown[:3] == [("stdout", "a\n"), ("stderr", "b\n"), ("html", "<b>t</b>")]
    assert (shown[3][0], shown[3][1][0], shown[4]) == ("media", "image/png", ("stdout", "c\n"))
    raw = cells("_ = os.system('echo raw')\nimport time; time.sleep(0.3)")
    assert "".join(data for _, data in raw).count("raw") == 1


def test_it_asks_for_input_and_passwords(cells: Cells) -> None:
    asked: list[bool] = []

    def answer(password: bool) -> str:
        asked.append(password)
        return "Ada"

    assert cells("n = input('name? ')\nprint(n)", ask=answer)[-1][1].endswith("Ada\n")
    cells("import getpass; p = getpass.getpass('key: ')", ask=answer)
    assert asked == [False, True]


def test_it_is_interrupted_and_keeps_its_state(cells: Cells) -> None:
    cells("kept = 1")
    ended = cells.all("import time\nprint('begun')\ntime.sleep(600)", timeout=1.0)[-1]
    assert ended.status == "exec-timeout"
    assert ended.error is not None
    assert ended.error.name == "KeyboardInterrupt"
    assert cells("kept") == [("stdout", "1\n")]


def test_names_are_completed_by_it(cells: Cells) -> None:
    cells("completed_by_ipython = 1")
    assert cells.client.code.complete(cells.job, "completed_by_ip", kernel=KERNEL) == ["completed_by_ipython"]


def test_one_that_dies_says_how_and_another_comes(cells: Cells) -> None:
    cells("gone = 1")
    answer = cells.all("import os; os.kill(os.getpid(), 9)")[-1]
    assert (answer.status, answer.exit_code) == ("finished", 137)
    assert answer.error is not None
    assert answer.error.name == "KernelDied"
    assert cells.all("gone")[-1].error is not None
    assert cells("6 * 7") == [("stdout", "42\n")]


def test_one_that_cannot_start_says_why(cells: Cells) -> None:
    Cells(cells.client, cells.job)(
        "import json, os\n"
        "os.makedirs('kernels/kernels/broken', exist_ok=True)\n"
        "spec = {'argv': ['/bin/sh', '-c', 'echo no luck >&2; exit 3'], 'display_name': 'B', 'language': 'b'}\n"
        "json.dump(spec, open('kernels/kernels/broken/kernel.json', 'w'))"
    )
    answer = Cells(cells.client, cells.job, kernel="broken").all("1")[-1]
    assert answer.error is not None
    assert answer.error.name == "KernelDied"
    assert "no luck" in "".join(data for kind, data in answer.console if kind == "stderr")


@pytest.mark.slow
def test_its_cell_goes_on_while_the_server_restarts(site: Installation) -> None:
    job = with_ipykernel(site)
    cells = Cells(site.client(), job, kernel=KERNEL)
    cells("kept = 'kept'")
    code = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint(kept)"
    cells.ask(code=code, run_id="long", wait=0)
    site.kill()
    site.start()
    client: Client = site.client()
    until(lambda: client.jobs.get(job).state == "RUNNING", "the job is known to run")
    client.code.upload(job, {"go": b""})
    assert Cells(client, job).ask(mode="continue", run_id="long").console == [("stdout", "kept\n")]
    client.jobs.kill(job)
    site.wait_nothing_left(site.wait(job))


# -- nothing outlives its job ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["auto", "process"])
@pytest.mark.parametrize("end", ["kill", "supervisor", "supervisor and guard"])
def test_no_kernel_outlives_its_job(isolation: str, end: str) -> None:
    """Neither one that is at work, and heeds nothing, nor the runner; also where nobody is left to clean up."""
    with installation(settings={**SOON, "DAIS_LOCAL_ISOLATION": isolation}) as running:
        job = running.client().code.open()
        Cells(running.client(), job.id).ask(code=BUSY, wait=0)
        mark = running.client().jobs.get(job.id).runs[-1].id.encode()

        def programs() -> list[int]:
            return [pid for pid in processes_with(mark) if b"dais.node.inside" in _words(pid)]

        assert len(programs()) >= 2, "a runner and a kernel"
        if end == "kill":
            running.client().jobs.kill(job.id)
            until(lambda: not programs(), "they have ended")
            return
        running.kill()
        supervisor = running.supervisor()
        guards = [pid for pid in processes_with(b"dais-guard") if parent(pid) == supervisor]
        assert guards
        if end == "supervisor and guard":
            for guard in guards:
                os.kill(guard, signal.SIGKILL)
        running.kill_supervisor()
        until(lambda: not programs(), "they have ended")


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
