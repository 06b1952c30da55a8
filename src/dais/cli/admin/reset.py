"""`dais admin reset`."""

from __future__ import annotations

from pathlib import Path

import click

from dais.cli.admin.place import config_option, data_dir_of, data_dir_option, platform, print_json
from dais.cli.base import note
from dais.sdk.installation import read_info


@click.command("reset")
@click.argument("user", metavar="USER")
@click.option("--password", is_flag=True, help="Their password is good no more, too: the link leads to a new one.")
@data_dir_option
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: the user and the link.")
def reset(user: str, password: bool, data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Let somebody back in who has lost what they sign in with.

    From the machine itself: takes their second factors and their lock-out away, signs them out everywhere, and prints a
    link that signs them in once. Only root, or whom the installation belongs to, can do this; the audit log tells it.

    \b
    Examples:
      dais admin reset joe@example.org
      dais admin reset acme.joe --password
    """
    directory = data_dir_of(data_dir)
    info = read_info(directory)
    with platform():
        from dais.app.reset import reset as apply

        done = apply(directory, user, config, password=password)
    name = f"{done.user.organization}.{done.user.name}"
    link = f"{info.url}{done.path}" if info is not None else done.path
    if as_json:
        print_json({"user": name, "id": done.user.id, "link": link})
        return
    click.echo(link)
    what = "leads to a new password" if password else "signs in"
    where = "" if info is not None else "; put the address of the server before it"
    note(
        f"{name} has no second factor and no lock-out any more; the link {what}, once, within "
        f"{30 if password else 15} minutes{where}"
    )
