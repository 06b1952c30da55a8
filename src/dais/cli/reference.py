"""`python -m dais.cli.reference` prints docs/cli.md: every command with its help, always the same."""

from __future__ import annotations

from collections.abc import Iterator

import click

WIDTH = 100

HEAD = """# The commands

This page is made by `python -m dais.cli.reference` from the commands' own help; a test fails when it is stale.

Commands that print things take `--json` (one document), `--format text|table|json|csv` (json is one object per
line), `--field X` (that value alone), `--fields a,b,runs.exitCode` (in camelCase or snake_case) and `--no-header`.
Exit codes: 0 done, 1 failed, 2 the command line is wrong, 125 the platform failed where a job's or a command's own
code would be returned, 130 interrupted.
"""


def reference() -> str:
    """The page."""
    from dais.cli.program import cli

    parts = [HEAD]
    for path, command, alias_of in _walk(cli, click.Context(cli, info_name="dais", max_content_width=WIDTH)):
        if alias_of:
            parts.append(f"## {path}\n\nThe same as `dais {alias_of}`{_below(path, command)}.\n")
        else:
            context = _context(path, command)
            parts.append(f"## {path}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def _walk(group: click.Group, context: click.Context, prefix: str = "dais") -> Iterator[tuple[str, click.Command, str]]:
    """Every command below a group, with its path; of an alias, the name that it stands for."""
    yield prefix, group, ""
    entries = getattr(group, "entries", {})
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        path = f"{prefix} {name}"
        if name in entries and entries[name].alias_of:
            yield path, command, f"{prefix} {entries[name].alias_of}".removeprefix("dais ")
        elif isinstance(command, click.Group):
            yield from _walk(command, click.Context(command, info_name=name, parent=context), path)
        else:
            yield path, command, ""


def _below(path: str, command: click.Command) -> str:
    """The commands that an alias of a group has too."""
    if not isinstance(command, click.Group):
        return ""
    names: list[str] = []
    for name in command.list_commands(click.Context(command)):
        child = command.get_command(click.Context(command), name)
        deeper = _below(f"{path} {name}", child) if child is not None else ""
        names.append(deeper.removeprefix(": ") or f"`{path} {name}`")
    return f": {', '.join(names)}"


def _context(path: str, command: click.Command) -> click.Context:
    context: click.Context | None = None
    for name in path.split()[:-1]:
        context = click.Context(click.Command(name), info_name=name, parent=context, terminal_width=WIDTH)
    return click.Context(command, info_name=path.split()[-1], parent=context, terminal_width=WIDTH)


if __name__ == "__main__":
    print(reference(), end="")  # noqa: T201
