"""Memory for packs is shared, bounded and given back."""

from __future__ import annotations

import pytest

from dais.api.bulk.rooms import Rooms
from dais.kit.errors import Unavailable


def test_so_many_have_room_and_who_comes_then_is_told() -> None:
    rooms = Rooms(2, 10, wait=0)
    with rooms.taken() as one, rooms.taken() as other:
        assert (len(one), len(other)) == (10, 10)
        one[:] = b"a" * 10
        assert bytes(other) == bytes(10), "each has its own"
        with pytest.raises(Unavailable) as told, rooms.taken():
            pass
        assert told.value.code == "busy"
    with rooms.taken() as again:
        assert len(again) == 10


def test_room_is_given_back_by_who_fails_used_again_and_shed() -> None:
    rooms = Rooms(1, 3, wait=0)
    with rooms.taken() as room:
        room[:] = b"abc"
    with pytest.raises(ZeroDivisionError), rooms.taken():
        1 / 0  # noqa: B018
    with rooms.taken() as room:
        assert bytes(room) == b"abc", "the same memory"
    rooms.shed()
    with rooms.taken() as room:
        assert bytes(room) == bytes(3)
