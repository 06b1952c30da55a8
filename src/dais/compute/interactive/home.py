"""Dotfiles: small files of a user that are in the home of each of their interactive jobs.

One of them is no file in the home: `bootstrap` is a script that is run there before the command.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from dais.compute.interactive.own_key import ALLOWED, PRIVATE, new_key_files
from dais.compute.interactive.tables import dotfiles
from dais.compute.jobs.types import Work
from dais.compute.secrets.types import Given, Refused
from dais.engines.contract import File
from dais.identity import Actor, require
from dais.kit.clock import to_rfc3339
from dais.kit.database import Event, Row, Statement, UnitOfWork, in_list
from dais.kit.errors import Invalid, NotFound, TooMany
from dais.kit.vault import Vault
from dais.wire import answers
from dais.wire.inputs import WORK_DIRECTORY
from dais.wire.paths import PathError, clean_path

MOST = 100
"""Dotfiles of one user, as Backend.AI has it."""
MOST_BYTES = 64 << 10
MOST_PATH = 255
BOOTSTRAP = "bootstrap"
BOOTSTRAP_FILE = "/opt/dais/bootstrap"
_run_bootstrap = (
    f'/bin/sh {BOOTSTRAP_FILE} || echo "dais: the bootstrap script ended with exit code $?; the job goes on" >&2'
)
WITH_BOOTSTRAP = ("/bin/sh", "-c", f'{_run_bootstrap}; exec "$@"', "dais")

_all = Statement(select(dotfiles).where(dotfiles.c.user_id == bindparam("user")).order_by(dotfiles.c.path))
_one = Statement(select(dotfiles).where(dotfiles.c.user_id == bindparam("user"), dotfiles.c.path == bindparam("path_")))
_count = Statement(select(func.count()).select_from(dotfiles).where(dotfiles.c.user_id == bindparam("user")))
_of = Statement(select(dotfiles).where(in_list(dotfiles.c.user_id, "users")))
_set = Statement(
    insert(dotfiles),
    suffix="ON CONFLICT (user_id, path) DO UPDATE SET sealed = excluded.sealed, mode = excluded.mode, "
    "size = excluded.size, set_at = excluded.set_at",
)
_remove = Statement(
    delete(dotfiles).where(dotfiles.c.user_id == bindparam("user"), dotfiles.c.path == bindparam("path_"))
)
_every = Statement(select(dotfiles.c.user_id, dotfiles.c.path, dotfiles.c.sealed))
_reseal = Statement(
    update(dotfiles)
    .where(dotfiles.c.user_id == bindparam("user"), dotfiles.c.path == bindparam("path_"))
    .values(sealed=bindparam("again"))
)


def set_dotfile(
    uow: UnitOfWork, actor: Actor, vault: Vault, path: str, content: bytes, mode: int = 0o644
) -> answers.Dotfile:
    """Put a file into the home of the actor's interactive jobs that start from now on, or replace it.

    Raises Invalid `bad-path`, `bad-mode`, `too-large`; TooMany `too-many-dotfiles`.
    """
    require(uow, actor, "user:set", organization_id=actor.organization_id, resource_id=actor.id)
    path = checked_path(path)
    if not 0 <= mode <= 0o777:
        raise Invalid(f"mode {mode:o} is not from 000 to 777", code="bad-mode")
    if len(content) > MOST_BYTES:
        raise Invalid(
            f"{path} has {len(content):,} bytes; a dotfile has at most {MOST_BYTES:,}: put large things into a folder "
            "whose name begins with a dot",
            code="too-large",
        )
    if uow.one(_one, user=actor.id, path_=path) is None and uow.scalar(_count, user=actor.id) >= MOST:
        raise TooMany(
            f"you have {MOST} dotfiles, which is the limit; remove some", code="too-many-dotfiles", limit=MOST
        )
    sealed = vault.seal(content, *bound_to(actor.id, path))
    uow.run(_set, user_id=actor.id, path=path, sealed=sealed, mode=mode, size=len(content), set_at=uow.now)
    uow.emit(Event("dotfile.set", "user", actor.id, None, {"path": path}))
    return get_dotfile(uow, actor, path)


def list_dotfiles(uow: UnitOfWork, actor: Actor) -> list[answers.Dotfile]:
    """The actor's own, without their contents."""
    require(uow, actor, "user:get", organization_id=actor.organization_id, resource_id=actor.id)
    return [_answer(row) for row in uow.all(_all, user=actor.id)]


def get_dotfile(uow: UnitOfWork, actor: Actor, path: str) -> answers.Dotfile:
    """One of the actor's own, without its content. Raises NotFound `no-such-dotfile`."""
    return _answer(_found(uow, actor, path))


def read_dotfile(uow: UnitOfWork, actor: Actor, vault: Vault, path: str) -> bytes:
    """The content of one of the actor's own. Raises NotFound `no-such-dotfile`."""
    row = _found(uow, actor, path)
    return vault.open(row.sealed, *bound_to(actor.id, row.path))


