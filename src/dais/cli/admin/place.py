"""What the operator's commands share: the data directory, and whether its server answers."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import click
import msgspec

from dais.sdk.installation import default_data_dir

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where this installation keeps everything (DAIS_DATA_DIR; default: the user's data directory for dais, "
    "for root /var/lib/dais).",
)

config_option = click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE", help="The dais.toml with the settings (DAIS_CONFIG)."
)

HEALTH_SECONDS = 5.0


def data_dir_of(given: Path | None) -> Path:
    """The data directory that is meant, as an absolute path."""
    return given.expanduser().absolute() if given is not None else default_data_dir()


def platform_missing(error: ModuleNotFoundError) -> NoReturn:
    """Says which extra a command of the platform needs. Raises ClickException, or the error when it is our defect."""
    if error.name is None or (error.name.partition(".")[0] == "dais" and error.name != "dais.app"):
        raise error
    raise click.ClickException(
        f"only the client is installed here ({error.name} is missing); the platform is the extra "
        "dais-platform[server]: say pip install '.[server]' in a clone"
    ) from error


def answers(url: str, seconds: float = HEALTH_SECONDS) -> bool:
    """Whether the server at `url` says that it is well. No proxy is asked: it is this machine's own."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "localhost", place.port, timeout=seconds)
    try:
        connection.request("GET", "/v1/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def problems_of(url: str, seconds: float = HEALTH_SECONDS) -> tuple[list[str], list[str]]:
    """Why the server at `url` cannot do its work now, and the attached groups whose engine is away.

    Nothing when it can, or is too old to say.
    """
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "localhost", place.port, timeout=seconds)
    try:
        connection.request("GET", "/v1/ready")
        answer = connection.getresponse()
        told = msgspec.json.decode(answer.read())
        if answer.status == 200:
            return [], list(told.get("away", ()))
        checks = told["fields"]["checks"] if answer.status == 503 else {}
        return [f"{name}: {words}" for name, words in checks.items() if words != "ok"], []
    except (OSError, http.client.HTTPException, msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return [], []
    finally:
        connection.close()


@contextmanager
def platform() -> Iterator[None]:
    """Around the use of the platform itself: what is missing or fails there is told in words. Raises ClickException."""
    try:
        yield
    except ModuleNotFoundError as error:
        platform_missing(error)
    except Exception as error:
        if "dais.app" in sys.modules and isinstance(error, sys.modules["dais.app"].DaisError):
            raise click.ClickException(str(error)) from error
        raise


def print_json(value: Any) -> None:
    """One JSON document for programs."""
    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())
