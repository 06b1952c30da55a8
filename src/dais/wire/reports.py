"""What a running job reports: one JSON object on each line, in the file `$DAIS_REPORT` or over `$DAIS_SOCKET`.

    {"accuracy": 0.91, "loss": 0.3, "step": 3, "model": "cnn", "tags": ["good"], "progress": 0.5, "message": "epoch 3"}

Numbers are metrics, texts and truths are key-values of the job; `step`, `tags`, `progress` (0 to 1) and `message` mean
themselves. Standard library and msgspec alone: it is read by whoever writes it, too.
"""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from dais.wire.answers import Answer

MAX_LINE = 8 << 10
"""Bytes of a line, with its end."""
MAX_NAME = 64
MAX_TEXT = 1024
"""Characters of a name, and of a text."""
MAX_NAMES = 100
"""Metrics of a run; key-values, and tags, of a job that it may set."""
MAX_POINTS = 50_000
"""Values of metrics that are kept of a run."""
MAX_FILE = 64 << 20
"""Bytes of a run's file that are read."""
MAX_STEP = 2**53
DEFAULT_POINTS = 500
MOST_POINTS = 10_000
"""Values of a metric that are answered at once."""

FILE = ".dais-report.jsonl"
"""The file, in the working directory."""

SOCKET = "socket"
"""The socket's name in its directory."""

RESERVED = ("step", "tags", "progress", "message")
_name = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A line, understood."""

    step: int | None = None
    metrics: dict[str, float] = {}
    values: dict[str, str | bool] = {}
    tags: tuple[str, ...] = ()
    progress: float | None = None
    message: str | None = None


class Series(Answer, frozen=True, kw_only=True):
    """The values of a metric by their steps. `count` is how many there are; fewer may be told, evenly picked."""

    name: str
    count: int
    last: float
    least: float
    most: float
    steps: list[int] = msgspec.field(default_factory=list)
    values: list[float] = msgspec.field(default_factory=list)
    at: list[str] = msgspec.field(default_factory=list)


class JobReport(Answer, frozen=True, kw_only=True):
    """What a run of a job has reported. `refused` lines were not understood; `problem` tells of the first of them."""

    job_id: str
    run: int
    series: list[Series]
    progress: float | None = None
    message: str = ""
    refused: int = 0
    problem: str = ""
    updated_at: str | None = None


def parse_report(line: bytes) -> Report:
    """A line as a report. Raises ValueError with words for whoever wrote it."""
    if len(line) > MAX_LINE:
        raise ValueError(f"a line has more than {MAX_LINE:,} bytes; report less at once")
    try:
        document: Any = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        raise ValueError(f"a line is no JSON: {error} (NaN and Infinity are none)") from error
    except RecursionError as error:
        raise ValueError("a line is nested far too deeply") from error
    if not isinstance(document, dict):
        raise ValueError('a line is no object, as {"accuracy": 0.9, "step": 3}')
    return report_of(document)


def report_of(document: dict[str, Any]) -> Report:
    """Raises ValueError."""
    metrics: dict[str, float] = {}
    values: dict[str, str | bool] = {}
    for name, value in document.items():
        if name in RESERVED:
            continue
        check_name(name)
        if isinstance(value, bool):
            values[name] = value
        elif isinstance(value, int | float):
            metrics[name] = _finite(name, value)
        elif isinstance(value, str):
            values[name] = _text(name, value)
        else:
            raise ValueError(f"{name} is neither a number, a text, nor true or false")
    if max(len(metrics), len(values)) > MAX_NAMES:
        raise ValueError(f"a report has more than {MAX_NAMES} names")
    return Report(
        step=_step(document.get("step")),
        metrics=metrics,
        values=values,
        tags=_tags(document.get("tags")),
        progress=_progress(document.get("progress")),
        message=None if document.get("message") is None else _text("message", document["message"]),
    )


def check_name(name: str) -> str:
    """The name of a metric or key-value. Raises ValueError."""
    if len(name) > MAX_NAME or not _name.fullmatch(name):
        raise ValueError(
            f"{name[:MAX_NAME]!r} is no name: it has up to {MAX_NAME} letters of A-Z, digits, `_`, `.`, `/`, `-` and "
            "single spaces, and begins with a letter"
        )
    return name


def _finite(name: str, value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} is not a finite number")
    return number


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is no text")
    if len(value.encode("utf-8", "replace")) > MAX_TEXT or not value.isprintable():
        raise ValueError(f"{name} is longer than {MAX_TEXT:,} bytes, or has characters that cannot be printed")
    return value


def _step(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_STEP:
        raise ValueError(f"step is no whole number from 0 to {MAX_STEP:,}")
    return value


def _progress(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("progress is no number from 0 to 1")
    return float(value)


def _tags(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or len(value) > MAX_NAMES or not all(isinstance(tag, str) for tag in value):
        raise ValueError(f"tags are no list of at most {MAX_NAMES} texts")
    return tuple(check_name(tag) for tag in value)