def remove_dotfile(uow: UnitOfWork, actor: Actor, path: str) -> None:
    """Jobs that start from now on have it no more. Raises NotFound `no-such-dotfile`."""
    row = _found(uow, actor, path, "user:set")
    uow.run(_remove, user=actor.id, path_=row.path)
    uow.emit(Event("dotfile.removed", "user", actor.id, None, {"path": row.path}))


def reseal_dotfiles(uow: UnitOfWork, actor: Actor, vault: Vault) -> int:
    """Encrypt them all with the newest key of the vault; how many. Administrators only."""
    require(uow, actor, "installation:set")
    again = []
    for row in uow.all(_every):
        context = bound_to(row.user_id, row.path)
        again.append(
            {"user": row.user_id, "path_": row.path, "again": vault.seal(vault.open(row.sealed, *context), *context)}
        )
    uow.many(_reseal, again)
    return len(again)


def has_dotfiles(uow: UnitOfWork, user_id: str) -> bool:
    """Whether there is anything for the home of a user's interactive jobs."""
    return bool(uow.scalar(_count, user=user_id))


def open_homes(
    uow: UnitOfWork, vault: Vault, works: Iterable[Work], *, contained: bool = True
) -> dict[str, Given | Refused]:
    """The files that interactive runs are given, by run. For their launch alone: nothing of this may be logged.

    What a mount or a secret of the job covers is left out; a key pair of the run's own, where its user has an
    `.ssh/authorized_keys` of another kind. Files need a sandbox: where jobs are not `contained` there is no key pair,
    and the run of somebody who has dotfiles is refused.
    """
    wanted = [work for work in works if work.spec.type == "interactive"]
    if not wanted:
        return {}
    rows: dict[str, list[Row]] = {}
    for row in uow.all(_of, users=sorted({work.owner_id for work in wanted})):
        rows.setdefault(row.user_id, []).append(row)
    found: dict[str, Given | Refused] = {}
    for work in wanted:
        if not contained:
            if work.owner_id in rows:
                found[work.run_id] = _no_home(work, [row.path for row in rows[work.owner_id]])
            continue
        files = [
            File(
                target=_target(row.path),
                content=vault.open(row.sealed, *bound_to(row.user_id, row.path)),
                mode=row.mode,
            )
            for row in rows.get(work.owner_id, [])
            if not _is_covered(work, _target(row.path))
        ]
        taken = {file.target for file in files}
        if not {ALLOWED, PRIVATE} & taken and not any(_is_covered(work, path) for path in (ALLOWED, PRIVATE)):
            files += new_key_files(work.job_id)
        if files:
            found[work.run_id] = Given(files=tuple(files))
    return found


def _no_home(work: Work, paths: list[str]) -> Refused:
    shown = ", ".join(paths[:3]) + (", …" if len(paths) > 3 else "")
    return Refused(
        "launch-failed",
        f"the dotfiles of {work.user} ({shown}) cannot be given to a job in group {work.group}, which has no sandbox: "
        "have that mended (`dais doctor` says how), choose another group, or remove them (`dais dotfile rm`)",
    )


def _target(path: str) -> str:
    return BOOTSTRAP_FILE if path == BOOTSTRAP else f"{WORK_DIRECTORY}/{path}"


def _is_covered(work: Work, target: str) -> bool:
    covering = [mount.target for mount in work.mounts] + [use.file for use in work.spec.secrets if use.file]
    return any(target == path or target.startswith(f"{path}/") for path in covering)


def add_homes(given: dict[str, Given | Refused], homes: Mapping[str, Given | Refused]) -> None:
    """Give runs their files beside their secrets; those that were refused either stay so."""
    for run_id, home in homes.items():
        before = given.get(run_id, Given())
        if isinstance(before, Given):
            if isinstance(home, Given):
                home = Given(before.variables, (*before.files, *home.files))
            given[run_id] = home


def checked_path(path: str) -> str:
    """A path of a dotfile, below the home. Raises Invalid `bad-path`."""
    if path == BOOTSTRAP:
        return path
    try:
        cleaned = clean_path(path.removeprefix("~/"))
    except PathError as error:
        raise Invalid(f"{path[:300]!r} cannot be the path of a dotfile: {error}", code="bad-path") from error
    if not cleaned.startswith(".") or len(cleaned) > MOST_PATH:
        raise Invalid(
            f"{path[:300]!r} does not begin with a dot; a dotfile is one such as .bashrc or .aws/config, of at most "
            f"{MOST_PATH} characters, or {BOOTSTRAP}",
            code="bad-path",
        )
    return cleaned


def bound_to(user_id: str, path: str) -> tuple[str, ...]:
    """What sealed content is bound to."""
    return ("dotfile", user_id, path)


def _found(uow: UnitOfWork, actor: Actor, path: str, action: str = "user:get") -> Row:
    require(uow, actor, action, organization_id=actor.organization_id, resource_id=actor.id)
    row: Any = uow.one(_one, user=actor.id, path_=checked_path(path))
    if row is None:
        raise NotFound(f"you have no dotfile {path[:300]!r}; `dais dotfile ls` lists yours", code="no-such-dotfile")
    return row


def _answer(row: Row) -> answers.Dotfile:
    return answers.Dotfile(path=row.path, size=row.size, mode=f"{row.mode:03o}", set_at=to_rfc3339(row.set_at))
