"""What supervisors use of `json`, `signal` and `collections`, without what importing these takes.

They bring regular expressions (some of which are compiled at each start), enumerations and named tuples: a quarter of
the processor time of a supervisor that runs `true`. Beneath each lies a module of the interpreter's own in C, which is
all that is needed; where one is missing or takes other arguments, the public module serves.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections import deque
    from typing import Any
else:
    try:
        import _signal as signal
        from _collections import deque
    except ImportError:
        import signal
        from collections import deque

__all__ = ["deque", "dumps", "loads", "signal"]

_BLANKS = " \t\n\r"


class _Rules:
    """How a document is read: as `json.loads` does by default, but for NaN and its like, which are no JSON."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int

    @staticmethod
    def parse_constant(name: str) -> None:
        raise ValueError(f"{name} is no JSON")


def _unknown(value: object) -> None:
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _public_loads(text: str) -> Any:
    import json

    return json.loads(text, parse_constant=_Rules.parse_constant)


def _public_dumps(document: Any) -> str:
    import json

    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def loads(text: str | bytes | bytearray) -> Any:
    """The document in a text (bytes: UTF-8). Raises ValueError, RecursionError."""
    if not isinstance(text, str):
        text = str(text, "utf-8")
    if _scan is None:
        return _public_loads(text)
    text = text.strip(_BLANKS)
    try:
        document, end = _scan(text, 0)
    except StopIteration as error:
        raise ValueError(f"JSON is expected at character {error.value}") from None
    if end != len(text):
        raise ValueError(f"something follows the JSON at character {end}")
    return document


def dumps(document: Any) -> str:
    """Compact JSON. Lone surrogates stay what they are. Raises TypeError, ValueError."""
    if _write is None:
        return _public_dumps(document)
    return "".join(_write(document, 0))


try:
    from _json import encode_basestring, make_encoder, make_scanner

    _scan: Any = make_scanner(_Rules)  # type: ignore[arg-type]
    # What refers to itself ends in RecursionError instead of being told: nothing here does.
    _write: Any = make_encoder(None, _unknown, encode_basestring, None, ":", ",", False, False, False)
    if "".join(_write({"a": [1.5, None]}, 0)) != '{"a":[1.5,null]}':
        _write = None
except (ImportError, TypeError, AttributeError):
    _scan = _write = None
