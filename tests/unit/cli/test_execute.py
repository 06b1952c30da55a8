"""`dais job exec`: what it tells of the terminal that it runs in."""

from __future__ import annotations

import os

from dais.cli.jobs.execute import _window


def test_a_terminal_without_a_size_counts_as_one_of_the_usual_size() -> None:
    """A job was asked for a terminal of no rows, and refused."""
    master, slave = os.openpty()  # 0 by 0, until somebody gives it a size
    before = os.dup(0)
    os.dup2(slave, 0)
    try:
        assert all(_window())
    finally:
        os.dup2(before, 0)
        for fd in (master, slave, before):
            os.close(fd)
