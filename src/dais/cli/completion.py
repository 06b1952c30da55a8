"""`dais completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the shell's completion script.

    \b
    Examples:
      dais completion bash > ~/.local/share/bash-completion/completions/dais
      dais completion zsh > ~/.zfunc/_dais
      dais completion fish > ~/.config/fish/completions/dais.fish
    """
    from dais.cli.program import cli

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "dais", "_DAIS_COMPLETE").source())
