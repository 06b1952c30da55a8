"""Sizes, durations and cores as people write them, and back.

Sizes: a number is GiB (`mem: 16`, as in `eai`); text takes Kubernetes' suffixes (`Ki Mi Gi Ti Pi` are powers of 1024,
`k K M G T P` powers of 1000), the lower-case `m g t` of Docker (powers of 1024), or `B` for bytes.
Durations: a number is seconds; text takes `w d h m s`, also joined (`1h30m`). Cores: a number, or `500m`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

from dais.wire.problems import SpecError, shown

GIB = 1 << 30

SIZES: dict[str, int] = {
    "Ki": 1 << 10,
    "Mi": 1 << 20,
    "Gi": 1 << 30,
    "Ti": 1 << 40,
    "Pi": 1 << 50,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
    "PiB": 1 << 50,
    "k": 1_000,
    "K": 1_000,
    "M": 1_000_000,
    "G": 1_000_000_000,
    "T": 1_000_000_000_000,
    "P": 1_000_000_000_000_000,
    "KB": 1_000,
    "kB": 1_000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
    "TB": 1_000_000_000_000,
    "m": 1 << 20,
    "g": 1 << 30,
    "t": 1 << 40,
    "B": 1,
    "": GIB,
}

SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}

_number = r"(?P<number>\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})"
_size = re.compile(_number + r"\s*(?P<suffix>[A-Za-z]{0,3})", re.ASCII)
_cores = re.compile(_number + r"(?P<milli>m?)", re.ASCII)
_duration = re.compile(r"(?:(\d{1,12})w)?(?:(\d{1,12})d)?(?:(\d{1,12})h)?(?:(\d{1,12})m)?(?:(\d{1,12})s)?", re.ASCII)
_plain = re.compile(r"\d{1,15}(?:\.0*)?", re.ASCII)


def parse_size(value: str | int | float, path: str = "size") -> int:
    """Bytes. Raises SpecError for what is no size, is not finite or negative."""
    match = _size.fullmatch(_written(value))
    factor = SIZES.get(match["suffix"]) if match else None
    if match is None or factor is None:
        raise SpecError(
            path,
            f"{shown(value)} is not a size",
            given=value,
            expected="a number of GiB (16), or a number with a suffix (100Mi, 4g, 512M)",
            hint="write for example 16 (GiB), 100Mi, 4g or 1.5Gi",
        )
    return round(Fraction(match["number"].rstrip(".") or "0") * factor)


def parse_cores(value: str | int | float, path: str = "cpu") -> float:
    """Cores, in whole thousandths. Raises SpecError."""
    match = _cores.fullmatch(_written(value))
    if match is None:
        raise SpecError(
            path,
            f"{shown(value)} is not a number of cores",
            given=value,
            expected="a positive number (0.5), or thousandths (500m)",
            hint="write for example 2, 0.5 or 500m",
        )
    thousandths = Fraction(match["number"].rstrip(".") or "0") * (1 if match["milli"] else 1000)
    return round(thousandths) / 1000


def parse_duration(value: str | int | float, path: str = "duration") -> int:
    """Whole seconds. Raises SpecError."""
    text = _written(value)
    if _plain.fullmatch(text):
        return int(text.partition(".")[0])
    match = _duration.fullmatch(text) if text else None
    if match is None:
        raise SpecError(
            path,
            f"{shown(value)} is not a duration",
            given=value,
            expected="a number of seconds, or a text such as 90s, 30m, 6h, 2d or 1h30m",
            hint="write for example 3600, 90s, 6h or 2d",
        )
    return sum(int(count) * SECONDS[unit] for count, unit in zip(match.groups(), "wdhms", strict=True) if count)


def format_size(size: int) -> str:
    """Bytes as a text that `parse_size` reads back exactly."""
    for suffix in ("Pi", "Ti", "Gi", "Mi", "Ki"):
        if size and size % SIZES[suffix] == 0:
            return f"{size // SIZES[suffix]}{suffix}"
    return f"{size}B"


def short_size(size: int) -> str:
    """Bytes for people, rounded to three digits: `1.5 GiB`."""
    amount = float(size)
    for suffix in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1000:
            return f"{amount:.3g} {suffix}" if suffix != "B" else f"{size} B"
        amount /= 1024
    return f"{amount:.3g} PiB"


def format_duration(seconds: int) -> str:
    """Seconds as a text that `parse_duration` reads back exactly: `1h30m`."""
    parts = []
    for unit in "dhms":
        count, seconds = divmod(seconds, SECONDS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _written(value: str | int | float) -> str:
    """A number as a person would write it. Infinity, nan, bool and negative numbers match no pattern."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f") if abs(value) < 1e15 else str(value)
    return str(value).strip()
