"""`dais template`: learn how long a job takes with what it is given, and run it with the best allocation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from dais.cli.base import CommandAfterDashes, LazyGroup, connected, note
from dais.cli.jobs.options import job_options, read_given
from dais.cli.output import Output, with_output_of
from dais.cli.plotting import plot
from dais.cli.problems import harmless
from dais.cli.run import requirements_of
from dais.cli.sources import capture_with_progress
from dais.wire.templates import Prediction, Provisioned, Template, TemplateDetail
from dais.wire.units import parse_cores, parse_duration, parse_size, short_size

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("number", "name", "account", "state", "ended", "runs", "error", "created_at")
MOST_SHOWN = 40


@click.group(cls=LazyGroup)
def template() -> None:
    """Learn how long a job takes with what it is given, and run it with the best allocation.

    A template is a job whose command holds options in braces. It is run in short profiling runs with several values,
    cores and sizes of memory; from these a model is made, which tells time and cost of every allocation beforehand.

    \b
    Examples:
      dais template new --name digits --cpu 0.5,1,2 --mem 512Mi,1Gi -- python train.py --epoch '{1,2,5}'
      dais template predict digits epoch=50 --max-time 2h
      dais template run digits epoch=50 --max-time 2h
    """


@template.command("new", cls=CommandAfterDashes)
@job_options
@click.option("--max-runs", type=int, default=24, show_default=True, metavar="N", help="Make at most N profiling runs.")
@click.option("--parallel", type=int, default=2, show_default=True, metavar="N", help="So many of them at a time.")
@click.option("--profile-limit", default="10m", show_default=True, metavar="TIME", help="End a profiling run after it.")
@click.option("--budget", type=float, metavar="COST", help="Begin no profiling run once all have cost so much.")
@click.option(
    "--source", "directory", metavar="DIR", default=".", help="Take the files of this directory. [default: .]"
)
@click.option("--no-source", is_flag=True, help="Take no files.")
@click.option("--yes", is_flag=True, help="Take the files although they are many, or a home directory.")
@click.option("--wait", is_flag=True, help="Wait until it is profiled.")
@with_output_of(TemplateDetail)
@connected
def new(
    client: Client,
    output: Output,
    given: dict[str, Any],
    max_runs: int,
    parallel: int,
    profile_limit: str,
    budget: float | None,
    directory: str,
    no_source: bool,
    yes: bool,
    wait: bool,
    words: tuple[str, ...],
) -> None:
    """Register a template, and profile it.

    Takes what `dais run` takes. Options are written as {1,2,5} in the command, quoted so that the shell leaves them
    alone. --cpu and --mem may be several sizes with commas: they are tried, and chosen from later; without them they
    follow the machines. When all combinations are more than --max-runs, a balanced part of them is run.

    \b
    Examples:
      dais template new --name digits --cpu 0.5,1,2 --mem 512Mi,1Gi -- python train.py --epoch '{1,2,5}'
      dais template new --name sort --no-source --wait -- sh -c 'seq {1000,100000} | sort -R'
    """
    name, cpu, mem = given.pop("name"), given.pop("cpu"), given.pop("mem")
    if name is None:
        raise click.UsageError("--name: a template needs a name")
    try:
        cpus = [parse_cores(part, "--cpu") for part in (cpu or "").split(",") if part]
        mems = [parse_size(part, "--mem") for part in (mem or "").split(",") if part]
        limit = parse_duration(profile_limit, "--profile-limit")
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    requirements = requirements_of(given, directory, no_source)
    spec = read_given({**given, "name": None, "cpu": None, "mem": None}, words, requirements=requirements)
    if spec.source is None and not no_source:
        spec = replace(spec, source=capture_with_progress(client, Path(directory), yes))
    made = client.templates.new(
        name,
        spec,
        cpu=cpus,
        mem=mems,
        max_runs=max_runs,
        parallel=parallel,
        max_run_time=limit,
        budget=budget,
    )
    if output.for_people:
        note(f"template {made.number}: {made.runs} profiling runs; see them with dais template show {made.name}")
    if wait:
        made = client.templates.wait(made.number)
    output.one(made, COLUMNS)


@template.command()
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@with_output_of(Template)
@connected
def ls(client: Client, output: Output, limit: int | None) -> None:
    """List templates, the newest first.

    \b
    Examples:
      dais template ls
      dais template ls --account acme.vision --json
    """
    found = list(client.templates.list(limit=limit))
    if not found and output.for_people:
        note("no templates here; `dais template new` makes one")
    output.many(Template, found, COLUMNS)


@template.command()
@click.argument("ref", metavar="TEMPLATE")
@with_output_of(TemplateDetail)
@connected
def show(client: Client, output: Output, ref: str) -> None:
    """Show a template: its profiling runs, its model, and what its jobs were predicted to take and took.

    \b
    Examples:
      dais template show digits
      dais template show 3 --json
    """
    found = client.templates.get(ref)
    output.one(found, COLUMNS)
    if output.for_people:
        for line in _told(found):
            click.echo(harmless(line))


@template.command("predict")
@click.argument("ref", metavar="TEMPLATE")
@click.argument("pairs", metavar="[OPTION=VALUE]...", nargs=-1)
@click.option("--max-time", metavar="TIME", help="It is to end within this time, as 90s or 2h.")
@click.option("--max-cost", type=float, metavar="COST", help="It is to cost no more.")
@click.option(
    "--optimize",
    type=click.Choice(["cost", "time"]),
    help="What is to be least. [default: time with --max-cost alone, else cost]",
)
@with_output_of(Prediction)
@connected
def predict_(
    client: Client,
    output: Output,
    ref: str,
    pairs: tuple[str, ...],
    max_time: str | None,
    max_cost: float | None,
    optimize: str | None,
) -> None:
    """Tell what every allocation would take and cost, and which is best.

    \b
    Examples:
      dais template predict digits epoch=50
      dais template predict digits epoch=50 lr=0.1 --max-time 2h
      dais template predict digits epoch=50 --max-cost 0.25 --json
    """
    found = client.templates.predict(ref, _pairs(pairs), **_caps(max_time, max_cost, optimize))
    if not output.for_people:
        output.one(found, ("template", "chosen.cpu", "chosen.mem", "chosen.seconds", "chosen.cost", "error"))
        return
    _tell(found)


@template.command("run")
@click.argument("ref", metavar="TEMPLATE")
@click.argument("pairs", metavar="[OPTION=VALUE]...", nargs=-1)
@click.option("--max-time", metavar="TIME", help="It is to end within this time, as 90s or 2h.")
@click.option("--max-cost", type=float, metavar="COST", help="It is to cost no more.")
@click.option(
    "--optimize",
    type=click.Choice(["cost", "time"]),
    help="What is to be least. [default: time with --max-cost alone, else cost]",
)
@click.option("--name", metavar="NAME", help="Call the job so.")
@with_output_of(Provisioned)
@connected
def run_(
    client: Client,
    output: Output,
    ref: str,
    pairs: tuple[str, ...],
    max_time: str | None,
    max_cost: float | None,
    optimize: str | None,
    name: str | None,
) -> None:
    """Submit its job with the best allocation; `dais template show` compares it later with the prediction.

    \b
    Examples:
      dais template run digits epoch=50 --max-time 2h
      dais template run digits epoch=50 lr=0.1 --field job_id
    """
    made = client.templates.run(ref, _pairs(pairs), name=name, **_caps(max_time, max_cost, optimize))
    if not output.for_people:
        output.one(made, ("job_id", "job_number"))
        return
    _tell(made.prediction, drawn=False)
    note(f"job {made.job_number} is submitted; follow it: dais job logs -f {made.job_number}")


@template.command()
@click.argument("refs", metavar="TEMPLATE...", nargs=-1, required=True)
@connected
def cancel(client: Client, refs: tuple[str, ...]) -> None:
    """End the profiling of templates, and the jobs that run for it.

    \b
    Example:
      dais template cancel digits
    """
    for ref in refs:
        client.templates.cancel(ref)


@template.command()
@click.argument("refs", metavar="TEMPLATE...", nargs=-1, required=True)
@connected
def rm(client: Client, refs: tuple[str, ...]) -> None:
    """Forget templates and their models; their jobs stay.

    \b
    Example:
      dais template rm digits
    """
    for ref in refs:
        client.templates.rm(ref)


def _pairs(pairs: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{pair!r} is not OPTION=VALUE")
        found[name] = value
    return found


def _caps(max_time: str | None, max_cost: float | None, optimize: str | None) -> dict[str, Any]:
    try:
        seconds = None if max_time is None else float(parse_duration(max_time, "--max-time"))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    least = optimize or ("time" if max_cost is not None and max_time is None else "cost")
    return {"max_time": seconds, "max_cost": max_cost, "optimize": least}


def _tell(found: Prediction, *, drawn: bool = True) -> None:
    best, unit = found.chosen, found.currency
    click.echo(f"{best.cpu:g} cores, {short_size(best.mem)}")
    click.echo(f"time  {best.seconds:.4g} s ({best.low:.3g} to {best.high:.3g} s)")
    click.echo(f"cost  {unit}{best.cost:.4g} ({unit}{best.cost_low:.3g} to {unit}{best.cost_high:.3g})")
    if drawn:
        click.echo()
        possible = [one for one in found.allocations if one.obstacle is None]
        marks = ["@" if one == best else "*" if one.frontier else "." for one in possible]
        points = [(one.seconds, one.cost, mark) for one, mark in zip(possible, marks, strict=True)]
        for line in plot(points, "seconds", f"cost in {unit}"):
            click.echo(line)
        click.echo("@ chosen   * no other is both faster and cheaper   . others")
        click.echo()
        for one in found.allocations:
            said = one.obstacle or f"{one.seconds:>10.4g} s  {unit}{one.cost:.4g}"
            click.echo(f"{one.cpu:>6g} cores {short_size(one.mem):>8}  {said}{'  <- chosen' if one == best else ''}")
    for warning in found.warnings:
        note(f"warning: {harmless(warning)}")


def _told(found: TemplateDetail) -> list[str]:
    lines = [f"command  {' '.join(found.command)}"]
    if found.detail:
        lines.append(f"detail   {found.detail}")
    lines.append(f"cost so far {found.currency}{found.spent:.4g}")
    if found.model is not None:
        lines.append(f"model of {found.model.samples} runs, off by about {found.model.error:.0%}:")
        lines += [f"  {term.name:<20} power {term.power:+.3f}" for term in found.model.terms]
        lines += [f"  warning: {warning}" for warning in found.model.warnings]
    for run in found.profiling[:MOST_SHOWN]:
        wanted = " ".join(f"{name}={value}" for name, value in run.parameters.items())
        took = f"{run.seconds:.3g} s" if run.seconds is not None else ""
        said = " ".join(part for part in (run.state, took, run.reason or "") if part)
        lines.append(f"run {run.position:<3} {run.cpu:g} cores {short_size(run.mem)} {wanted}: {said}")
    for job in found.submitted:
        took = "" if job.actual_seconds is None else f", took {job.actual_seconds:.3g} s"
        lines.append(f"job {job.job_number} {job.state.lower()}: predicted {job.seconds:.3g} s{took}")
    return lines
