"""What one user may ask, with a clock of the test's own."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from dais.api.limits import MOST_BUCKETS, UserLimits
from dais.api.settings import LimitSettings
from dais.kit.errors import TooMany


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limits(clock: Clock, **settings: int) -> UserLimits:
    return UserLimits(LimitSettings(**settings), clock)


def test_a_minutes_worth_at_once_and_then_evenly(clock: Clock) -> None:
    counted = limits(clock, submits_per_minute=60)
    for _ in range(60):
        counted.submit("ann")
    with pytest.raises(TooMany, match="60 submits in a minute, which is the limit") as caught:
        counted.submit("ann")
    assert caught.value.code == "too-many-submits"
    assert caught.value.fields["limit"] == 60
    assert caught.value.fields["retry_after"] == pytest.approx(1.0)
    counted.submit("bob")
    clock.now += caught.value.fields["retry_after"]
    counted.submit("ann")
    with pytest.raises(TooMany):
        counted.submit("ann")
    clock.now += 3600
    for _ in range(60):
        counted.submit("ann")
    with pytest.raises(TooMany):
        counted.submit("ann")


def test_who_is_refused_again_and_again_is_let_in_in_time(clock: Clock) -> None:
    counted = limits(clock, requests_per_minute=60)
    for _ in range(60):
        counted.request("ann")
    came = 0
    for _ in range(100):
        clock.now += 0.1
        try:
            counted.request("ann")
        except TooMany:
            continue
        came += 1
    assert came == pytest.approx(10, abs=1)


def test_zero_is_no_limit(clock: Clock) -> None:
    counted = limits(clock, requests_per_minute=0, submits_per_minute=0, streams=0, uploads=0, upload_bytes=0)
    with ExitStack() as held:
        for _ in range(5_000):
            counted.request("ann")
            counted.submit("ann")
            held.enter_context(counted.stream("ann"))
            held.enter_context(counted.upload("ann", 1 << 40))


def test_streams_count_while_they_are_open(clock: Clock) -> None:
    counted = limits(clock, streams=2)
    with counted.stream("ann"), counted.stream("bob"):
        with counted.stream("ann"), pytest.raises(TooMany, match="2 streams open") as caught, counted.stream("ann"):
            pass
        assert caught.value.fields["retry_after"] > 0
        with counted.stream("ann"):
            pass


def test_uploads_count_in_number_and_bytes(clock: Clock) -> None:
    counted = limits(clock, uploads=2, upload_bytes=100)
    with counted.upload("ann", 1_000):  # one alone is taken, however large it is
        with pytest.raises(TooMany, match="at most 100 B") as caught, counted.upload("ann", 1):
            pass
        assert caught.value.code == "too-many-upload-bytes"
        with counted.upload("bob", 100):
            pass
    with counted.upload("ann", 50), counted.upload("ann", 50):
        with pytest.raises(TooMany, match="2 uploads under way") as caught, counted.upload("ann", 0):
            pass
        assert caught.value.code == "too-many-uploads"


def test_what_is_kept_of_many_users_is_bounded(clock: Clock) -> None:
    counted = limits(clock, requests_per_minute=60)
    for number in range(MOST_BUCKETS):
        counted.request(str(number))
    clock.now += 120
    counted.request("one more")
    assert len(counted._requests) == 1
    for number in range(100):
        with counted.stream(str(number)):
            pass
    assert not counted._open
