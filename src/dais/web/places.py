"""Where folders and what is in them have their pages, how their names are shown, and what a terminal does with them."""

from __future__ import annotations

import shlex
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from markupsafe import Markup

from dais.data import Folder
from dais.kit.clock import to_rfc3339
from dais.web.ansi import visible
from dais.web.view import place
from dais.wire import answers


class Spot(Protocol):
    """A path in a folder."""

    @property
    def folder(self) -> Folder: ...

    @property
    def path(self) -> str: ...

    @property
    def name(self) -> str: ...


def folder_address(folder: Folder, path: str = "") -> str:
    """The address of a path in a folder."""
    base = f"{place(folder.account)}/folders/{quote(folder.name)}"
    return f"{base}/{quote(path)}" if path else base


def image_address(image: answers.Image, act: str = "") -> str:
    """Where an image has its page, or what is done with it."""
    path = quote(image.id or image.name, safe="")
    return f"/images/{path}{f'/{act}' if act else ''}?{urlencode({'group': image.group})}"


def named(name: str) -> str:
    """A name that users chose, on one line, with what cannot be seen made visible."""
    text: str = visible(name)
    return text.replace("\n", "↵")


def last_name(path: str) -> str:
    return path.rpartition("/")[2]


def push_line(spot: Spot) -> str:
    """The command that fills a directory from one of the same name."""
    target = f":{spot.path}" if spot.path else ""
    return shlex.join(["dais", "folder", "push", spot.folder.full_name, f"./{spot.name}{target}"])


def pull_line(spot: Spot) -> str:
    """The command that fetches a directory or a file."""
    path = [f"./{spot.path}" if spot.path.startswith("-") else spot.path] if spot.path else []
    return shlex.join(["dais", "folder", "pull", spot.folder.full_name, *path, f"./{spot.name}"])


def remove_line(spot: Spot) -> str:
    """The command that removes a folder or what is at a path of it."""
    if not spot.path:
        return shlex.join(["dais", "folder", "rm", spot.folder.full_name])
    path = f"./{spot.path}" if spot.path.startswith("-") else spot.path
    return shlex.join(["dais", "folder", "content", "rm", spot.folder.full_name, path, "--recursive"])


def sorted_by(order: str, column: str) -> Markup:
    """The attribute of a header that says whether a list is sorted by it."""
    if order.lstrip("-") != column:
        return Markup("")
    return Markup(' aria-sort="descending"') if order.startswith("-") else Markup(' aria-sort="ascending"')


filters: dict[str, Any] = {
    "folder_address": folder_address,
    "image_address": image_address,
    "instant": to_rfc3339,
    "last_name": last_name,
    "named": named,
    "pairs": lambda values: [(value, value) for value in values],
    "pull_line": pull_line,
    "push_line": push_line,
    "remove_line": remove_line,
    "sorted_by": sorted_by,
}
