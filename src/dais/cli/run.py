"""`dais run`: this directory's program as a job, followed to its end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from dais.cli.base import CommandAfterDashes, connected, leave, note
from dais.cli.jobs.follow import exit_code, follow, tell_end
from dais.cli.jobs.options import job_options, read_given
from dais.cli.jobs.show import COLUMNS
from dais.cli.jobs.submit import print_checked, send
from dais.cli.output import Output, with_output_of
from dais.cli.problems import PLATFORM, explain
from dais.cli.sources import capture_with_progress
from dais.wire.answers import JobDetail

if TYPE_CHECKING:
    from dais.sdk.client import Client

DETACHED = 130


@click.command("run", cls=CommandAfterDashes)
@job_options
@click.option(
    "--source", "directory", metavar="DIR", default=".", help="Take the files of this directory. [default: .]"
)
@click.option("--no-source", is_flag=True, help="Take no files.")
@click.option("--yes", is_flag=True, help="Take the files although they are many, or a home directory.")
@click.option("--detach", is_flag=True, help="Submit, and do not follow.")
@with_output_of(JobDetail)
@connected
def run(
    client: Client,
    output: Output,
    given: dict[str, Any],
    directory: str,
    no_source: bool,
    yes: bool,
    detach: bool,
    words: tuple[str, ...],
) -> None:
    """Run a command as a job with the files of this directory, and follow it.

    The files (without what .gitignore and .daisignore name) become the job's working directory; requirements.txt or
    pyproject.toml among them becomes its Python environment. Exits with the job's exit code; 125 says that the
    platform failed, not the job. Ctrl-C leaves the job running, twice kills it. With --json, --format or --field the
    job, as it ended, is printed on stdout, and its output on stderr.

    \b
    Examples:
      dais run -- python train.py
      dais run --gpu 1 --mem 16 -d digits:/data:ro -- python train.py --epochs 3
      dais run --detach --name nightly -- make all
      dais run --field runs.memoryPeak -- python train.py
    """
    requirements = requirements_of(given, directory, no_source)
    spec = read_given(given, words, requirements=requirements)
    try:
        if given["dry_run"]:
            print_checked(client, output, spec)
            return
        if spec.source is not None:
            note("the files are those of the source that the job's file names")
        elif not no_source:
            spec = replace(spec, source=capture_with_progress(client, Path(directory), yes))
        job = send(client, spec, given)
        if detach:
            output.one(job, COLUMNS)
            return
        note(f"job {job.name or job.number} ({job.id})")
        ended = follow(client, job, aside=not output.for_people)
    except Exception as error:
        leave(explain(error, failed=PLATFORM))
    if ended is None:
        leave(DETACHED)
    tell_end(ended)
    if not output.for_people:
        output.one(ended, COLUMNS)
    leave(exit_code(ended))


def requirements_of(given: dict[str, Any], directory: str, no_source: bool) -> str | None:
    """`--requirements` names a file from here; in the spec it is a path inside the source."""
    named = given.pop("requirements")
    given["requirements"] = None
    if not named:
        return None
    if no_source:
        raise click.UsageError("--requirements needs the source, which --no-source leaves out; drop one of them")
    path, root = Path(named).resolve(), Path(directory).resolve()
    if not path.is_file():
        raise click.UsageError(f"--requirements: there is no file {named!r}")
    if not path.is_relative_to(root):
        raise click.UsageError(f"--requirements: {named!r} lies outside the source {directory!r}; copy it there")
    return path.relative_to(root).as_posix()
