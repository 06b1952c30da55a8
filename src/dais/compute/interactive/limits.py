"""How many interactive jobs one user may have: what the account says in which the next one starts, else the account
above it, else the organization, else the installation."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, insert, select

from dais.compute.interactive.tables import interactive_limits
from dais.compute.jobs.tables import jobs
from dais.compute.settings import ComputeSettings
from dais.identity import Account, Actor, Organization, get_account, require, resolve_place
from dais.kit.database import Event, Statement, UnitOfWork, in_list
from dais.kit.errors import Conflict, Invalid

MOST = 1000
CHANGED = "limits of interactive jobs"
"""What is remembered of them is forgotten when one changes."""

_of_places = Statement(select(interactive_limits).where(in_list(interactive_limits.c.place_id, "places")))
_set = Statement(insert(interactive_limits), suffix="ON CONFLICT (place_id) DO UPDATE SET most = excluded.most")
_unset = Statement(delete(interactive_limits).where(interactive_limits.c.place_id == bindparam("place")))
_live = Statement(
    select(jobs.c.id, jobs.c.name)
    .where(jobs.c.owner_id == bindparam("owner"), jobs.c.ended_at.is_(None), jobs.c.type == "interactive")
    .order_by(jobs.c.number)
    .limit(bindparam("most"))
)


def check_one_more(uow: UnitOfWork, owner_id: str, account: Account, settings: ComputeSettings) -> None:
    """Whether a user may have another interactive job, in this account. Raises Conflict `interactive-job-exists`."""
    most = _most(uow, account, settings)
    if not most:
        return
    live = uow.all(_live, owner=owner_id, most=most)
    if len(live) >= most:
        names = ", ".join(row.name or row.id for row in live[:3])
        whose = "you have" if len(live) == 1 else "you have at least"
        raise Conflict(
            f"{whose} {len(live)} interactive job{'s' if len(live) > 1 else ''} already, which is the limit in "
            f"{account.full_name}: {names}; use it, or end it with `dais job kill {live[0].id}`",
            code="interactive-job-exists",
            limit=most,
            job=live[0].id,
        )


def own_interactive_limits(uow: UnitOfWork, places: Sequence[str]) -> dict[str, int]:
    """The limits that are these accounts' and organizations' own; whoever may see those may see them."""
    return {row.place_id: row.most for row in uow.all(_of_places, places=list(places))}


def set_interactive_limit(uow: UnitOfWork, actor: Actor, place: str, most: int | None) -> str:
    """Give an account or an organization a limit of its own (0: none; None: that of what it lies in); its id.

    It may be larger than the installation's, so that one must be allowed to change that. Raises Invalid `bad-limit`,
    NotFound, Forbidden.
    """
    found: Account | Organization = resolve_place(uow, actor, place)
    require(uow, actor, "installation:set")
    if most is None:
        uow.run(_unset, place=found.id)
    elif 0 <= most <= MOST:
        uow.run(_set, place_id=found.id, most=most)
    else:
        raise Invalid(
            f"one user cannot have {most} interactive jobs; write 0 (no limit) to {MOST}", code="bad-limit", limit=MOST
        )
    uow.hint(CHANGED)
    kind, account_id = ("account", found.id) if isinstance(found, Account) else ("organization", None)
    uow.emit(Event(f"{kind}.changed", kind, found.id, account_id, {"interactive_jobs": most}))
    return found.id


def _most(uow: UnitOfWork, account: Account, settings: ComputeSettings) -> int:
    """The limit that holds in an account."""
    found: int | None = uow.remembered(CHANGED, account.id, lambda: _nearest(uow, account))
    return settings.interactive_per_user if found is None else found


def _nearest(uow: UnitOfWork, account: Account) -> int | None:
    places = [account.id]
    while account.parent_id is not None:
        account = get_account(uow, account.parent_id)
        places.append(account.id)
    places.append(account.organization_id)
    own = own_interactive_limits(uow, places)
    return next((own[place] for place in places if place in own), None)
