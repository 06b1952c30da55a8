"""The audit log: what is written down, who may read it, and for how long it is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from dais.api.refusals import Refusals
from dais.compute.retention.loop import Retention
from dais.compute.settings import ComputeSettings
from dais.data import BlobStore
from dais.identity import (
    Actor,
    AuditEntry,
    AuditSettings,
    Organization,
    create_account,
    create_policy,
    create_team,
    list_audit,
    record,
    record_anonymous,
    require,
)
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import Forbidden, Invalid, NotFound
from tests.support.people import People, refused

DAY = 86_400.0


def entries(people: People, actor: Actor, **filters: object) -> list[AuditEntry]:
    found: list[AuditEntry] = people.db.read_sync(list_audit, actor, **filters).items
    return found


def refuse(people: People, actor: Actor, organization: Organization) -> Forbidden:
    with pytest.raises(Forbidden) as caught:
        people.db.read_sync(require, actor, "team:new", organization_id=organization.id)
    return caught.value


def test_a_change_is_written_down_with_it_and_a_failed_one_is_not(
    people: People, acme: Organization, chief: Actor
) -> None:
    people.db.write_sync(create_team, chief, "lab")
    refused("team-exists", lambda: people.db.write_sync(create_team, chief, "lab"))
    (found,) = entries(people, chief, action="team:new")
    assert (found.user, found.user_id, found.allowed) == ("acme.chief", chief.id, True)
    assert (found.organization_id, found.urn) == (acme.id, f"{acme.id}:team:")


@pytest.mark.anyio
async def test_what_was_refused_is_written_down_from_where_and_not_too_often(
    people: People, acme: Organization, chief: Actor
) -> None:
    joe = people.user("joe", acme.id)
    error = refuse(people, joe, acme)
    now = [0.0]
    refusals = Refusals(people.db, AuditSettings(refusals_per_minute=3), lambda: now[0])
    for _ in range(10):
        await refusals.note(joe, error)
    found = entries(people, chief, allowed=False)
    assert [(one.user, one.action, one.allowed) for one in found] == [("acme.joe", "team:new", False)] * 3
    assert found[0].detail == {"code": "not-allowed"}
    now[0] = 20.0
    await refusals.note(joe, error)
    assert entries(people, chief, allowed=False)[0].detail == {"code": "not-allowed", "omitted": 7}
    await refusals.note(chief, error)
    assert len(entries(people, chief, allowed=False)) == 5, "each actor is counted alone"
    await refusals.note(None, error)
    await refusals.note(joe, NotFound("nothing", code="no-such-thing"))
    await refusals.note(joe, Forbidden("a stale form", code="stale-form"))
    assert len(entries(people, chief, allowed=False)) == 5


def test_everybody_sees_their_own_and_administrators_their_organizations(
    people: People, acme: Organization, chief: Actor
) -> None:
    umbrella = people.organization("umbrella")
    other = people.chief("other", umbrella.id)
    joe = people.user("joe", acme.id)
    people.db.write_sync(create_policy, chief, "user", joe.id, ["team:new@*"])
    people.db.write_sync(create_team, joe, "joes")
    people.db.write_sync(create_team, other, "others")
    people.db.write_sync(create_account, chief, "lab")

    def who(actor: Actor) -> set[str]:
        return {one.user for one in entries(people, actor, action="team:new")}

    assert who(joe) == {"acme.joe"}
    assert who(chief) == {"acme.joe"}
    assert who(other) == {"umbrella.other"}
    assert who(people.root) == {"acme.joe", "umbrella.other"}
    assert {one.user for one in entries(people, chief)} >= {"acme.chief", "acme.joe", "local.root"}
    assert who(people.narrowed(joe, "team:*@*")) == set(), "a narrowed token shows what it may do alone"
    assert who(people.narrowed(chief, "audit:list@*")) == {"acme.joe"}


def test_filters_and_pages(people: People, acme: Organization, chief: Actor, clock: ManualClock) -> None:
    clock.advance(10)
    for number in range(5):
        people.db.write_sync(create_team, chief, f"t{number}")
        clock.advance(1)
    since = clock.now() - 3_000_000
    assert len(entries(people, chief, action="team:*", since=since)) == 3
    assert len(entries(people, chief, action="team:*", until=since)) == 2
    assert len(entries(people, chief, action="team:*", user="chief")) == 5
    assert len(entries(people, chief, action="team:*", user="acme.chief", urn=f"{acme.id}:te*")) == 5
    assert entries(people, chief, urn="*:user:*:token:", user=chief.id) == []
    assert entries(people, chief, user="nobody") == []
    with pytest.raises(Invalid, match="rule actions"):
        entries(people, chief, action="team:made")
    names, cursor = [], None
    while True:
        page = people.db.read_sync(list_audit, chief, action="team:new", limit=2, cursor=cursor)
        names += [one.at for one in page.items]
        if (cursor := page.cursor) is None:
            break
    assert len(names) == 5
    assert names == sorted(names, reverse=True)


def test_who_is_not_known_is_written_down_too(people: People, acme: Organization, chief: Actor) -> None:
    people.db.write_sync(
        record_anonymous,
        "acme.chief",
        "session:new",
        f"{acme.id}:user:{chief.id}:session:",
        acme.id,
        allowed=False,
        address="192.0.2.1",
    )
    (found,) = entries(people, chief, action="session:new")
    assert (found.user, found.user_id, found.address, found.allowed) == ("acme.chief", None, "192.0.2.1", False)


@pytest.mark.anyio
async def test_old_entries_are_forgotten(
    people: People, database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    root = people.root
    before = len(entries(people, root, limit=1000))
    clock.advance(300 * DAY)
    people.db.write_sync(record, root, "group:set", "installation:group:x", "installation", allowed=True)
    blobs = BlobStore(tmp_path / "blobs")
    kept = Retention(database, blobs, ComputeSettings(), AuditSettings(days=0))
    short = Retention(database, blobs, ComputeSettings(), AuditSettings(days=200))
    assert await kept.expire_audit() == 0
    assert await short.expire_audit() == before
    assert [one.action for one in entries(people, root)] == ["group:set"]
