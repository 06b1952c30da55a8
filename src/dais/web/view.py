"""How things are worded and drawn in every page: states, times, sizes, commands."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import Any, NamedTuple

import yaml
from markupsafe import Markup

from dais.kit.clock import SECOND, from_rfc3339
from dais.wire import answers
from dais.wire.line import submit_line
from dais.wire.read import human
from dais.wire.spec import JobSpec
from dais.wire.units import short_size

MAX_SPEC = 32 << 10
"""Characters of a spec that a page shows."""
MAX_COMMAND = 240
"""Characters of a command in a list; its cell cuts it further."""


class Mark(NamedTuple):
    """A state's shape, the name of its colour, and its word."""

    shape: str
    tone: str
    word: str


MARKS = {
    "PENDING": Mark("◌", "waiting", "waiting"),
    "SCHEDULED": Mark("◌", "waiting", "scheduled"),
    "PREPARING": Mark("●", "running", "preparing"),
    "RUNNING": Mark("●", "running", "running"),
    "FINISHING": Mark("●", "running", "finishing"),
    "SUCCEEDED": Mark("✓", "succeeded", "succeeded"),
    "FAILED": Mark("✕", "failed", "failed"),
    "PAUSED": Mark("‖", "paused", "paused"),
    "INTERRUPTED": Mark("‖", "paused", "interrupted"),
    "CANCELLED": Mark("⊘", "cancelled", "cancelled"),
}
"""The shape and colour of each state: the same in lists, titles, tab icons and the command line."""

APP_MARKS = {
    "running": Mark("●", "running", "running"),
    "ready": Mark("◌", "waiting", "not started"),
    "silent": Mark("◌", "waiting", "not there yet"),
    "missing": Mark("◌", "waiting", "not possible"),
    "ended": Mark("✕", "failed", "ended"),
    "unknown": Mark("?", "waiting", "unknown"),
    "asked": Mark("◌", "waiting", "looking …"),
}
"""The same of the apps of a job."""

_unknown = Mark("?", "waiting", "unknown")


def mark(state: str) -> Mark:
    return MARKS.get(state) or APP_MARKS.get(state, _unknown)


def age(instant: str, now: int) -> str:
    """How long ago an RFC 3339 instant was, in the largest unit: `3 min ago`."""
    seconds = (now - from_rfc3339(instant)) // SECOND
    if seconds < 5:
        return "just now"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def exact(instant: str) -> str:
    """An RFC 3339 instant for people, to the second: `2026-11-22 05:06:07 UTC`."""
    return datetime.fromisoformat(instant).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def length(start: str, end: str) -> str:
    """The time between two instants, as `duration` says it."""
    return duration(max(0, from_rfc3339(end) - from_rfc3339(start)) / SECOND)


def duration(seconds: float) -> str:
    """Seconds in the units that tell most: `1 h 02 min`, `12.3 s`."""
    if seconds < 60:
        return f"{seconds:.2g} s" if 0 < seconds < 0.1 else f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def cores(number: float) -> str:
    return f"{number:g}"


def command(words: list[str]) -> str:
    """A command as one would type it, on one line and of bearable length."""
    text = " ".join(shlex.join(words).split())
    return text if len(text) <= MAX_COMMAND else f"{text[:MAX_COMMAND]}…"


def spec_text(spec: JobSpec) -> str:
    """A spec as the YAML that `dais job submit -f` reads."""
    text: str = yaml.safe_dump(human(spec), sort_keys=False, allow_unicode=True, width=100)
    return text if len(text) <= MAX_SPEC else f"{text[:MAX_SPEC]}\n… (shortened; `dais job info` prints all of it)"


def name_of(job: answers.Job) -> str:
    """What to call a job: its name, else its number."""
    return job.name or f"job {job.number}"


def short(id_: str) -> str:
    """The last eight digits of an id: the first ones are the time, and alike for jobs of the same minute."""
    return id_[-8:]


def place(account: str) -> str:
    """Where the pages of an account are: `/acme/vision` for `acme.vision`, `/acme/lab.vision` for one below."""
    organization, _, rest = account.partition(".")
    return f"/{organization}/{rest}"


def address(job: answers.Job) -> str:
    """The address of a job's page."""
    return f"{place(job.account)}/jobs/{short(job.id)}"


def why(job: answers.Job) -> str:
    """One line on why a job is in its state; nothing where the state says it all."""
    if job.cancel_requested:
        return "it was asked to end, and is being stopped"
    if job.pending_reason:
        place = f"; {job.place} before it" if job.place else ""
        return f"{job.pending_reason}{place}"
    if job.state == "SUCCEEDED" and not job.detail:
        return ""
    return ": ".join(part for part in (job.reason, job.detail) if part)


_browsers = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_systems = ("Android", "iPhone", "iPad", "Windows", "Mac OS X", "Linux")


def browser(agent: str) -> str:
    """What a browser says that it is, in two words: `Firefox, Linux`. It may say what it likes."""
    name = next((name for mark, name in _browsers if mark in agent), agent.partition("/")[0][:40] or "unknown")
    system = next((system for system in _systems if system in agent), "")
    return f"{name}, {system}" if system else name


def icon(state: str) -> str:
    """The name of the tab's icon."""
    return f"state-{mark(state).tone}.svg"


filters: dict[str, Any] = {
    "mark": mark,
    "age": age,
    "exact": exact,
    "cores": cores,
    "duration": duration,
    "size": short_size,
    "command": command,
    "spec_text": spec_text,
    "name_of": name_of,
    "why": why,
    "submit_line": submit_line,
    "browser": browser,
    "short": short,
    "place": place,
    "address": address,
}

NOTHING = Markup('<span class="nothing" aria-label="none">&ndash;</span>')
"""What stands in a cell without a value."""
