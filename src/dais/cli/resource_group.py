"""`dais attach`, `dais detach`, `dais group`: resource groups, and the engines behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from dais.cli.base import LazyGroup, connected, leave, note
from dais.cli.findings import show_findings
from dais.cli.output import Output, with_output, with_output_of
from dais.wire.groups import EngineCheck, Group

if TYPE_CHECKING:
    from dais.sdk.client import Client

COLUMNS = ("name", "engine", "state", "nodes", "free_cpu", "cpu", "free_mem", "mem", "free_gpu", "gpu", "waiting",
           "running")  # fmt: skip
UNUSABLE = 1
"""Exit code when the engine cannot be attached as it is."""

option_pairs = click.option(
    "-o",
    "--option",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another option of the engine (docs/engines.md); may be given several times.",
)


@click.command("attach")
@click.argument("engine", metavar="docker|podman|slurm")
@click.option("--name", metavar="NAME", help="What the group is called. [default: the engine's name]")
@click.option("--socket", metavar="PATH", help="The daemon's socket; found by itself where it is the usual one.")
@click.option("--partition", metavar="NAME", help="The partition of Slurm. [default: Slurm's default]")
@click.option("--lookahead", type=int, metavar="N", help="Jobs that may wait inside Slurm. [default: one per node]")
@click.option("--default-image", metavar="IMAGE", help="What jobs start from that name no image.")
@option_pairs
@click.option("--check", "only_check", is_flag=True, help="Tell what is found and what is missing, and change nothing.")
@with_output
@connected
def attach(
    client: Client,
    output: Output,
    engine: str,
    name: str | None,
    socket: str | None,
    partition: str | None,
    lookahead: int | None,
    default_image: str | None,
    pairs: tuple[str, ...],
    only_check: bool,
) -> None:
    """Add a resource group: containers by Docker or Podman, or the machines of a Slurm cluster (administrators).

    It is checked first; what is missing is told with what mends it, and the exit code is 1.

    \b
    Examples:
      dais attach docker --check
      dais attach docker --default-image debian:12
      dais attach podman --name rootless --socket /run/user/1000/podman/podman.sock
      dais attach slurm --name cluster --partition gpu --lookahead 4
    """
    options = _options(pairs, {"socket": socket, "partition": partition, "lookahead": lookahead})
    checked = client.groups.check(engine, name=name, options=options, default_image=default_image)
    if only_check or not checked.sound:
        _tell(output, checked)
        if not checked.sound:
            leave(UNUSABLE)
        return
    if output.for_people:
        show_findings([one for one in checked.findings if not one.ok])
    output.one(client.groups.attach(engine, name=name, options=options, default_image=default_image), COLUMNS)


gone = click.option(
    "--lost", is_flag=True, help="Its engine does not come back: jobs that run there are lost, waiting ones cancelled."
)


@click.command("detach")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@gone
@connected
def detach(client: Client, names: tuple[str, ...], lost: bool) -> None:
    """Forget resource groups (administrators); refused while a job of theirs has not ended.

    \b
    Examples:
      dais detach docker
      dais detach docker --lost
    """
    for name in names:
        client.groups.rm(name, lost=lost)


@click.group("group", cls=LazyGroup)
def group() -> None:
    """List, show and change resource groups: pools of machines, each with its engine.

    \b
    Examples:
      dais group ls
      dais group set docker --default-image debian:12
    """


@group.command()
@with_output_of(Group)
@connected
def ls(client: Client, output: Output) -> None:
    """List the groups, with what is free in them and how many jobs wait and run there.

    \b
    Examples:
      dais group ls
      dais group ls --fields name,state,problem
    """
    found = list(client.groups.list())
    output.many(Group, found, COLUMNS)
    if output.for_people:
        for one in found:
            if one.problem:
                note(f"warning: group {one.name} starts nothing now: {one.problem}; what is free is as last known")


@group.command()
@click.argument("name", metavar="NAME")
@with_output_of(Group)
@connected
def get(client: Client, output: Output, name: str) -> None:
    """Show a group; administrators see what its engine was told.

    \b
    Example:
      dais group get docker
    """
    output.one(client.groups.get(name), (*COLUMNS, "others_cpu", "others_mem", "problem", "default_image", "options"))


@group.command("set")
@click.argument("name", metavar="NAME")
@click.option("--default-image", metavar="IMAGE", help='What jobs start from that name no image; "" for none.')
@click.option("--lookahead", type=int, metavar="N", help="Jobs that may wait inside Slurm.")
@option_pairs
@with_output
@connected
def set_(
    client: Client,
    output: Output,
    name: str,
    default_image: str | None,
    lookahead: int | None,
    pairs: tuple[str, ...],
) -> None:
    """Change a group (administrators). An option without a value is as by default again; jobs that run go on.

    \b
    Examples:
      dais group set docker --default-image debian:12
      dais group set cluster --lookahead 8
      dais group set cluster --option partition=
    """
    options = {name: value if value != "" else None for name, value in _options(pairs, {}).items()}
    if lookahead is not None:
        options["lookahead"] = lookahead
    changed = client.groups.set(name, default_image=default_image, options=options or None)
    output.one(changed, (*COLUMNS, "default_image", "options"))


@group.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@gone
@connected
def rm(client: Client, names: tuple[str, ...], lost: bool) -> None:
    """Forget groups: the same as `dais detach`.

    \b
    Example:
      dais group rm docker
    """
    for name in names:
        client.groups.rm(name, lost=lost)


def _options(pairs: Sequence[str], named: dict[str, Any]) -> dict[str, Any]:
    """What the command line says of the engine. Raises UsageError."""
    options = {name: value for name, value in named.items() if value is not None}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--option takes NAME=VALUE, not {pair!r}")
        name = name.replace("-", "_")
        if name in options:
            raise click.UsageError(f"the option {name} is given twice")
        options[name] = value
    return options


def _tell(output: Output, checked: EngineCheck) -> None:
    if not output.for_people:
        output.one(checked, ("engine", "sound"))
        return
    show_findings(checked.findings)
    if checked.sound:
        click.echo(f"\n{click.style('✓', fg='green')} {checked.engine} can be attached as {checked.name}")
    else:
        bad = sum(one.needed and not one.ok for one in checked.findings)
        click.echo(click.style(f"\n✕ {bad} thing{'s' if bad > 1 else ''} to see to first", fg="red"))
