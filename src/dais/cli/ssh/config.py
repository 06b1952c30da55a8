"""`dais ssh-config`: hosts for ssh, and with it for editors, scp and rsync, in a block of the user's own file."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dais.cli.base import connected, note
from dais.cli.ssh.credentials import Credentials, own_program, prepare, quoted
from dais.sdk.errors import Invalid

if TYPE_CHECKING:
    from dais.sdk.client import Client
    from dais.wire.job_answers import Job

MOST_JOBS = 200
_plain = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@click.command("ssh-config")
@click.argument("refs", metavar="[JOB...]", nargs=-1)
@click.option(
    "--file", metavar="FILE", default="~/.ssh/config", show_default=True, type=click.Path(dir_okay=False), help="Where."
)
@click.option("--print", "only_print", is_flag=True, help="Print the block, and change nothing.")
@click.option("--remove", is_flag=True, help="Take the block out again.")
@click.option("--renew", is_flag=True, help="Only see to it that the certificate holds; ssh has this run by itself.")
@connected
def ssh_config(client: Client, refs: tuple[str, ...], file: str, only_print: bool, remove: bool, renew: bool) -> None:
    """Write hosts for your running jobs, or those that you name, into ~/.ssh/config: `ssh train.dais` works then.

    VS Code, PyCharm, scp, sftp and rsync find them there. The block is marked, and replaced the next time; everything
    else in the file stays as it is. The certificate is renewed whenever ssh connects.

    \b
    Examples:
      dais ssh-config
      dais ssh-config train 42
      dais ssh-config --remove
    """
    path = Path(file).expanduser()
    mark = client.access.url
    if renew:
        prepare(client)
        return
    if remove:
        note(f"{path} has no block of {mark} any more" if _write(path, mark, "") else f"{path} has none of {mark}")
        return
    jobs: list[Job] = [client.jobs.get(ref) for ref in refs]
    jobs = jobs or list(client.jobs.list(me=True, state="RUNNING", limit=MOST_JOBS))
    block = _block(mark, prepare(client), jobs, client.access.profile)
    if only_print:
        click.echo(block, nl=False)
        return
    if not jobs:
        note("no job of yours runs now; the block is empty: say it again when one does")
    _write(path, mark, block)
    for job in jobs:
        click.echo(f"ssh {_names(job)[0]}")
    note(f"written to {path}")


def _names(job: Job) -> list[str]:
    """What a job is called for ssh: its name, and its short id, which no other has."""
    short = f"{job.id[-8:]}.dais"
    return [f"{job.name}.dais", short] if job.name and _plain.fullmatch(job.name) else [short]


def _block(mark: str, credentials: Credentials, jobs: Sequence[Job], profile: str) -> str:
    """The lines between the marks, which hold for this profile, also when another is chosen later.

    It ends with `Host *`, so that what follows it means all hosts, as before.
    """
    given = ["--profile", profile] if profile else []
    told = credentials.options([*own_program(), "ssh-proxy", *given])
    renew = " ".join(quoted(word).replace("%", "%%") for word in [*own_program(), "ssh-config", "--renew", *given])
    lines = [_begin(mark), "# written by `dais ssh-config`, and again the next time: change nothing here"]
    for job in jobs:
        names = _names(job)
        # A name means the live job of that name, also the next one.
        user = f"{job.account}.{job.name}" if job.name else job.id
        lines.append(f'Match originalhost {",".join(names)} exec "{_escaped(renew)} >/dev/null 2>&1 || true"')
        lines.append(f"Host {' '.join(names)}")
        lines.append(f"    User {user}")
        for name, value in told.items():
            lines.append(f"    {name} {_value(name, value)}")
    lines += ["Host *", _end(mark), ""]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _value(name: str, value: str) -> str:
    """Paths may hold blanks; a command is the rest of its line."""
    return f'"{value}"' if " " in value and name != "ProxyCommand" else value


def _begin(mark: str) -> str:
    return f"# >>> dais {mark} >>>"


def _end(mark: str) -> str:
    return f"# <<< dais {mark} <<<"


def _write(path: Path, mark: str, block: str) -> bool:
    """Put the block in the place of the one that was there, else first; whether anything has changed.

    First, for what ssh finds first holds. Raises Invalid `bad-ssh-config` where the file cannot be read or written, or
    a block in it has no end.
    """
    try:
        before = path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else ""
        after = _replaced(before, mark, block, path)
        if after == before:
            return False
        target = path.resolve()  # a file that is kept elsewhere, and linked to, stays there
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.{os.getpid()}")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape", newline="") as opened:
            opened.write(after)
        fresh.replace(target)
    except OSError as error:
        raise Invalid(f"{path} cannot be changed: {error.strerror}", code="bad-ssh-config") from error
    return True


def _replaced(text: str, mark: str, block: str, path: Path) -> str:
    lines = text.splitlines(keepends=True)
    bare = [line.rstrip() for line in lines]
    if _begin(mark) not in bare:
        return f"{block}\n{text}" if block and text else block + text
    start = bare.index(_begin(mark))
    try:
        stop = bare.index(_end(mark), start) + 1
    except ValueError:
        raise Invalid(
            f"in {path} the line `{_begin(mark)}` is there, and the one that ends the block is not",
            code="bad-ssh-config",
            hint=f"take the block out by hand, or write `{_end(mark)}` where it ends",
        ) from None
    if not block and stop < len(lines) and not bare[stop]:
        stop += 1  # the blank line that came with it
    return "".join([*lines[:start], block, *lines[stop:]])
