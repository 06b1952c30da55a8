"""`dais code`: cells and programs in a job, from the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dais.cli.base import LazyGroup, connected, leave, note
from dais.cli.output import Output, with_output_of
from dais.cli.problems import complain, harmless
from dais.wire.code import CodeFile, CodeKernel, CodeResult, NewCodeSession

if TYPE_CHECKING:
    from dais.sdk.client import Client

_job = click.option("-j", "--job", "ref", metavar="JOB", help="In this running job; by default in your session.")
_kernel = click.option("--kernel", default="python", metavar="NAME", help="The kernel; see `dais code kernels`.")
_json = click.option("--json", "as_json", is_flag=True, help="Print each answer as one line of JSON.")
_timeout = click.option(
    "--timeout", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS", help="At most so long."
)
_media = click.option("--save", type=click.Path(file_okay=False), metavar="DIR", help="Write images and html here.")


@click.group(cls=LazyGroup)
def code() -> None:
    """Run code in a job, cell by cell, and see what it shows.

    Without --job it runs in your session: an interactive job that is opened on first use, keeps what cells define, and
    is found again. Any running job can be used as well.

    \b
    Examples:
      dais code run 'x = 41'
      dais code run 'x + 1'
      dais code exec main.c --build '*' --exec './main 3'
    """


@code.command()
@click.argument("text", metavar="CODE", required=False)
@click.option("-f", "--file", "file", type=click.Path(dir_okay=False), metavar="FILE", help="Run this file as a cell.")
@click.option("--image", metavar="IMAGE", help="The image of a session that is opened.")
@click.option("--new", is_flag=True, help="In a new session.")
@_job
@_kernel
@_timeout
@_media
@_json
@connected
def run(
    client: Client,
    text: str | None,
    file: str | None,
    image: str | None,
    new: bool,
    ref: str | None,
    kernel: str,
    timeout: float,
    save: str | None,
    as_json: bool,
) -> None:
    """Run a cell; what earlier cells defined is there.

    The code is the argument, a file, or what is piped in. Exits with 1 when it raised something, 124 when it took too
    long. Ctrl-C interrupts it.

    \b
    Examples:
      dais code run 'import torch; torch.cuda.is_available()'
      dais code run -f analysis.py --save figures
      echo 'print(6 * 7)' | dais code run --job train
    """
    if text is not None and file is not None:
        raise click.UsageError("give the code as an argument or as a file, not both")
    cell = text if text is not None else Path(file).read_text() if file else sys.stdin.read()
    session = ref or client.code.open(NewCodeSession(image=image, new=new)).id
    answers = client.code.run(session, cell, kernel=kernel, timeout=timeout, ask=_ask)
    leave(_show(client, session, answers, save=save, as_json=as_json))


@code.command("exec")
@click.argument("files", metavar="[FILE]...", nargs=-1)
@click.option("--clean", metavar="COMMAND", help="First run this.")
@click.option("--build", metavar="COMMAND", help="Build by this; '*' is make, setup.py, or the compiler.")
@click.option("--exec", "command", metavar="COMMAND", default="*", help="Then run this; '*' is what was built.")
@_job
@_timeout
@_json
@connected
def execute(
    client: Client,
    files: tuple[str, ...],
    clean: str | None,
    build: str | None,
    command: str,
    ref: str | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Upload files, build and run them.

    Exits with the program's exit code, 127 when the build failed.

    \b
    Examples:
      dais code exec main.c --build '*'
      dais code exec run.sh --exec 'bash run.sh'
      dais code exec src/*.c Makefile --clean 'make clean' --build '*' --exec './app'
    """
    session = ref or client.code.open().id
    if files:
        client.code.upload(session, files)
    answers = client.code.batch(session, clean=clean, build=build, exec=command or None, timeout=timeout, ask=_ask)
    leave(_show(client, session, answers, as_json=as_json))


@code.command("input")
@click.argument("run_id", metavar="RUN")
@click.argument("text", metavar="TEXT", required=False)
@_job
@_json
@connected
def input_(client: Client, run_id: str, text: str | None, ref: str | None, as_json: bool) -> None:
    """Give a line of input to a run that waits for it, and follow it.

    \b
    Examples:
      dais code input 3f1c0ffee0123456 yes
      echo secret | dais code input 3f1c0ffee0123456
    """
    from dais.wire.code import CodeRequest

    session = ref or client.code.open().id
    line = text if text is not None else sys.stdin.readline().rstrip("\n")
    first = client.code.execute(session, CodeRequest(mode="input", run_id=run_id, code=line))

    def answers() -> Iterable[CodeResult]:
        yield first
        if first.status not in ("finished", "exec-timeout"):
            yield from client.code.follow(session, run_id, ask=_ask)

    leave(_show(client, session, answers(), as_json=as_json))


@code.command()
@_job
@connected
def interrupt(client: Client, ref: str | None) -> None:
    """Interrupt what runs now.

    \b
    Example:
      dais code interrupt
    """
    if not client.code.interrupt(ref or client.code.open().id):
        note("nothing runs")


@code.command()
@_job
@_kernel
@connected
def restart(client: Client, ref: str | None, kernel: str) -> None:
    """Start a kernel anew: what cells have defined is gone.

    \b
    Example:
      dais code restart
    """
    client.code.restart(ref or client.code.open().id, kernel)
    note(f"kernel {kernel} has been started anew")


