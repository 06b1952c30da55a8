"""Memory for packs is shared, bounded and given back."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from dais.api.bulk.rooms import Rooms
from dais.kit.errors import Unavailable


def ignore() -> None:
    """Nobody is told to give his room back."""


def test_so_many_have_room_and_who_comes_then_is_told() -> None:
    rooms = Rooms(2, 10, wait=0)
    with rooms.taken("ann", ignore) as one, rooms.taken("bob", ignore) as other:
        assert (len(one), len(other)) == (10, 10)
        one[:] = b"a" * 10
        assert bytes(other) == bytes(10), "each has its own"
        with pytest.raises(Unavailable) as told, rooms.taken("eve", ignore):
            pass
        assert told.value.code == "busy"
    with rooms.taken("ann", ignore) as again:
        assert len(again) == 10


def test_room_is_given_back_by_who_fails_used_again_and_shed() -> None:
    rooms = Rooms(1, 3, wait=0)
    with rooms.taken("ann", ignore) as room:
        room[:] = b"abc"
    with pytest.raises(ZeroDivisionError), rooms.taken("eve", ignore):
        1 / 0  # noqa: B018
    with rooms.taken("ann", ignore) as room:
        assert bytes(room) == b"abc", "the same memory"
    rooms.shed()
    with rooms.taken("ann", ignore) as room:
        assert bytes(room) == bytes(3)


def test_one_user_has_half_of_it_and_leaves_the_rest_to_others() -> None:
    rooms = Rooms(8, 1, wait=0)
    with ExitStack() as held:
        for _ in range(4):
            held.enter_context(rooms.taken("eve", ignore))
        with pytest.raises(Unavailable, match="your share of the room for packs, 4, is in use"):
            held.enter_context(rooms.taken("eve", ignore))
        for _ in range(4):
            held.enter_context(rooms.taken("ann", ignore))
        with pytest.raises(Unavailable, match="all room for packs is in use"):
            held.enter_context(rooms.taken("bob", ignore))


def test_who_has_had_a_room_for_long_gives_it_to_who_waits_and_to_nobody_else() -> None:
    now = 0.0
    rooms = Rooms(2, 1, wait=0, lent=10, now=lambda: now)
    told: list[str] = []

    def give_back() -> None:
        told.append("eve")
        slow.close()
        with pytest.raises(Unavailable), rooms.taken("eve", ignore):
            pass

    with ExitStack() as slow, rooms.taken("bob", lambda: told.append("bob")), ExitStack() as late:
        slow.enter_context(rooms.taken("eve", give_back))
        now = 9.0
        with pytest.raises(Unavailable), rooms.taken("ann", ignore):
            pass
        assert told == [], "neither has had it for long"
        now = 10.0
        with pytest.raises(Unavailable), rooms.taken("ann", ignore):
            pass
        assert told == ["bob"], "who has had it longest, and does not hear of it yet"
        late.enter_context(rooms.taken("ann", ignore))
        assert told == ["bob", "eve"]
