"""Sizes, cores and durations, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dais.wire.problems import SpecError
from dais.wire.units import (
    format_duration,
    format_size,
    parse_cores,
    parse_duration,
    parse_size,
    short_size,
)

GIB = 1 << 30


@pytest.mark.parametrize(
    "written, size",
    [
        (16, 16 * GIB),
        (0.5, GIB // 2),
        ("16", 16 * GIB),
        ("1.5Gi", 3 * GIB // 2),
        ("100Mi", 100 << 20),
        ("4g", 4 * GIB),
        ("4G", 4_000_000_000),
        ("512M", 512_000_000),
        ("512m", 512 << 20),
        ("2 GiB", 2 * GIB),
        ("123456789B", 123456789),
        ("0", 0),
    ],
)
def test_sizes(written: str | float, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize("written", ["", "-1", "1x", "nan", "inf", "1e9", "Gi", "1 2", "٣", "0x10", "1" * 40, True])
def test_what_is_no_size(written: str) -> None:
    with pytest.raises(SpecError) as failure:
        parse_size(written, "resources.mem")
    assert failure.value.path == "resources.mem"
    assert "is not a size" in str(failure.value)
    assert failure.value.hint is not None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -1.0, 1e300])
def test_numbers_that_are_no_amount(value: float) -> None:
    for parse in (parse_size, parse_cores, parse_duration):
        with pytest.raises(SpecError):
            parse(value)


@given(st.integers(0, 1 << 60))
def test_sizes_come_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    "written, seconds",
    [
        (90, 90),
        ("90", 90),
        ("90s", 90),
        ("30m", 1800),
        ("6h", 21_600),
        ("2d", 172_800),
        ("1h30m", 5400),
        ("1w", 604_800),
    ],
)
def test_durations(written: str | int, seconds: int) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize("written", ["", "h", "-6h", "6 hours", "30m1h", "1.5h", "6H"])
def test_what_is_no_duration(written: str) -> None:
    with pytest.raises(SpecError, match="is not a duration"):
        parse_duration(written)


@given(st.integers(0, 10**10))
def test_durations_come_back(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("written, cores", [(2, 2.0), ("0.5", 0.5), ("500m", 0.5), (0.3, 0.3), ("1.2345", 1.234)])
def test_cores(written: str | float, cores: float) -> None:
    assert parse_cores(written) == cores


@pytest.mark.parametrize(
    "size, shown", [(0, "0 B"), (999, "999 B"), (1536, "1.5 KiB"), (GIB, "1 GiB"), (999 * GIB, "999 GiB")]
)
def test_sizes_for_people(size: int, shown: str) -> None:
    assert short_size(size) == shown