@code.command()
@click.argument("text", metavar="CODE")
@_job
@_kernel
@_json
@connected
def complete(client: Client, text: str, ref: str | None, kernel: str, as_json: bool) -> None:
    """Tell how the end of some code may go on.

    \b
    Example:
      dais code complete 'import os; os.pa'
    """
    matches = client.code.complete(ref or client.code.open().id, text, kernel=kernel)
    if as_json:
        import json

        click.echo(json.dumps(matches))
        return
    for match in matches:
        click.echo(harmless(match))


@code.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@_job
@connected
def upload(client: Client, files: tuple[str, ...], ref: str | None) -> None:
    """Put small files (1 MiB each) into the session's working directory.

    They keep their path below the current directory. For more and larger ones there is `dais job cp`.

    \b
    Example:
      dais code upload main.c include/app.h
    """
    client.code.upload(ref or client.code.open().id, files)


@code.command()
@click.argument("path", metavar="PATH")
@click.option("-o", "--output", "target", type=click.Path(), metavar="FILE", help="Write it here; '-' is stdout.")
@_job
@connected
def download(client: Client, path: str, target: str | None, ref: str | None) -> None:
    """Fetch a file of the session's working directory.

    \b
    Examples:
      dais code download result.csv
      dais code download result.csv -o -
    """
    data = client.code.download(ref or client.code.open().id, path)
    if target == "-":
        sys.stdout.buffer.write(data)
        return
    place = Path(target or Path(path).name)
    place.write_bytes(data)
    note(f"{place}: {len(data):,} bytes")


@code.command()
@click.argument("path", metavar="[PATH]", default=".")
@_job
@with_output_of(CodeFile)
@connected
def ls(client: Client, output: Output, path: str, ref: str | None) -> None:
    """List the session's working directory.

    \b
    Examples:
      dais code ls
      dais code ls data --json
    """
    found = client.code.ls(ref or client.code.open().id, path)
    output.many(CodeFile, found.files, ("name", "kind", "size"))
    if found.truncated:
        note("there are more than 10,000 entries; these are the first")


@code.command()
@_job
@with_output_of(CodeKernel)
@connected
def kernels(client: Client, output: Output, ref: str | None) -> None:
    """List the kernels that cells can be run with.

    Each that is installed where the job's Python looks for them is a language; `python` is always there.

    \b
    Example:
      dais code kernels
    """
    output.many(CodeKernel, client.code.session(ref or client.code.open().id).kernels, ("name", "language", "title"))


@code.command()
@click.argument("path", metavar="PATH")
@click.option("-r", "--recursive", is_flag=True, help="A directory with all that is in it.")
@_job
@connected
def rm(client: Client, path: str, recursive: bool, ref: str | None) -> None:
    """Remove a file of the session's working directory.

    \b
    Example:
      dais code rm -r build
    """
    client.code.rm(ref or client.code.open().id, path, recursive=recursive)


def _ask(password: bool) -> str:
    """A line of this terminal, or of what is piped in. Raises EOFError."""
    if password and sys.stdin.isatty():
        import getpass

        return getpass.getpass("")
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")


def _show(
    client: Client, ref: str, answers: Iterable[CodeResult], *, save: str | None = None, as_json: bool = False
) -> int:
    """Print answers as they come; the exit code. Ctrl-C interrupts the run, twice leaves it."""
    items = iter(answers)
    last: CodeResult | None = None
    interrupted = False
    while True:
        try:
            for answer in items:
                last = answer
                if as_json:
                    import msgspec

                    click.echo(msgspec.json.encode(answer).decode())
                else:
                    _print(answer, save)
            break
        except EOFError:
            assert last is not None
            where = f"dais code input --job {ref} {last.run_id} TEXT"
            complain("the code asks for input, and there is none", f"it waits, and so do later runs: `{where}`")
            return 1
        except KeyboardInterrupt:
            if interrupted or last is None:
                raise
            interrupted = True
            client.code.interrupt(ref)
            items = iter(client.code.follow(ref, last.run_id, ask=_ask))
    if last is None or last.status == "exec-timeout":
        return 124
    return last.exit_code or (1 if last.error is not None else 0)


def _print(answer: CodeResult, save: str | None) -> None:
    for kind, data in answer.console:
        if kind == "stdout":
            sys.stdout.write(data)
        elif kind == "stderr":
            sys.stdout.flush()
            sys.stderr.write(data)
        elif kind == "log":
            click.echo(f"{harmless(str(data[0]))}: {harmless(str(data[-1]))}", err=True)
        else:
            _show_media(kind, data, save)
    for name, count in answer.left_out.items():
        note(f"{count:,} characters of {name} were too many, and are left out")
    sys.stdout.flush()


def _show_media(kind: str, data: Any, save: str | None) -> None:
    import base64

    mime, content = ("text/html", data) if kind == "html" else (str(data[0]), data[1])
    if save is None:
        text = content if isinstance(content, str) and not content.startswith("data:") else ""
        shown = (
            text
            if mime in ("text/markdown", "text/latex")
            else f"[{mime}, {len(str(content)):,} characters; --save DIR writes it]"
        )
        click.echo(shown)
        return
    place = Path(save)
    place.mkdir(parents=True, exist_ok=True)
    ending = {"text/html": "html", "image/svg+xml": "svg", "image/jpeg": "jpg"}.get(mime, mime.rpartition("/")[2])
    ending = "".join(c for c in ending if c.isalnum())[:10] or "bin"
    number = len(list(place.iterdir())) + 1
    file = place / f"output-{number}.{ending}"
    if isinstance(content, str) and content.startswith("data:"):
        file.write_bytes(base64.b64decode(content.partition(",")[2]))
    else:
        file.write_text(str(content))
    note(f"{mime}: {file}")
