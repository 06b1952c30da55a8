"""What a job of a mapped Unix user is given: copied by its supervisor, which is that user, so that it is its own.

The server has laid it down in `given`, and cannot give files away. It cannot remove what is the user's, either: that is
done here, at the end; and where a supervisor died before, by the next one of the same user, which finds it in `trash`.
"""

from __future__ import annotations

import os
import shutil

from dais.node.allocation import GIVEN, OWN, TRASH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def take_up(directory: str, shared: str, mapped: dict[str, Any], document: dict[str, Any]) -> None:
    """Make the job's own what the server gives it. Raises OSError."""
    empty(f"{shared}/{TRASH}")
    document["user"] = mapped["user"]
    shutil.rmtree(f"{directory}/{OWN}", ignore_errors=True)
    os.mkdir(f"{directory}/{OWN}", 0o700)
    for number in mapped["own"]:
        copy(f"{directory}/{GIVEN}/{int(number)}", f"{directory}/{OWN}/{int(number)}")


def copy(source: str, target: str) -> None:
    """A file or a tree, with modes by which whoever gets it may read and enter. Links stay links. Raises OSError."""
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
    elif os.path.isdir(source):
        shutil.copytree(source, target, symlinks=True, copy_function=copy)
        for place, _, _ in os.walk(target):
            os.chmod(place, 0o755)  # noqa: S103 - what is around it is closed
    else:
        shutil.copyfile(source, target)
        os.chmod(target, 0o755 if os.access(source, os.X_OK) else 0o644)


def put_away(directory: str) -> None:
    """Remove what the job has had of its own."""
    empty(f"{directory}/{OWN}")


def empty(directory: str) -> None:
    """Remove what is in a directory, also what was closed to its own user. What cannot be removed stays."""
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        shutil.rmtree(f"{directory}/{name}", ignore_errors=True)
        if os.path.isdir(f"{directory}/{name}") and not os.path.islink(f"{directory}/{name}"):
            _open_up(f"{directory}/{name}")
            shutil.rmtree(f"{directory}/{name}", ignore_errors=True)
        elif os.path.lexists(f"{directory}/{name}"):
            os.unlink(f"{directory}/{name}")


def _open_up(directory: str) -> None:
    os.chmod(directory, 0o700)
    for place, names, _ in os.walk(directory):
        for name in names:
            if not os.path.islink(f"{place}/{name}"):
                os.chmod(f"{place}/{name}", 0o700)
