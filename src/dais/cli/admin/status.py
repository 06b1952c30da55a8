"""`dais status`."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from dais.cli.admin.place import answers, data_dir_of, data_dir_option, problems_of
from dais.sdk.installation import Installation, find_installation

NOT_RUNNING = 3
"""Exit code when no server runs there, as service managers use it."""


@click.command("status")
@data_dir_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: state, pid, url, version, data_dir.")
def status(data_dir: Path | None, as_json: bool) -> int:
    """Tell whether Dais runs on this machine, and where.

    The exit code is 0 when it runs and answers, else 3. The state is running, starting, unresponsive or stopped; of a
    server that runs it also says what keeps it from its work, as a database that takes no writes.

    \b
    Examples:
      dais status
      dais status --json
    """
    found = find_installation(data_dir_of(data_dir))
    if found.state == "running" and found.url is not None and not answers(found.url):
        found = msgspec.structs.replace(found, state="unresponsive")
    elif found.state == "running" and found.url is not None:
        problems, away = problems_of(found.url)
        found = msgspec.structs.replace(found, problems=problems, away=away)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        click.echo(_words(found))
    return 0 if found.state == "running" else NOT_RUNNING


def _words(found: Installation) -> str:
    if found.state == "running":
        lines = [f"Dais {found.version} runs at {found.url} (pid {found.pid})", f"data directory {found.data_dir}"]
        lines += [f"not ready: {words}" for words in found.problems]
        lines += [f"group {name} starts nothing now: `dais group get {name}` says why" for name in found.away]
        return "\n".join(lines)
    if found.state == "starting":
        return f"Dais is starting or stopping on {found.data_dir} (pid {found.pid or 'unknown'})"
    if found.state == "unresponsive":
        return (
            f"Dais {found.version} runs (pid {found.pid}) and does not answer at {found.url}; its log is "
            f"{found.data_dir}/server.log\nIts jobs go on without it: `kill -9 {found.pid}`, then `dais up`"
        )
    how = "; the last server ended without tidying up (its jobs go on)" if found.stale else ""
    return f"Dais does not run on {found.data_dir}{how}\nstart it with `dais up`"
