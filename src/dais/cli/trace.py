"""`dais trace`: what led to something, and what came of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from dais.cli.base import LazyGroup, connected, note
from dais.cli.output import Output, with_output_of
from dais.cli.problems import harmless
from dais.wire.lineage import DEFAULT_DEPTH, DEFAULT_NODES, MAX_DEPTH, MAX_NODES, Trace, TraceNode
from dais.wire.units import short_size

if TYPE_CHECKING:
    from dais.sdk.client import Client


@click.group(cls=LazyGroup)
def trace() -> None:
    """Tell what led to a version of a file set or a file, and what came of it.

    Every file set knows what made it: a job with all that it ran and was given, or an upload. What you may not see is
    told as hidden.

    \b
    Examples:
      dais trace backward model:3         what was it made of, and how?
      dais trace forward texts:1          what has been made of it?
    """


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    click.argument("name", metavar="NAME[:VERSION]")(command)
    click.option(
        "--depth",
        type=click.IntRange(1, MAX_DEPTH),
        default=DEFAULT_DEPTH,
        show_default=True,
        help="At most so many steps away.",
    )(command)
    click.option(
        "--limit",
        "-n",
        type=click.IntRange(1, MAX_NODES),
        default=DEFAULT_NODES,
        show_default=True,
        help="At most so many parts.",
    )(command)
    return command


@trace.command("forward")
@_options
@with_output_of(Trace)
@connected
def trace_forward(client: Client, output: Output, name: str, depth: int, limit: int) -> None:
    """Tell what came of a version of a file set, of a file (/path), or of a job (job:12).

    \b
    Examples:
      dais trace forward texts:1
      dais trace forward /corpus/a.txt:2 --json
    """
    _tell(output, name, client.lineage.forward, depth, limit)


@trace.command("backward")
@_options
@with_output_of(Trace)
@connected
def trace_backward(client: Client, output: Output, name: str, depth: int, limit: int) -> None:
    """Tell what a version of a file set, of a file (/path), or a job (job:12) came of.

    \b
    Examples:
      dais trace backward model
      dais trace backward model:3 --depth 1
    """
    _tell(output, name, client.lineage.backward, depth, limit)


def _tell(output: Output, name: str, ask: Callable[..., Trace], depth: int, limit: int) -> None:
    from dais.sdk.errors import NotFound

    try:
        found = ask(name, depth=depth, limit=limit)
    except NotFound as error:
        if name.isdigit():
            error.hint = f"job {name} is written job:{name}"
        raise
    if not output.for_people:
        output.one(found, ())
        return
    for line in tree(found):
        click.echo(harmless(line))
    if found.truncated:
        note("there is more; ask with a larger --depth or --limit")


def tree(found: Trace) -> Iterator[str]:
    """The graph as a tree; what hangs in it more than once is shown once with all that hangs below it."""
    nodes = {node.id: node for node in found.nodes}
    codes = {edge.source for edge in found.edges if edge.kind == "code"}
    next_to: dict[str, list[str]] = defaultdict(list)
    for edge in found.edges:
        here, there = (edge.source, edge.target) if found.direction == "forward" else (edge.target, edge.source)
        next_to[here].append(there)
    seen: set[str] = set()
    waiting = [(node.id, "", "") for node in reversed([node for node in found.nodes if node.depth == 0])]
    while waiting:
        one, before, below = waiting.pop()
        again = one in seen and next_to[one]
        yield f"{before}{'code ' if one in codes else ''}{_line(nodes[one])}{'  (as above)' if again else ''}"
        if again:
            continue
        seen.add(one)
        for last, there in enumerate(reversed(next_to[one])):
            waiting.append((there, f"{below}{'├── ' if last else '└── '}", f"{below}{'│   ' if last else '    '}"))


def _line(node: TraceNode) -> str:
    if node.hidden:
        return f"{node.kind} (hidden: you may not see it)"
    if node.kind == "upload":
        return f"uploaded by {node.by} {node.at}"
    if node.kind == "job":
        command = node.facts.get("command") or ()
        words = command if isinstance(command, str) else " ".join(str(word) for word in command)
        return f"job {node.name} run {node.run}  {words[:100]}".rstrip()
    if node.removed:
        return f"{node.name} (removed)"
    files = f"{node.files:,} {'file' if node.files == 1 else 'files'}, " if node.files is not None else ""
    return f"{node.name}  {files}{short_size(node.size or 0)}"
