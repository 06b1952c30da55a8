"""`GET /v1/events`: what happens, as it happens, to whom may see it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from dais.api.context import Context
from dais.api.routing import Header, Routes
from dais.api.sse import ACCEPTED, ServerEvent
from dais.identity import ACTIONS, Actor, Resource, may, present, resource_at
from dais.kit.clock import to_rfc3339
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid, Unauthenticated
from dais.kit.outbox import NUMBERED, NumberedEvent, after, bounds, can_resume
from dais.wire import answers

routes = Routes()

SHOWN = ("job:get", "data:get", "secret:get", "account:get", "user:get")
"""What is asked for most events; those of other things, which lie in no account, are the installation's to see."""
BATCH = 500
"""Events that are read at a time."""
POLL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """Events in order, and the number up to which there is nothing else for this reader."""

    events: list[NumberedEvent]
    seq: int
    more: bool


@routes.events("/v1/events", summary="Follow what happens", action=SHOWN)
async def follow_all(
    ctx: Context,
    subject: str | None = None,
    since: int | None = None,
    last_event_id: Annotated[str | None, Header("Last-Event-ID")] = None,
) -> AsyncIterator[ServerEvent | bytes]:
    """Events named by their kind (`job.state`), from now on; with `since` or `Last-Event-ID`, from there.

    An event is shown to who may get what it is about. `subject` is the id of the one thing to follow. When the place to
    resume from is gone (events live seven days), an event `reset` comes first: what was missed is unknown, so read the
    present state, then go on.
    """
    async for event in follow(ctx, subject, resume_from(last_event_id, since)):
        yield event


async def follow(ctx: Context, subject: str | None, start: int | None) -> AsyncIterator[ServerEvent | bytes]:
    """The events that the caller may see, after `start` or from now on; never ends by itself."""
    with ctx.db.hints.subscribe(NUMBERED) as hint:
        seq, reset = await ctx.db.read(_place, start)
        yield ACCEPTED
        if reset:
            yield ServerEvent({"newest": seq}, "reset", str(seq))
        while True:
            try:
                seen: _Seen = await ctx.db.read(_look, ctx.actor, seq, subject)
            except Unauthenticated:  # since it was begun
                return
            for event in seen.events:
                yield ServerEvent(_answer(event), event.kind, str(event.seq))
            seq = seen.seq
            if not seen.more:
                await hint.wait(POLL_SECONDS)


def _place(uow: UnitOfWork, start: int | None) -> tuple[int, bool]:
    """Where to begin, and whether the reader has to start anew."""
    if start is None:
        return bounds(uow)[1], False
    if can_resume(uow, start):
        return start, False
    return bounds(uow)[1], True


def _look(uow: UnitOfWork, actor: Actor, seq: int, subject: str | None) -> _Seen:
    """What the actor may see after `seq`, as they are now. Raises Unauthenticated when their token is none any more."""
    actor = present(uow, actor)
    newest = bounds(uow)[1]
    events = after(uow, seq, subject=subject, limit=BATCH)
    return _Seen(
        events=_seen(uow, actor, events),
        seq=events[-1].seq if len(events) == BATCH else max(seq, newest),
        more=len(events) == BATCH,
    )


def _seen(uow: UnitOfWork, actor: Actor, events: list[NumberedEvent]) -> list[NumberedEvent]:
    """Those about things that the actor may see; of each thing it is asked once."""
    asked: dict[tuple[str, str], bool] = {}
    found = []
    for event in events:
        about = (event.subject_type, event.subject_id)
        if about not in asked:
            asked[about] = may(uow, actor, f"{_kind(event)}:get", _about(uow, actor, event))
        if asked[about]:
            found.append(event)
    return found


def _kind(event: NumberedEvent) -> str:
    """What the subject's type is called in policies; what is in none of them is the installation's."""
    kind = "data" if event.subject_type == "folder" else event.subject_type
    return kind if f"{kind}:get" in ACTIONS else "installation"


def _about(uow: UnitOfWork, actor: Actor, event: NumberedEvent) -> Resource:
    """The subject; what lies in no account, and is not the actor, is the installation's."""
    kind = _kind(event)
    if kind != "user":
        place = event.account_id if kind != "installation" else None
        return resource_at(uow, kind, event.subject_id, account_id=place)
    organization_id = actor.organization_id if event.subject_id == actor.id else None
    if event.account_id is not None:  # the personal one
        organization_id = resource_at(uow, "account", event.account_id).organization_id
    return resource_at(uow, "user", event.subject_id, organization_id=organization_id)


def _answer(event: NumberedEvent) -> answers.Event:
    data: dict[str, Any] = event.data
    return answers.Event(
        seq=event.seq,
        at=to_rfc3339(event.at),
        kind=event.kind,
        subject_type=event.subject_type,
        subject_id=event.subject_id,
        data=data,
    )


def resume_from(last_event_id: str | None, since: int | None) -> int | None:
    """The number that a reader has already: the browser's header, else what the address says."""
    if last_event_id is None or not last_event_id.strip():
        return since
    try:
        return int(last_event_id)
    except ValueError as error:
        raise Invalid(
            f"Last-Event-ID is {last_event_id[:40]!r}; it is the id of the last event that you have, a number",
            code="bad-parameter",
        ) from error
