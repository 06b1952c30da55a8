"""Ids increase, within a process and from one process to the next."""

from __future__ import annotations

import uuid

from dais.kit.ids import go_on_after, is_id, new_id


def test_ids_of_a_process_increase() -> None:
    made = [new_id() for _ in range(10_000)]
    assert made == sorted(set(made))
    assert all(is_id(one) and uuid.UUID(one).version == 7 for one in made)


def test_ids_go_on_after_those_of_a_clock_that_was_ahead() -> None:
    ahead = str(uuid.UUID(int=uuid.UUID(new_id()).int + (20 << 80)))  # 20 ms from now
    go_on_after(ahead)
    after = new_id()
    assert after > ahead
    assert new_id() > after
    go_on_after(str(uuid.UUID(int=0)))
    assert new_id() > after
