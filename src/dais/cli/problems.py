"""Failures in words: one line that says what is wrong, one that says what to do next; and the exit code."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dais.sdk.profiles import Access

FAILED, MISUSED, PLATFORM = 1, 2, 125
"""Exit codes: it failed; the command line was wrong; the platform failed where a job's code would be returned."""


def explain(error: Exception, *, failed: int = FAILED) -> int:
    """Print an error for people, on stderr; the exit code that goes with it."""
    if os.environ.get("DAIS_DEBUG"):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, click.UsageError):
        return _misuse(error)
    if isinstance(error, click.ClickException):
        complain(error.format_message())
        return error.exit_code
    message, hint = _words(error)
    complain(message, hint)
    return failed


def complain(message: str, hint: str | None = None) -> None:
    """The two lines, on stderr. Text that came from elsewhere cannot steer the terminal."""
    click.echo(f"{click.style('error:', fg='red', bold=True)} {harmless(message)}", err=True)
    if hint:
        click.echo(f"       {harmless(hint)}", err=True)


def harmless(text: str) -> str:
    """The text with control characters written out; newlines stay."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def _misuse(error: click.UsageError) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return MISUSED
    where = error.ctx.command_path if error.ctx else "dais"
    complain(error.format_message().rstrip("."), f"see `{where} --help`")
    return MISUSED


def _words(error: Exception) -> tuple[str, str | None]:
    from dais.sdk.errors import DaisError, Unauthenticated
    from dais.wire.problems import SpecError

    if isinstance(error, Unauthenticated):
        return error.message, error.hint or "run `dais up` here, or `dais login URL`"
    if isinstance(error, DaisError):
        return error.message, error.hint
    if isinstance(error, SpecError):
        return str(error), error.hint
    if isinstance(error, OSError) and error.filename and "/.dais-" in (name := os.fsdecode(error.filename)):
        return f"nothing can be written into {name.rpartition('/.dais-')[0]}: {error.strerror}", None
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"there is no file {os.fsdecode(error.filename)!r}", None
    if isinstance(error, OSError):
        name = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return f"{name}{error.strerror or error}", None
    lines = str(error).strip().splitlines() or [""]
    return (
        f"{type(error).__name__}: {lines[0]}",
        None if "DAIS_DEBUG" in os.environ else "this is a fault of Dais itself; DAIS_DEBUG=1 shows where",
    )


def about_token(access: Access) -> str:
    """Where the refused token came from and what to do, or where to put one."""
    from dais.sdk.profiles import ENVIRONMENT, get_profile

    name = f" --profile {access.profile}" if access.profile else ""
    where = f"the server is {access.url}, from {access.url_origin}"
    if access.token is None:
        return f"no token was found: `dais login {access.url}` gets one, or set DAIS_TOKEN ({where})"
    came = f"the refused token came from {access.token_origin}"
    if access.token_origin.startswith(ENVIRONMENT):
        variable = access.token_origin.rpartition(" ")[2]
        own = get_profile(access.profile).token if access.profile else None
        if own and own != access.token:
            return f"{came}, which wins over profile {access.profile!r}: `unset {variable}` to use that one ({where})"
        return f"{came}: set it anew, or `unset {variable}` and run `dais login {access.url}` ({where})"
    return f"{came}: `dais login {access.url}{name}` gets another ({where})"
