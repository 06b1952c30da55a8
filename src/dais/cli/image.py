"""`dais image`: what jobs start from."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dais.cli.base import LazyGroup, connected, note
from dais.cli.output import Output, with_output, with_output_of
from dais.wire.answers import Image

if TYPE_CHECKING:
    from dais.cli.progress import Show
    from dais.sdk.client import Client

COLUMNS = ("name", "group", "account", "reference", "state", "size", "path")
DETAILS = (
    "name", "group", "kind", "account", "reference", "digest", "state", "problem", "architecture", "system", "python",
    "size", "least_cpu", "least_mem", "ports", "aliases", "labels", "path",
)  # fmt: skip

in_group = click.option("--group", metavar="GROUP", help="The resource group. [default: the only one with images]")
for_all = click.option("--installation", is_flag=True, help="For everybody (administrators), not for your account.")
labelled = click.option("--label", "labels", metavar="NAME=VALUE", multiple=True, help="A label; may be repeated.")


@click.group(cls=LazyGroup)
def image() -> None:
    """List, fetch, build and share the images that jobs start from.

    In a group of Docker's or Podman's an image comes from a registry, or is built here. In the others it is a directory
    of the machine with a root file system in it, which administrators register.

    \b
    Examples:
      dais image add python:3.12
      dais run --group docker --image python:3.12 -- python -V
      dais image build mine .
      dais image add debian /srv/images/debian
    """


@image.command()
@click.argument("name", metavar="[NAME]")
@click.argument("what", metavar="REFERENCE|DIRECTORY", required=False)
@in_group
@for_all
@with_output
@connected
def add(client: Client, output: Output, name: str, what: str | None, group: str | None, installation: bool) -> None:
    """Put an image into the catalogue: a reference, or a root directory of the server's machine (administrators).

    A reference is not fetched by this: the first job does so, or `dais image pull`. A directory must be root's or the
    operator's, written by nobody else, and have a shell or a Python. Nothing is copied.

    \b
    Examples:
      dais image add python:3.12
      dais image add torch hub.lab:5000/ml/torch:2.3 --installation
      dais image add debian /srv/images/debian
    """
    called, wanted = (None, name) if what is None else (name, what)
    if wanted.startswith("/") or "://" in wanted:
        if called is None:
            raise click.UsageError("a directory needs a name: dais image add NAME DIRECTORY")
        made = client.images.add(called, wanted, group=group)
    else:
        made = client.images.add(called, reference=wanted, group=group, installation=installation)
    output.one(made, DETAILS)


@image.command()
@with_output_of(Image)
@connected
def ls(client: Client, output: Output) -> None:
    """List the images.

    \b
    Examples:
      dais image ls
      dais image ls --fields name,reference,state,problem
    """
    output.many(Image, client.images.list(), COLUMNS)


@image.command()
@click.argument("name", metavar="NAME")
@in_group
@with_output_of(Image)
@connected
def get(client: Client, output: Output, name: str, group: str | None) -> None:
    """Show an image, by its name or alias: what its labels say, whether it is there, and why not.

    \b
    Example:
      dais image get python-3.12
    """
    output.one(client.images.get(name, group=group), DETAILS)


@image.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@in_group
@click.option("--from-store", is_flag=True, help="Let the engine remove it, too.")
@connected
def rm(client: Client, names: tuple[str, ...], group: str | None, from_store: bool) -> None:
    """Forget images. Directories stay as they are, and engines keep what they have unless told.

    \b
    Examples:
      dais image rm debian
      dais image rm mine --from-store
    """
    for name in names:
        client.images.rm(name, group=group, from_store=from_store)


@image.command()
@click.argument("name", metavar="NAME")
@in_group
@with_output
@connected
def pull(client: Client, output: Output, name: str, group: str | None) -> None:
    """Fetch an image to the nodes of its group, before a job needs it, or anew.

    \b
    Example:
      dais image pull python-3.12
    """
    from dais.cli.progress import bar

    with bar("fetching", output.for_people) as show:
        found = client.images.pull(name, group=group, progress=_shown(show))
    _end(output, found)


@image.command()
@in_group
@with_output
@connected
def rescan(client: Client, output: Output, group: str | None) -> None:
    """Look what the engine has (administrators): new images become everybody's, those that are gone are said to be.

    \b
    Example:
      dais image rescan --group docker
    """
    output.one(client.images.rescan(group=group), ("new", "seen", "gone"))


@image.command()
@click.argument("name", metavar="NAME")
@click.argument("directory", metavar="[DIRECTORY]", default=".", type=click.Path(file_okay=False))
@click.option("-f", "--file", "dockerfile", metavar="FILE", default="Dockerfile", help="The Dockerfile in it.")
@click.option("--build-arg", "arguments", metavar="NAME=VALUE", multiple=True, help="A build argument.")
@click.option("--secret", "secrets", metavar="NAME", multiple=True, help="A secret of the account for RUN --mount.")
@click.option("--no-cache", is_flag=True, help="Do not use layers that were built before.")
@click.option("--replace", is_flag=True, help="In place of an image of this name that was built before.")
@click.option("--time", "seconds", metavar="SECONDS", type=click.IntRange(1, 86_400), default=3600, help="The limit.")
@click.option("--yes", is_flag=True, help="Send a large directory without a question.")
@click.option("-d", "--detach", is_flag=True, help="Do not follow the build.")
@labelled
@in_group
@for_all
@with_output
@connected
def build(
    client: Client,
    output: Output,
    name: str,
    directory: str,
    dockerfile: str,
    arguments: tuple[str, ...],
    secrets: tuple[str, ...],
    no_cache: bool,
    replace: bool,
    seconds: int,
    yes: bool,
    detach: bool,
    labels: tuple[str, ...],
    group: str | None,
    installation: bool,
) -> None:
    """Build an image from a Dockerfile and the files of a directory, and show what it prints.

    The files are sent as for `dais run`; `.dockerignore` applies beside `.gitignore` and `.daisignore`.

    \b
    Examples:
      dais image build mine
      dais image build mine . --file ci/Dockerfile --build-arg VERSION=3.12
      dais image build mine . --secret PIP_TOKEN --replace
    """
    from dais.cli.sources import capture_with_progress

    made = client.images.build(
        name,
        capture_with_progress(client, Path(directory), yes),
        dockerfile=dockerfile,
        group=group,
        installation=installation,
        arguments=_pairs(arguments, "--build-arg"),
        labels=_pairs(labels, "--label"),
        secrets=secrets,
        cache=not no_cache,
        replace=replace,
        time=seconds,
    )
    if detach:
        output.one(made, DETAILS)
        return
    for piece in client.images.log(made.id or name, group=made.group):
        sys.stderr.write(piece)
    _end(output, client.images.wait(made.id or name, group=made.group))


@image.command()
@click.argument("name", metavar="NAME")
@click.option("-f", "--follow", is_flag=True, help="Until the build has ended.")
@in_group
@connected
def log(client: Client, name: str, follow: bool, group: str | None) -> None:
    """Show what a build printed.

    \b
    Example:
      dais image log mine -f
    """
    for piece in client.images.log(name, group=group, follow=follow):
        sys.stdout.write(piece)


@image.command()
@click.argument("job", metavar="JOB")
@click.argument("name", metavar="NAME")
@labelled
@with_output
@connected
def commit(client: Client, output: Output, job: str, name: str, labels: tuple[str, ...]) -> None:
    """Make an image of what a running job has written.

    What is mounted in it is not in the image: neither the working directory nor folders, nor its secrets.

    \b
    Example:
      dais image commit my-job tuned
    """
    made = client.images.commit(job, name, labels=_pairs(labels, "--label"))
    _end(output, client.images.wait(made.id or name, group=made.group))


@image.command("import")
@click.argument("source", metavar="IMAGE")
@click.argument("name", metavar="NAME")
@labelled
@in_group
@for_all
@with_output
@connected
def import_(
    client: Client,
    output: Output,
    source: str,
    name: str,
    labels: tuple[str, ...],
    group: str | None,
    installation: bool,
) -> None:
    """Make an image with more labels of one in the catalogue: what it needs, its services, its runtime.

    \b
    Example:
      dais image import julia-1.10 julia --label ai.backend.resource.min.mem=2g
    """
    told = _pairs(labels, "--label")
    made = client.images.import_(source, name, labels=told, group=group, installation=installation)
    _end(output, client.images.wait(made.id or name, group=made.group))


@image.group(cls=LazyGroup)
def alias() -> None:
    """Give images other names, and take them away.

    \b
    Examples:
      dais image alias add python-3.12 python
      dais image alias ls
    """


@alias.command("add")
@click.argument("name", metavar="NAME")
@click.argument("other", metavar="ALIAS")
@in_group
@connected
def alias_add(client: Client, name: str, other: str, group: str | None) -> None:
    """Let jobs call an image by another name, too.

    \b
    Example:
      dais image alias add python-3.12 python
    """
    client.images.add_alias(name, other, group=group)


@alias.command("ls")
@with_output_of(Image)
@connected
def alias_ls(client: Client, output: Output) -> None:
    """List the images that have other names.

    \b
    Example:
      dais image alias ls
    """
    output.many(Image, [one for one in client.images.list() if one.aliases], ("aliases", "name", "group", "account"))


@alias.command("rm")
@click.argument("name", metavar="NAME")
@click.argument("other", metavar="ALIAS")
@in_group
@connected
def alias_rm(client: Client, name: str, other: str, group: str | None) -> None:
    """Take another name away.

    \b
    Example:
      dais image alias rm python-3.12 python
    """
    client.images.rm_alias(name, other, group=group)


def _shown(show: Show | None) -> Callable[[Image], None] | None:
    if show is None:
        return None

    def tell(found: Image) -> None:
        step = found.progress
        if step is not None:
            show(step.done or 0, step.total or 0, step.text or "")

    return tell


def _end(output: Output, found: Image) -> None:
    """Say how it ended; what failed ends the command with 1."""
    if output.for_people and found.state == "there":
        note(f"{found.name} is there")
    elif not output.for_people:
        output.one(found, DETAILS)
    if found.state != "there":
        raise click.ClickException(f"{found.name}: {found.problem or found.state}")


def _pairs(given: tuple[str, ...], option: str) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"{option} {text!r}: write NAME=VALUE")
        found[name] = value
    return found
