"""Uids are leased to one container at a time, whichever supervisor of the machine leases them."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from dais.node.leases import Leases, Leasing, NoUid, Register

LEASING = Leasing(1_999_000_000 - 1, 1_999_000_000 - 1, 1_999_000_000, 3)


def other_supervisor(path: str, pipe: Connection) -> None:
    leases = Leases(LEASING, Register(path))
    pipe.send(leases.take())
    pipe.recv()


def test_the_lowest_free_uid_is_leased_and_comes_back(tmp_path: Path) -> None:
    leases = Leases(LEASING, Register(str(tmp_path / "uids")))
    taken = [leases.take() for _ in range(3)]
    assert taken == [LEASING.first, LEASING.first + 1, LEASING.first + 2]
    with pytest.raises(NoUid):
        leases.take()
    leases.give_back(taken[1])
    assert leases.take() == taken[1]


def test_two_supervisors_never_lease_the_same_uid(tmp_path: Path) -> None:
    path = str(tmp_path / "uids")
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=other_supervisor, args=(path, theirs))
    process.start()
    taken = ours.recv()
    leases = Leases(LEASING, Register(path))
    mine = [leases.take(), leases.take()]
    assert taken not in mine
    with pytest.raises(NoUid):
        leases.take()
    process.kill()  # the kernel lets go of what a dead supervisor had
    process.join()
    assert leases.take() == taken


def test_without_a_register_each_is_alone(tmp_path: Path) -> None:
    assert Leases(LEASING, Register(str(tmp_path / "none" / "uids"))).take() == LEASING.first
